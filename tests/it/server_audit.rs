//! A registry that was restored from a backup, and a server that was not: what each has and the other does not.

use std::time::Duration;

use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tenantry_postgres::embedded::Durability;
use tenantry_tests::{Signup, TestApp, cli::Cli, server, within::within};

/// A tenant's rows, as a backup has them.
struct Backup(Vec<(&'static str, Value)>);

impl Backup {
    /// Tables in the order in which they are restored.
    const TABLES: [(&str, &str); 3] = [
        ("tenants", "SELECT jsonb_agg(to_jsonb(t)) FROM tenants t WHERE id = $1::uuid"),
        ("tenant_labels", "SELECT jsonb_agg(to_jsonb(t)) FROM tenant_labels t WHERE tenant_id = $1::uuid"),
        ("placements", "SELECT jsonb_agg(to_jsonb(t)) FROM placements t WHERE tenant_id = $1::uuid"),
    ];
    const RESTORE: [&str; 3] = [
        "INSERT INTO tenants SELECT * FROM jsonb_populate_recordset(NULL::tenants, $1)",
        "INSERT INTO tenant_labels SELECT * FROM jsonb_populate_recordset(NULL::tenant_labels, $1)",
        "INSERT INTO placements SELECT * FROM jsonb_populate_recordset(NULL::placements, $1)",
    ];

    async fn take(app: &TestApp, tenant: &Signup) -> Self {
        let mut rows = Vec::new();
        for (table, query) in Self::TABLES {
            let found: Value =
                sqlx::query_scalar(query).bind(&tenant.id).fetch_one(app.owner()).await.unwrap();
            rows.push((table, found));
        }
        Self(rows)
    }

    async fn restore(self, app: &TestApp) {
        for ((_, rows), insert) in self.0.into_iter().zip(Self::RESTORE) {
            sqlx::query(insert).bind(rows).execute(app.owner()).await.unwrap();
        }
    }
}

async fn forget(app: &TestApp, tenant: &Signup) {
    sqlx::query("DELETE FROM tenants WHERE id = $1::uuid")
        .bind(&tenant.id)
        .execute(app.owner())
        .await
        .unwrap();
}

/// By kind and name.
fn sorted(mut objects: Vec<(String, String, Value)>) -> Vec<(String, String, Value)> {
    objects.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
    objects
}

/// The kinds and names of a part of an audit that are this test's: others share the server.
fn own(app: &TestApp, objects: &Value) -> Vec<(String, String, Value)> {
    let objects = objects.as_array().unwrap().iter();
    let own = objects
        .map(|object| {
            let text = |field: &str| object[field].as_str().unwrap().to_owned();
            (text("kind"), text("name"), object["tenantId"].clone())
        })
        .filter(|(_, name, _)| name.contains(&app.suffix));
    sorted(own.collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_changes_nothing_on_a_server_that_was_emptied() {
    let other = server::start(Durability::Volatile).await.unwrap();
    let app = TestApp::build()
        .worker(|settings| (settings.warm_tenants, settings.warm_databases) = (0, 0))
        .start()
        .await;
    app.add_cordoned_server("alpha", &other).await;
    let audit = app.api.get("/api/v1/servers/alpha/audit").await.expect(200).json();
    assert_eq!((&audit["missing"], &audit["unknown"]), (&json!([]), &json!([])));
    let mut connection = server::admin(&other, "postgres").await;
    let made = "SELECT rolname::text FROM pg_roles WHERE starts_with(rolname, 'tenantry') AND NOT rolsuper
        UNION SELECT datname::text FROM pg_database WHERE datname NOT IN ('postgres', 'template0', 'template1', 'tenantry')";
    let made: Vec<String> = sqlx::query_scalar(made).fetch_all(&mut connection).await.unwrap();
    assert_eq!(made, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_after_the_registry_was_restored_names_what_each_side_lacks_and_drops_nothing() {
    let app = TestApp::start().await;
    let kept = app.sign_up("kept", "basic", "crm").await;
    let kept_too = app.sign_up("kept-too", "premium", "crm").await;
    let purged = app.sign_up("purged", "basic", "crm").await;
    let purged_too = app.sign_up("purged-too", "premium", "crm").await;
    let audit = async || app.api.get("/api/v1/servers/main/audit").await.expect(200).json();
    let clean = audit().await;
    assert_eq!((own(&app, &clean["unknown"]), own(&app, &clean["missing"])), (vec![], vec![]), "{clean}");

    // The backup is of now; afterwards two are purged, and two sign up.
    let backups = [Backup::take(&app, &purged).await, Backup::take(&app, &purged_too).await];
    for tenant in [&purged, &purged_too] {
        app.api.delete_and_wait(&format!("/api/v1/tenants/{}?purge=now", tenant.slug)).await.expect(200);
    }
    let later = app.sign_up("later", "basic", "crm").await;
    let later_too = app.sign_up("later-too", "premium", "crm").await;
    for tenant in [&purged, &purged_too, &later, &later_too] {
        forget(&app, tenant).await;
    }
    for backup in backups {
        backup.restore(&app).await;
    }

    let before = app.on_server().await;
    let found = audit().await;
    let object = |slug: &str| format!("tenant_{}", slug.replace('-', "_"));
    let entry = |kind: &str, tenant: &Signup| (kind.to_owned(), object(&tenant.slug), json!(tenant.id));
    assert_eq!(
        own(&app, &found["unknown"]),
        sorted(vec![
            entry("database", &later_too),
            entry("role", &later),
            entry("role", &later_too),
            entry("schema", &later),
        ]),
        "{found}"
    );
    assert_eq!(
        own(&app, &found["missing"]),
        sorted(vec![
            entry("database", &purged_too),
            entry("role", &purged),
            entry("role", &purged_too),
            entry("schema", &purged),
        ]),
        "{found}"
    );
    let schema =
        found["unknown"].as_array().unwrap().iter().find(|object| object["kind"] == "schema").unwrap();
    assert_eq!(schema["database"], app.shared_database());
    let advice = found["advice"].to_string();
    assert!(advice.contains("unknown to the registry") && advice.contains(&purged.slug), "{advice}");
    assert!(!found.to_string().contains(&kept.id) && !found.to_string().contains(&kept_too.id), "{found}");
    assert_eq!(app.on_server().await, before, "an audit changes nothing");

    let cli = Cli::new(env!("CARGO_BIN_EXE_tenantry-under-test"))
        .env("TENANTRY_URL", app.api.address().to_string())
        .env("TENANTRY_API_KEY", app.key.expose_secret());
    let said = cli.run(&["servers", "audit", "main"]).await.succeeded();
    assert!(said.contains(&format!("schema {}", object(&later.slug))), "{said}");
    assert!(said.contains(&format!("(tenant {}", purged.slug)) || said.contains(&purged.slug), "{said}");

    // What the advice says to do about those that are lost can be done.
    for tenant in [&purged, &purged_too] {
        app.api.delete_and_wait(&format!("/api/v1/tenants/{}?purge=now", tenant.slug)).await.expect(200);
    }
    assert_eq!(own(&app, &audit().await["missing"]), vec![]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_knows_warm_tenants_and_names_those_that_the_registry_forgot() {
    let app = TestApp::build().with_apps(&["crm"]).worker(|settings| settings.warm_tenants = 2).start().await;
    // A round that fails for a reason that passes leaves the rest to the next.
    let pool = app.warm_pool_in_hand(2).await;
    within(Duration::from_secs(20), "the pool is filled", async || {
        pool.fill().await.unwrap();
        app.count("SELECT count(*) FROM warm_tenants").await == 2
    })
    .await;
    let warm: Vec<String> =
        sqlx::query_scalar("SELECT name FROM warm_tenants").fetch_all(app.owner()).await.unwrap();
    let named = async |part: &str| -> Vec<String> {
        let audit = app.api.get("/api/v1/servers/main/audit").await.expect(200).json();
        let objects = audit[part].as_array().unwrap().iter();
        let names = objects.filter_map(|object| object["name"].as_str().map(str::to_owned));
        names.filter(|name| warm.contains(name)).collect()
    };
    assert_eq!(named("unknown").await, Vec::<String>::new());
    sqlx::query("DELETE FROM warm_tenants").execute(app.owner()).await.unwrap();
    let mut unknown = named("unknown").await;
    unknown.sort();
    unknown.dedup();
    let mut expected = warm.clone();
    expected.sort();
    assert_eq!(unknown, expected);
}
