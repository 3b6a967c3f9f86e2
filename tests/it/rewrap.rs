//! The key-encryption key is replaced while everything runs, and whoever does it is killed.

use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tenantry_domain::{envelope::Key, ids::TenantId, purpose::Purpose};
use tenantry_registry::{Part, Registry};
use tenantry_tests::{TestApp, within::within};
use tokio::process::Command;

const BINARY: &str = env!("CARGO_BIN_EXE_tenantry-under-test");
const CONFIG: &str = "smtp.password";

fn purpose(tenant: uuid::Uuid) -> String {
    Purpose::DataKey(TenantId::from_uuid(tenant)).to_string()
}

/// The command with a new key that opens what the old one has sealed.
fn rewrap(app: &TestApp, new: &Key, old: &Key) -> Command {
    let mut command = Command::new(BINARY);
    command
        .arg("rewrap")
        .env("TENANTRY_DATABASE_URL", app.registry_url().expose_secret())
        .env("TENANTRY_KEK", new.to_base64().expose_secret())
        .env("TENANTRY_KEK_ALSO", old.to_base64().expose_secret())
        .kill_on_drop(true);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_key_is_replaced_the_new_one_opens_everything_and_the_old_one_nothing() {
    let mut app = TestApp::start().await;
    let acme = app.sign_up("acme", "basic", "salesflow").await;
    let other = app.sign_up("other", "premium", "crm").await;
    let path = format!("/api/v1/tenants/{}/config/{CONFIG}", acme.id);
    app.api.put(&path, json!({ "configValue": "hunter2", "isEncrypted": true })).await.expect(201);
    let hook = json!({ "url": "https://example.com/hooks", "types": ["tenant.*"] });
    app.api.post("/api/v1/webhooks", hook).await.expect(201);
    let user = json!({ "username": "ada", "email": "ada@example.com", "password": "Correct horse 1" });
    acme.data.without_key().post("/api/auth/register", user).await.expect(201);

    let (old, new) = (app.kek.clone(), Key::generate(&mut rand::rng()));
    let many = "INSERT INTO tenants (id, slug, name, status, plan, app, features, limits, settings, data_key, created_at, updated_at)
        SELECT gen_random_uuid(), 'bulk-' || n, 'x', 'purged', plan, app, '{}', '{}', '{}', '', now(), now()
        FROM tenants, generate_series(1, 3000) n WHERE slug LIKE 'acme%'";
    sqlx::query(many).execute(app.owner()).await.unwrap();
    // Each with a key of its own, as if it had been made.
    let ids: Vec<uuid::Uuid> = sqlx::query_scalar("SELECT id FROM tenants WHERE slug LIKE 'bulk-%'")
        .fetch_all(app.owner())
        .await
        .unwrap();
    let sealed: Vec<Vec<u8>> = ids
        .iter()
        .map(|id| old.wrap(&purpose(*id), &Key::generate(&mut rand::rng()), &mut rand::rng()))
        .collect();
    sqlx::query("UPDATE tenants SET data_key = new.key FROM unnest($1::uuid[], $2::bytea[]) AS new (id, key) WHERE tenants.id = new.id")
        .bind(&ids)
        .bind(&sealed)
        .execute(app.owner())
        .await
        .unwrap();

    // Killed in the middle, as often as it takes to have been.
    let opens = async |key: &Key| -> usize {
        let rows: Vec<(uuid::Uuid, Vec<u8>)> =
            sqlx::query_as("SELECT id, data_key FROM tenants").fetch_all(app.owner()).await.unwrap();
        rows.iter().filter(|(id, sealed)| key.open(&purpose(*id), sealed).is_ok()).count()
    };
    let mut killed = rewrap(&app, &new, &old).spawn().unwrap();
    within(std::time::Duration::from_mins(1), "some are sealed anew", async || opens(&new).await > 0).await;
    killed.kill().await.unwrap();
    let done = rewrap(&app, &new, &old).output().await.unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!((opens(&new).await, opens(&old).await), (3002, 0));

    // Processes with the new key alone: all is as it was.
    app.kek = new.clone();
    let plane = app.another_data_plane().await;
    let at = |slug: &str| plane.with_host(format!("{slug}.localhost"));
    let login = json!({ "username": "ada", "password": "Correct horse 1" });
    at(&acme.slug).post("/api/auth/login", login).await.expect(200);
    let key: String = acme.key.expose_secret().to_owned();
    at(&acme.slug).with_key(key).get("/api/contacts").await.expect(200);
    let control = app.another_control_plane().await;
    let shown = control.get(&format!("{path}?reveal=true")).await.expect(200).json();
    assert_eq!(shown["configValue"], "hunter2");
    let connection =
        control.get(&format!("/api/v1/tenants/{}/connection?reveal=true", other.id)).await.expect(200);
    assert_ne!(connection.json()["password"], Value::Null);
    app.stop_worker().await;
    app.start_worker(app.worker_settings()).await;
    let suspended = app.api.post_and_wait(&format!("/api/v1/tenants/{}/suspend", other.id), json!({})).await;
    suspended.expect(200);

    // Who comes with the old one is told; what opens with neither is named.
    let registry = Registry::connect_lazy(app.registry_url().expose_secret(), Part::Owner, 2).unwrap();
    let check = registry.key_check_get().await.unwrap().unwrap();
    assert!(check.verify(&old).is_err() && check.verify(&new).is_ok());
    let strange = Key::generate(&mut rand::rng());
    assert!(registry.rewrap(&strange, |_, _| {}).await.unwrap_err().to_string().contains("does not open"));
    registry.close().await;
}
