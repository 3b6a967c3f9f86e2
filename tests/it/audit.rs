//! Who did what: what is noted, and how it is found that the notes were altered.

mod altering;
mod data;

use reqwest::Method;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tenantry_domain::{
    Clock, SystemClock,
    audit::{Actor, ActorKind, AuditEntry, AuditOutcome, Target},
    ids::{AuditId, TenantId},
};
use tenantry_registry::{Part, Registry, SealAfter};
use tenantry_tests::{Api, TestApp, within::within};
use tenantry_worker::{Resources, reconcilers::seal_audit};

use std::{sync::Arc, time::Duration};

/// Rows that a query finds, the first first.
async fn rows(app: &TestApp, query: &str) -> Vec<Value> {
    let page = app.api.get(&format!("/api/v1/audit?limit=200&{query}")).await.expect(200).json();
    page["items"].as_array().unwrap().iter().rev().cloned().collect()
}

async fn key_with(app: &TestApp, name: &str, scopes: &[&str]) -> Api {
    let made =
        app.api.post("/api/v1/keys", json!({ "name": name, "scopes": scopes })).await.expect(201).json();
    app.api.with_key(made["key"].as_str().unwrap().to_owned())
}

/// As a worker seals, but all that there is.
fn sealing(app: &TestApp) -> Arc<Resources> {
    let mut settings = app.worker_settings();
    settings.seal_after = SealAfter { done: Duration::ZERO, pending: Duration::ZERO };
    app.idle_worker_with(SystemClock::shared(), settings).resources().clone()
}

fn log_in(tenant: Option<TenantId>, name: &str) -> AuditEntry {
    let now = SystemClock.now();
    AuditEntry {
        id: AuditId::generate(now, &mut rand::rng()),
        tenant_id: tenant,
        at: now,
        actor: Actor { kind: ActorKind::User, id: None, name: Some(name.to_owned()) },
        action: "users.login".to_owned(),
        target: Some(Target { kind: "users".to_owned(), id: Some(name.to_owned()) }),
        request: None,
        request_id: Some("r-1".to_owned()),
        address: Some("203.0.113.7".to_owned()),
        outcome: AuditOutcome::Succeeded,
        status: Some(200),
        input: None,
        before: None,
        after: Some(json!({ "roles": ["member"] }).to_string()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_change_is_noted_with_who_what_and_what_came_of_it() {
    let app = TestApp::start().await;
    let acme = app.sign_up("acme", "basic", "crm").await;
    let clerk = key_with(&app, "clerk", &["tenants:read", "tenants:write"]).await;
    let path = format!("/api/v1/tenants/{}", acme.slug);
    let renaming = clerk
        .request(Method::PATCH, &path)
        .header("x-request-id", "r-17")
        .json(&json!({ "name": "Acme Inc" }));
    clerk.send(renaming).await.expect(200);
    clerk.post_and_wait(&format!("{path}/suspend"), json!({})).await.expect(200);
    clerk.post(&format!("{path}/suspend?x=1"), json!({})).await.expect(400);
    clerk.patch(&path, json!({ "name": "" })).await.expect(400);
    clerk.delete("/api/v1/tenants/nobody").await.expect(404);
    clerk.get(&path).await.expect(200);

    let of_clerk = rows(&app, "actor=clerk").await;
    let said = |row: &Value| {
        format!(
            "{} {} {}",
            row["action"].as_str().unwrap(),
            row["outcome"].as_str().unwrap(),
            row["statusCode"]
        )
    };
    assert_eq!(
        of_clerk.iter().map(said).collect::<Vec<_>>(),
        [
            "tenants.update succeeded 200",
            "tenants.suspend succeeded 200",
            "tenants.update refused 400",
            "tenants.delete refused 404",
        ]
    );
    let patched = &of_clerk[0];
    assert_eq!((&patched["before"]["name"], &patched["after"]["name"]), (&json!("acme"), &json!("Acme Inc")));
    assert_eq!(patched["tenantId"], acme.id.as_str());
    assert_eq!(patched["target"], json!({ "resource": "tenants", "id": acme.slug }));
    assert_eq!(patched["input"], json!({ "name": "Acme Inc" }));
    assert_eq!(patched["requestId"], "r-17");
    assert_eq!(patched["request"], format!("PATCH {path}"));
    assert_eq!((&patched["address"], &patched["actor"]["kind"]), (&json!("127.0.0.1"), &json!("key")));
    assert_eq!(of_clerk[1]["after"]["operation"]["kind"], "suspend");
    assert_eq!(of_clerk[3]["after"], json!({ "code": "tenant_not_found" }));
    let signed_up = &rows(&app, &format!("action=tenants.create&tenant={}", acme.slug)).await[0];
    assert_eq!((&signed_up["target"]["id"], &signed_up["outcome"]), (&json!(acme.id), &json!("succeeded")));

    // Filters, times, pages.
    let all = rows(&app, &format!("tenant={}", acme.id)).await;
    assert_eq!(rows(&app, &format!("tenant={}&action=tenants.keys.*", acme.id)).await.len(), 1);
    let at = all[2]["at"].as_str().unwrap();
    assert_eq!(rows(&app, &format!("tenant={}&since={at}", acme.id)).await, all[2..]);
    assert_eq!(rows(&app, &format!("tenant={}&until={at}", acme.id)).await, all[..2]);
    let page = app.api.get(&format!("/api/v1/audit?tenant={}&limit=1", acme.id)).await.expect(200).json();
    let next =
        format!("/api/v1/audit?tenant={}&limit=1&cursor={}", acme.id, page["nextCursor"].as_str().unwrap());
    assert_eq!(app.api.get(&next).await.expect(200).json()["items"][0], all[all.len() - 2]);
    for query in ["since=yesterday", "tenant=a%20b", "limit=0"] {
        assert!(app.api.get(&format!("/api/v1/audit?{query}")).await.status.is_client_error(), "{query}");
    }
    clerk.get("/api/v1/audit").await.expect_problem(403, "scope_missing");
    let exported = app.api.get(&format!("/api/v1/audit/export?tenant={}", acme.id)).await.expect(200);
    let exported: Vec<Value> =
        exported.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ids = |rows: &[Value]| rows.iter().map(|row| row["id"].clone()).collect::<Vec<_>>();
    assert_eq!(ids(&exported), ids(&all));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_the_audit_log() {
    let app = TestApp::start().await;
    let acme = app.sign_up("acme", "basic", "crm").await;
    let path = format!("/api/v1/tenants/{}", acme.id);
    let made = app
        .api
        .post("/api/v1/keys", json!({ "name": "k", "scopes": ["tenants:read"] }))
        .await
        .expect(201)
        .json();
    let hook = json!({ "url": "https://example.com/hooks", "types": ["*"] });
    let hook = app.api.post("/api/v1/webhooks", hook).await.expect(201).json();
    let hook_path = format!("/api/v1/webhooks/{}", hook["id"].as_str().unwrap());
    let rotated = app.api.post(&format!("{hook_path}/rotate-secret"), json!({})).await.expect(200).json();
    let value = json!({ "configValue": "hunter2-hunter2", "isEncrypted": true });
    app.api.put(&format!("{path}/config/smtp.password"), value).await.expect(201);
    let shown = app.api.get(&format!("{path}/config/smtp.password?reveal=true")).await.expect(200).json();
    assert_eq!(shown["configValue"], "hunter2-hunter2");
    let password = app.connection(&acme.id).await["password"].as_str().unwrap().to_owned();
    app.api.delete(&format!("{path}/config/smtp.password")).await.expect(204);
    app.api.patch("/api/v1/servers/main?check=false", json!({ "adminPassword": "other-hunter2" })).await;
    let log: String = sqlx::query_scalar("SELECT string_agg(audit_log::text, '') FROM audit_log")
        .fetch_one(app.owner())
        .await
        .unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    for secret in [
        text(&made["key"]),
        text(&hook["secret"]),
        text(&rotated["secret"]),
        password,
        "hunter2".to_owned(),
        acme.key.expose_secret().to_owned(),
    ] {
        assert!(!log.contains(&secret), "{secret}");
    }
    for action in ["tenants.connection.reveal", "tenants.config.reveal"] {
        let row = &rows(&app, &format!("action={action}")).await[0];
        assert_eq!(
            (&row["tenantId"], &row["outcome"], &row["after"]),
            (&json!(acme.id), &json!("succeeded"), &Value::Null)
        );
    }
    // Without being asked to reveal nothing is noted.
    app.api.get(&format!("{path}/connection")).await.expect(200);
    assert_eq!(rows(&app, "action=tenants.connection.reveal").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_noted_is_not_done_and_not_shown() {
    let app = TestApp::start().await;
    let acme = app.sign_up("acme", "basic", "crm").await;
    let password = app.connection(&acme.id).await["password"].as_str().unwrap().to_owned();
    sqlx::query("REVOKE INSERT ON audit_log FROM tenantry_control_plane").execute(app.owner()).await.unwrap();
    let path = format!("/api/v1/tenants/{}", acme.id);
    let answer = app.api.get(&format!("{path}/connection?reveal=true")).await.expect_problem(500, "internal");
    assert!(!answer.text.contains(&password));
    app.api.patch(&path, json!({ "name": "Other" })).await.expect(500);
    assert_eq!(app.api.get(&path).await.expect(200).json()["name"], "acme");
    app.api.get(&format!("{path}/connection")).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_refused_for_want_of_a_scope_is_noted_too() {
    let app = TestApp::build().without_worker().start().await;
    let reader = key_with(&app, "reader", &["tenants:read"]).await;
    reader.post("/api/v1/tenants", json!({})).await.expect_problem(403, "scope_missing");
    let body = json!({ "name": "Acme", "slug": app.slug("acme"), "plan": "basic", "app": "crm" });
    let begun = app.api.post("/api/v1/tenants", body).await.expect(202).json();
    let connection =
        format!("/api/v1/tenants/{}/connection?reveal=true", begun["tenant"]["id"].as_str().unwrap());
    reader.get(&connection).await.expect_problem(403, "scope_missing");
    within(Duration::from_mins(1), "both are noted", async || rows(&app, "actor=reader").await.len() == 2)
        .await;
    for row in rows(&app, "actor=reader").await {
        assert_eq!((&row["outcome"], &row["statusCode"]), (&json!("refused"), &json!(403)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_plane_appends_what_users_do_and_reads_nothing() {
    let app = TestApp::build().without_worker().start().await;
    let tenant = TenantId::generate(SystemClock.now(), &mut rand::rng());
    let registry = Registry::connect_lazy(app.registry_url().expose_secret(), Part::DataPlane, 2).unwrap();
    let entries = [log_in(Some(tenant), "ada"), log_in(Some(tenant), "bob")];
    registry.audit_append(&entries).await.unwrap();
    // The answer to the first was lost.
    registry.audit_append(&entries).await.unwrap();
    registry.close().await;
    assert_eq!(app.count("SELECT count(*) FROM audit_log WHERE action = 'users.login'").await, 2);
    let found = rows(&app, "actor=ada").await;
    assert_eq!(
        (&found[0]["action"], &found[0]["after"]["roles"][0]),
        (&json!("users.login"), &json!("member"))
    );
    let name = app.registry_url().expose_secret().rsplit('/').next().unwrap().to_owned();
    let mut connection = tenantry_tests::server::admin(app.server(), &name).await;
    sqlx::query("SET ROLE tenantry_data_plane").execute(&mut connection).await.unwrap();
    for statement in [
        "INSERT INTO audit_log (id, at, actor_kind, action, outcome, block) VALUES (gen_random_uuid(), now(), 'key', 'x', 'failed', 1)",
        "SELECT count(*) FROM audit_log",
        "UPDATE audit_log SET action = ''",
        "SELECT count(*) FROM audit_blocks",
    ] {
        let refused = sqlx::query(statement).execute(&mut connection).await.expect_err(statement);
        assert!(refused.to_string().contains("permission denied"), "{statement}: {refused}");
    }
}
