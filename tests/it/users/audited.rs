//! What users do to log in, and what is done with them, is in the audit log.

use std::time::Duration;

use serde_json::{Value, json};
use tenantry_tests::{TestApp, within::within};

use super::{PASSWORD, log_in, register, register_as, tenant, with_token};

/// The rows about a tenant's users, the first first: action, outcome, kind and name of the actor, target.
async fn rows(app: &TestApp, tenant: &str) -> Vec<String> {
    let path = format!("/api/v1/audit?limit=200&tenant={tenant}&action=users.*");
    let page = app.api.get(&path).await.expect(200).json();
    let text =
        |row: &Value, pointer: &str| row.pointer(pointer).and_then(Value::as_str).unwrap_or("-").to_owned();
    let line = |row: &Value| {
        let parts = ["/action", "/outcome", "/actor/kind", "/actor/name", "/target/id"]
            .map(|pointer| text(row, pointer));
        parts.join(" ")
    };
    page["items"].as_array().unwrap().iter().rev().map(line).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_attempt_to_log_in_and_every_change_of_a_user_is_noted_in_the_tenant_s_chain() {
    let app = TestApp::start().await;
    let (acme, other) = (tenant(&app, "acme", "basic").await, tenant(&app, "other", "basic").await);
    register_as(&acme.data, "boss", &["owner"]).await;
    register(&acme.data, "ada").await;
    let open = acme.data.without_key();
    open.post("/api/auth/login", json!({ "username": "ada", "password": "wrong" })).await.expect(401);
    let tokens = log_in(&acme.data, "boss").await;
    let boss = with_token(&acme.data, &tokens);
    open.post("/api/auth/refresh", json!({ "refreshToken": tokens["refreshToken"] })).await.expect(200);
    let refused = json!({ "currentPassword": "wrong", "newPassword": PASSWORD });
    boss.post("/api/auth/password", refused).await.expect(401);
    boss.patch("/api/auth/users/2", json!({ "enabled": false })).await.expect(200);
    boss.delete("/api/auth/users/2").await.expect(204);
    boss.post("/api/auth/logout", json!({})).await.expect(204);
    boss.get("/api/auth/users").await.expect(401);
    open.post("/api/auth/password/forgot", json!({ "email": "eve@example.com" })).await.expect(202);
    // Of nobody's users nothing is noted, and nothing of data.
    app.data
        .post("/api/auth/login", json!({ "username": "ada", "password": "x", "tenantSlug": "nobody" }))
        .await;
    let expected = [
        "users.create succeeded key - 1",
        "users.create succeeded visitor - 2",
        "users.login refused visitor ada -",
        "users.login succeeded user boss -",
        "users.refresh succeeded visitor - -",
        "users.password.change refused user boss -",
        "users.update succeeded user boss 2",
        "users.delete succeeded user boss 2",
        "users.logout succeeded user boss -",
        "users.password.forgot succeeded user eve@example.com -",
    ];
    within(Duration::from_secs(20), "all is noted", async || {
        rows(&app, &acme.id).await.len() >= expected.len()
    })
    .await;
    assert_eq!(rows(&app, &acme.id).await, expected);
    assert!(rows(&app, &other.id).await.is_empty());
    let all = app.api.get(&format!("/api/v1/audit?limit=200&tenant={}", acme.id)).await.expect(200);
    assert!(!all.text.contains(PASSWORD) && !all.text.contains(tokens["refreshToken"].as_str().unwrap()));
    let first = &all.json()["items"][0];
    assert!(first["address"].is_string() && first["requestId"].is_string(), "{first}");

    // And why support acted.
    let path = format!("/api/v1/tenants/{}/impersonate", acme.id);
    app.api.post(&path, json!({ "reason": "ticket 4711" })).await.expect(201);
    let path = format!("/api/v1/audit?tenant={}&action=tenants.impersonate", acme.id);
    let row = app.api.get(&path).await.expect(200).json()["items"][0].clone();
    assert_eq!(row["input"]["reason"], "ticket 4711", "{row}");
    assert_eq!(row["after"]["accessToken"], "[redacted]", "{row}");
}
