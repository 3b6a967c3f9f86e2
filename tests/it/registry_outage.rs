//! A data plane whose registry is away goes on serving the tenants that it knows.

use std::time::Duration;

use serde_json::json;
use tenantry_tests::{TestApp, proxy::Proxy, server, within::within};

#[tokio::test(flavor = "multi_thread")]
async fn known_tenants_are_read_and_written_while_the_registry_is_away() {
    let proxy = Proxy::before(server::shared().await).await;
    let app = TestApp::build().without_daily_quotas().with_registry_proxy(proxy.address).start().await;
    let (schema, database) =
        (app.sign_up("schema", "basic", "crm").await, app.sign_up("database", "premium", "crm").await);
    let unknown = app.sign_up("unknown", "basic", "crm").await;
    for tenant in [&schema, &database] {
        tenant.data.get("/api/contacts").await.expect(200);
    }

    proxy.cut();
    for tenant in [&schema, &database] {
        for n in 0..20 {
            tenant
                .data
                .post("/api/contacts", json!({ "email": format!("{n}@example.com") }))
                .await
                .expect(201);
        }
        let found = tenant.data.get("/api/contacts?select=email").await.expect(200).json();
        assert_eq!(found.as_array().unwrap().len(), 20);
    }
    unknown.data.get("/api/contacts").await.expect_problem(503, "registry_unavailable");

    // Changed while the data plane cannot hear of it; seen soon after it can again.
    app.api.post_and_wait(&format!("/api/v1/tenants/{}/suspend", schema.slug), json!({})).await.expect(200);
    schema.data.get("/api/contacts").await.expect(200);
    proxy.mend();
    app.routes_caught_up().await;
    schema.data.get("/api/contacts").await.expect_problem(403, "tenant_suspended");
    unknown.data.get("/api/contacts").await.expect(200);

    // And once the registry is back, the next request after a change is heard of sees it.
    app.api.post_and_wait(&format!("/api/v1/tenants/{}/suspend", database.slug), json!({})).await.expect(200);
    app.routes_caught_up().await;
    database.data.get("/api/contacts").await.expect_problem(403, "tenant_suspended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_takes_no_writes_is_said_to_be_away() {
    let app = TestApp::build().without_daily_quotas().start().await;
    // As a replica is until it is promoted. For sessions that begin from now on.
    let read_only = "DO $$ BEGIN
            EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database());
            PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid();
        END $$";
    sqlx::raw_sql(read_only).execute(app.owner()).await.unwrap();
    let body = json!({ "name": "Acme", "slug": app.slug("acme"), "plan": "basic", "app": "crm" });
    within(Duration::from_secs(10), "the API writes on a session that began after that", async || {
        let refused = app.api.post("/api/v1/tenants", body.clone()).await;
        assert!(refused.status != 500, "{}", refused.text);
        refused.status == 503 && refused.json()["code"] == "registry_unavailable"
    })
    .await;
    app.api.get("/api/v1/plans").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_plane_that_missed_a_purge_cannot_serve_the_slug_s_next_tenant_to_the_last_one() {
    let proxy = Proxy::before(server::shared().await).await;
    let app = TestApp::build().without_daily_quotas().with_registry_proxy(proxy.address).start().await;
    for plan in ["basic", "premium"] {
        proxy.mend();
        let first = app.sign_up(plan, plan, "crm").await;
        first.data.get("/api/contacts").await.expect(200);

        // The data plane keeps the first tenant's route and key, and hears nothing of what follows.
        proxy.cut();
        app.api.delete_and_wait(&format!("/api/v1/tenants/{}?purge=now", first.slug)).await.expect(200);
        let body = json!({ "name": "Next", "slug": first.slug, "plan": plan, "app": "crm" });
        app.api.post_and_wait("/api/v1/tenants", body).await.expect(201);

        let read = first.data.get("/api/contacts").await;
        assert!(!read.status.is_success(), "{plan}: {read:?}");
        read.assert_problem();
        let write = first.data.post("/api/contacts", json!({ "email": "old@example.com" })).await;
        assert!(!write.status.is_success(), "{plan}: {write:?}");
    }
}
