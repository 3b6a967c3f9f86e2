//! When a process is ready, and what it says while it is not.

use secrecy::ExposeSecret;
use serde_json::Value;
use tenantry_domain::{api_key::NewKey, envelope::Key};
use tenantry_registry::Registry;
use tenantry_tests::{TestApp, app::random_suffix, process::RoleProcess, proxy::Proxy, server};

const BINARY: &str = env!("CARGO_BIN_EXE_tenantry-under-test");

async fn not_ready(process: &RoleProcess) -> Value {
    let answer = process.admin.get("/readyz").await.expect(503).json();
    process.admin.get("/livez").await.expect(200);
    assert_eq!(answer["ready"], false);
    answer["checks"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_role_becomes_ready_with_another_key_and_none_writes_anything() {
    let app = TestApp::build().without_worker().start().await;
    let url = app.registry_url().expose_secret();
    let other = Key::generate(&mut rand::rng());
    let written =
        "SELECT (SELECT count(*) FROM api_keys) + (SELECT count(*) FROM plans) + (SELECT count(*) FROM apps)
        + (SELECT count(*) FROM apalis.workers) + (SELECT count(*) FROM key_checks)";
    let before = app.count(written).await;
    let bootstrap = NewKey::operator(&mut rand::rng()).key;
    for (role, args) in [
        ("control-plane", &["--bootstrap-key", bootstrap.expose_secret()][..]),
        ("worker", &[]),
        ("data-plane", &[]),
    ] {
        let mut process = RoleProcess::start(BINARY, role, url, &other, args).await;
        let said = process.logged("not ready").await;
        let checks = not_ready(&process).await;
        let name = role.replace('-', "_");
        let reason = checks[format!("{name}.key")].as_str().unwrap().to_owned();
        for text in [&said, &reason] {
            assert!(text.contains(other.fingerprint().as_str()), "the given key: {text}");
            assert!(text.contains(app.kek.fingerprint().as_str()), "the expected key: {text}");
            assert!(!text.contains(other.to_base64().expose_secret()), "never the key");
        }
        assert_eq!(checks[format!("{name}.schema")], true);
        process.terminate().await;
        process.ended().await;
    }
    assert_eq!(app.count(written).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_from_before_the_check_value_is_tried_with_what_it_holds() {
    let app = TestApp::build().without_worker().start().await;
    let url = app.registry_url().expose_secret();
    sqlx::query("DELETE FROM key_checks").execute(app.owner()).await.unwrap();
    let other = Key::generate(&mut rand::rng());
    let mut wrong = RoleProcess::start(BINARY, "worker", url, &other, &[]).await;
    wrong.logged("does not open what the registry holds").await;
    assert_eq!(app.count("SELECT count(*) FROM key_checks").await, 0);
    let mut right = RoleProcess::start(BINARY, "control-plane", url, &app.kek, &[]).await;
    right.serving().await;
    assert_eq!(app.count("SELECT count(*) FROM key_checks").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_is_ready_once_the_registry_has_the_schema_that_it_works_with() {
    let postgres = server::shared().await;
    let url = tenantry_cli::embedded::database_url(postgres, &format!("registry_{}", random_suffix()));
    let url = url.expose_secret();
    Registry::create_database(url).await.unwrap();
    let kek = Key::generate(&mut rand::rng());

    let mut early = RoleProcess::start(BINARY, "control-plane", url, &kek, &[]).await;
    early.logged("not ready").await;
    let checks = not_ready(&early).await;
    assert_eq!(checks["control_plane.registry"], true);
    assert!(checks["control_plane.schema"].as_str().unwrap().contains("run `tenantry migrate`"), "{checks}");
    Registry::migrate(url).await.unwrap();
    early.serving().await;
    early.logged("listens").await;
    early.admin.get("/readyz").await.expect(200);

    let owner = sqlx::PgPool::connect(url).await.unwrap();
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (99990101000000, 'of a newer release', true, '', 0)",
    )
    .execute(&owner)
    .await
    .unwrap();
    for role in ["control-plane", "worker", "data-plane"] {
        let mut late = RoleProcess::start(BINARY, role, url, &kek, &[]).await;
        let said = late.logged("not ready").await;
        assert!(said.contains("99990101000000") && said.contains("newer"), "{said}");
        not_ready(&late).await;
    }
    // One that was ready stays so.
    early.admin.get("/readyz").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_registry_makes_no_ready_process_unready() {
    let app = TestApp::build().without_worker().start().await;
    let address = format!("127.0.0.1:{}", app.server().port());
    let proxy = Proxy::start(address.parse().unwrap()).await;
    let url = app.registry_url().expose_secret().replace(&address, &proxy.address.to_string());
    for role in ["control-plane", "data-plane", "worker"] {
        proxy.mend();
        let process = RoleProcess::start(BINARY, role, &url, &app.kek, &[]).await;
        tenantry_tests::within::within(std::time::Duration::from_secs(30), "ready", async || {
            process.admin.get("/readyz").await.status == 200
        })
        .await;
        proxy.cut();
        process.admin.get("/readyz").await.expect(200);
        process.admin.get("/livez").await.expect(200);
    }
}
