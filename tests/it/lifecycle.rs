//! A tenant's life: served, suspended, resumed, deleted, restored, purged.

use chrono::Duration;
use serde_json::json;
use tenantry_tests::{TestApp, clock::MovedClock};

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_tenant_is_refused_and_served_again_when_resumed() {
    let app = TestApp::start().await;
    for plan in ["basic", "premium"] {
        let tenant = app.sign_up(plan, plan, "crm").await;
        tenant.data.get("/api/contacts").await.expect(200);

        let path = format!("/api/v1/tenants/{}", tenant.slug);
        let answer = app.api.post_and_wait(&format!("{path}/suspend"), json!({})).await.expect(200);
        assert_eq!(answer.json()["tenant"]["status"], "suspended");
        tenant.data.get("/api/contacts").await.expect_problem(403, "tenant_suspended");

        let answer = app.api.post_and_wait(&format!("{path}/resume"), json!({})).await.expect(200);
        assert_eq!(answer.json()["tenant"]["status"], "active");
        tenant.data.get("/api/contacts").await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_tenant_s_own_database_login_is_closed_too() {
    use sqlx::Connection;
    let app = TestApp::start().await;
    let tenant = app.sign_up("acme", "premium", "crm").await;
    let path = format!("/api/v1/tenants/{}", tenant.slug);
    let url = app.own_url(&tenant.slug).await;
    let mut own = sqlx::PgConnection::connect(&url).await.unwrap();
    sqlx::raw_sql("SELECT * FROM contacts").execute(&mut own).await.unwrap();
    sqlx::raw_sql("CREATE TABLE mine (id int)").execute(&mut own).await.unwrap_err();
    sqlx::raw_sql("SELECT * FROM tenantry_migrations").execute(&mut own).await.unwrap_err();

    app.api.post_and_wait(&format!("{path}/suspend"), json!({})).await.expect(200);
    sqlx::raw_sql("SELECT 1").execute(&mut own).await.unwrap_err();
    sqlx::PgConnection::connect(&url).await.unwrap_err();

    app.api.post_and_wait(&format!("{path}/resume"), json!({})).await.expect(200);
    sqlx::PgConnection::connect(&url).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_tenant_can_be_restored_with_its_data() {
    let app = TestApp::start().await;
    let tenant = app.sign_up("acme", "basic", "crm").await;
    tenant.data.post("/api/contacts", json!({ "email": "kept@example.com" })).await.expect(201);
    let path = format!("/api/v1/tenants/{}", tenant.slug);

    let answer = app.api.delete_and_wait(&path).await.expect(200).json();
    assert_eq!(answer["tenant"]["status"], "deactivated");
    tenant.data.get("/api/contacts").await.expect(403);
    assert_eq!(app.on_server().await.schemas.len(), 1);
    // The slug stays taken while the tenant exists.
    let again = json!({ "name": "Acme", "slug": tenant.slug, "plan": "basic", "app": "crm" });
    app.api.post("/api/v1/tenants", again).await.expect_problem(409, "slug_taken");

    app.api.post_and_wait(&format!("{path}/restore"), json!({})).await.expect(200);
    let found = tenant.data.get("/api/contacts?select=email").await.expect(200);
    assert_eq!(found.json(), json!([{ "email": "kept@example.com" }]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_tenant_is_purged_when_its_retention_is_over_and_not_before() {
    let clock = MovedClock::shared();
    let app = TestApp::build().with_clock(clock.clone()).start().await;
    let schema = app.sign_up("schema", "basic", "crm").await;
    let database = app.sign_up("database", "premium", "crm").await;
    for tenant in [&schema, &database] {
        app.api.delete_and_wait(&format!("/api/v1/tenants/{}", tenant.slug)).await.expect(200);
    }
    let worker = app.worker.as_ref().unwrap();
    let purge_due = || tenantry_worker::reconcilers::purge_due::run(worker.resources());

    // A worker whose clock is wrong destroys nothing: the registry's counts.
    clock.put_ahead(Duration::days(31));
    assert_eq!(purge_due().await.unwrap(), 0);
    let over = "UPDATE tenants SET purge_at = now() WHERE status = 'deactivated' RETURNING purge_at";
    sqlx::query(over).execute(app.owner()).await.unwrap();
    // The worker's own timer may have been faster.
    purge_due().await.unwrap();
    for tenant in [&schema, &database] {
        let path = format!("/api/v1/tenants/{}/operations?kind=purge", tenant.id);
        let operations = app.api.get(&path).await.expect(200).json();
        let id = operations["items"][0]["id"].as_str().unwrap().to_owned();
        assert_eq!(app.operation_ended(&id).await["state"], "succeeded");
        tenant.data.get("/api/contacts").await.expect_problem(404, "tenant_not_found");
    }
    app.assert_nothing_left().await;
    // The slug is free again.
    let again = json!({ "name": "Acme", "slug": schema.slug, "plan": "basic", "app": "crm" });
    app.api.post_and_wait("/api/v1/tenants", again).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn purge_now_leaves_nothing_but_the_record() {
    let app = TestApp::start().await;
    for plan in ["basic", "premium"] {
        let tenant = app.sign_up(plan, plan, "crm").await;
        let answer =
            app.api.delete_and_wait(&format!("/api/v1/tenants/{}?purge=now", tenant.slug)).await.expect(200);
        assert_eq!(answer.json()["tenant"]["status"], "purged");
        app.api.get(&format!("/api/v1/tenants/{}", tenant.slug)).await.expect(404);
        assert_eq!(
            app.api.get(&format!("/api/v1/tenants/{}", tenant.id)).await.expect(200).json()["status"],
            "purged"
        );
    }
    app.assert_nothing_left().await;
}
