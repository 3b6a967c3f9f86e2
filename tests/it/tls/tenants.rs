//! A server with TLS from its registration to the read of a tenant.

use std::sync::Arc;

use serde_json::{Value, json};
use tenantry_tests::{
    TestApp, server,
    tls::{Authority, show},
};

use super::server_with_tls;

/// Sessions of planes without and with TLS.
async fn sessions(app: &TestApp, of: &str) -> (i64, i64) {
    let mut admin = server::admin(app.server(), "postgres").await;
    let counts = "SELECT count(*) FILTER (WHERE NOT ssl), count(*) FILTER (WHERE ssl)
        FROM pg_stat_activity JOIN pg_stat_ssl USING (pid) WHERE starts_with(application_name, $1)";
    sqlx::query_as(counts).bind(of).fetch_one(&mut admin).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_registered_with_its_certificate_s_ca_and_used_so_by_worker_and_data_plane() {
    let (server, authority) = server_with_tls().await;
    let server = Arc::new(server);
    let app = TestApp::build()
        .without_daily_quotas()
        .on_server(Arc::clone(&server))
        .with_apps(&["crm"])
        .start()
        .await;
    let path = "/api/v1/servers/main";
    let before = app.api.get(path).await.expect(200).json();
    assert_eq!((&before["sslMode"], &before["sslRootCert"]), (&json!("prefer"), &Value::Null));
    let (ca, other) = (authority.pem().replace("\r\n", "\n"), Authority::new("another").pem());

    // What the planes would not get on with is refused, and the field named.
    for (change, field, says) in [
        (json!({ "sslMode": "verify-ca" }), "sslRootCert", "needed with verify-ca"),
        (json!({ "sslMode": "verify-full" }), "sslRootCert", "needed with verify-full"),
        (json!({ "sslMode": "verify-ca", "sslRootCert": "system" }), "sslRootCert", "verify-full only"),
        (json!({ "sslMode": "require", "sslRootCert": "no PEM" }), "sslRootCert", "BEGIN CERTIFICATE"),
        (json!({ "sslRootCert": ca }), "sslRootCert", "no use with prefer"),
    ] {
        let refused = app.api.patch(path, change.clone()).await.expect_problem(400, "invalid_field");
        assert_eq!(refused.fields(), [field], "{change}");
        assert!(refused.text.contains(says), "{}", refused.text);
    }
    for (change, field) in [
        (json!({ "sslMode": "verify-ca", "sslRootCert": other }), "sslRootCert"),
        (json!({ "sslMode": "verify-full", "sslRootCert": ca }), "host"),
        (json!({ "sslMode": "verify-full", "sslRootCert": "system" }), "sslRootCert"),
    ] {
        let refused = app.api.patch(path, change.clone()).await.expect_problem(422, "server_unusable");
        assert_eq!(refused.fields(), [field], "{change}: {}", refused.text);
    }

    let full = json!({ "host": "localhost", "sslMode": "verify-full", "sslRootCert": ca });
    let changed = app.api.patch(path, full).await.expect(200).json();
    assert_eq!((&changed["sslMode"], &changed["sslRootCert"]), (&json!("verify-full"), &json!(ca)));
    let acme = app.sign_up("acme", "basic", "crm").await;
    acme.data.get("/api/contacts?limit=1").await.expect(200);
    for plane in ["tenantry-admin-", "tenantry-data-plane"] {
        let (plain, encrypted) = sessions(&app, plane).await;
        assert!(plain == 0 && encrypted > 0, "{plane}: {plain} without TLS, {encrypted} with");
    }

    // A change that nobody checked: no connection that was made before it is used after it.
    app.api.patch(&format!("{path}?check=false"), json!({ "sslRootCert": other })).await.expect(200);
    app.routes_caught_up().await;
    acme.data.get("/api/contacts?limit=1").await.expect_problem(503, "server_unavailable");
    let id = app.begin_sign_up(&app.slug("later"), "basic").await;
    app.operation_is(&id, "waiting").await;
    let away = app.api.get(path).await.expect(200).json();
    let said = away["health"]["error"].as_str().unwrap();
    assert!(said.contains("not signed by the CA of sslRootCert"), "{said}");

    // And back; what waited goes on.
    app.api.patch(path, json!({ "sslRootCert": ca })).await.expect(200);
    app.routes_caught_up().await;
    acme.data.get("/api/contacts?limit=1").await.expect(200);
    app.operation_is(&id, "succeeded").await;

    show(&server, "expired", &authority.expired_certificate("localhost")).await;
    let found = app.api.post("/api/v1/servers/main/check", json!({})).await.expect(200).json();
    assert_eq!(found["problems"][0]["code"], "certificate_expired", "{found}");
    // The CA has no use with `prefer`, and is forgotten.
    let lesser = app.api.patch(path, json!({ "sslMode": "prefer" })).await.expect(200).json();
    assert_eq!((&lesser["sslMode"], &lesser["sslRootCert"]), (&json!("prefer"), &Value::Null));
    app.routes_caught_up().await;
    acme.data.get("/api/contacts?limit=1").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn replacing_a_server_without_a_word_on_tls_leaves_it_protected() {
    let app = TestApp::build().without_daily_quotas().without_worker().with_apps(&[]).start().await;
    let ca = Authority::new("the authority").pem();
    let tls = json!({ "sslMode": "verify-ca", "sslRootCert": ca });
    app.api.patch("/api/v1/servers/main?check=false", tls).await.expect(200);
    let revision = "SELECT revision FROM servers";
    let before = app.count(revision).await;
    let server = app.api.get("/api/v1/servers/main").await.expect(200).json();
    let body = json!({ "host": server["host"], "port": server["port"], "capacity": 7 });
    let after = app.api.put("/api/v1/servers/main?check=false", body).await.expect(200).json();
    assert_eq!((&after["sslMode"], &after["sslRootCert"]), (&json!("verify-ca"), &server["sslRootCert"]));
    assert_eq!(app.count(revision).await, before, "connections go on");
    app.api.patch("/api/v1/servers/main?check=false", json!({ "sslMode": "require" })).await.expect(200);
    assert_eq!(app.count(revision).await, before + 1);
}
