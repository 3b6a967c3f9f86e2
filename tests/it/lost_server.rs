//! A server that is lost for good: it is given up with what it held.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use tenantry_domain::{SystemClock, operation::OperationKind};
use tenantry_postgres::embedded::Durability;
use tenantry_registry::FencedError;
use tenantry_tests::{TestApp, probe::Gate, server};

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_server_is_removed_with_its_tenants_and_their_slugs_are_free() {
    let mut other = server::start(Durability::Volatile).await.unwrap();
    let app =
        TestApp::build().without_daily_quotas().worker(|settings| settings.warm_tenants = 1).start().await;
    app.api.patch("/api/v1/servers/main", json!({ "state": "cordoned" })).await.expect(200);
    app.add_server("alpha", &other).await;
    app.api.delete("/api/v1/servers/alpha?lost=true").await.expect_problem(409, "server_reachable");
    let idle = app.sign_up("idle", "basic", "crm").await;
    let waits = app.sign_up("waits", "premium", "crm").await;
    let stuck = app.sign_up("stuck", "basic", "crm").await;
    let frozen = app.sign_up("frozen", "basic", "crm").await;
    app.api.patch("/api/v1/servers/main", json!({ "state": "active" })).await.expect(200);
    app.api.patch("/api/v1/servers/alpha", json!({ "state": "cordoned" })).await.expect(200);
    let elsewhere = app.sign_up("elsewhere", "basic", "crm").await;
    // It was on the lost server once.
    let retired = "INSERT INTO placements (tenant_id, epoch, state, tier, server_id, database, schema, login,
            role_password, created_at)
        SELECT tenant_id, 7, 'retired', tier, servers.id, database, schema,
            (SELECT name FROM server_logins WHERE server_id = servers.id LIMIT 1), role_password, now()
        FROM placements JOIN tenants ON tenants.id = tenant_id, servers
        WHERE slug = $1 AND servers.name = 'alpha'";
    sqlx::query(retired).bind(&elsewhere.slug).execute(app.owner()).await.unwrap();

    other.suspend_server().await.unwrap();
    let suspend = async |slug: &str| {
        let path = format!("/api/v1/tenants/{slug}/suspend");
        let begun = app.api.post(&path, json!({})).await.expect(202).json();
        begun["operation"]["id"].as_str().unwrap().to_owned()
    };
    let mut ids = Vec::new();
    for tenant in [&waits, &stuck, &frozen] {
        ids.push(suspend(&tenant.slug).await);
    }
    for id in &ids {
        app.operation_is(id, "waiting").await;
    }
    let make_stuck = "UPDATE operations SET state = 'stuck', waiting_for = NULL, error = 'the test says so'
                 WHERE state = 'waiting' AND subject_name = $1";
    sqlx::query(make_stuck).bind(&stuck.slug).execute(app.owner()).await.unwrap();
    // A worker that holds the third and is frozen from here on.
    let registry = app.idle_worker(SystemClock::shared()).resources().registry.clone();
    let due = "UPDATE operations SET run_after = now() - interval '1 second' WHERE subject_name = $1";
    sqlx::query(due).bind(&frozen.slug).execute(app.owner()).await.unwrap();
    let id = ids[2].parse().unwrap();
    let hour = Duration::from_hours(1);
    let lease = loop {
        // The worker's own look may be at it.
        if let Some(lease) =
            registry.operation_lease(id, "frozen", hour, OperationKind::ALL, 9).await.unwrap()
        {
            break lease;
        }
    };

    app.api.delete("/api/v1/servers/alpha").await.expect_problem(409, "server_in_use");
    let removed = app.api.delete_and_wait("/api/v1/servers/alpha?lost=true").await.expect(200).json();
    assert_eq!(removed["operation"]["state"], "succeeded", "{removed}");
    assert_eq!(removed["operation"]["subject"]["name"], "alpha");
    app.api.get("/api/v1/servers/alpha").await.expect(404);
    for id in &ids {
        let ended = app.operation_ended(id).await;
        assert_eq!(ended["state"], "failed", "{ended}");
        assert!(ended["error"].as_str().unwrap().contains("lost"), "{ended}");
    }
    let late = registry.operation_heartbeat(&lease, Some((0.5, "late"))).await;
    assert!(matches!(late, Err(FencedError::LeaseLost(_))), "{late:?}");

    for tenant in [&idle, &waits, &stuck, &frozen] {
        app.api.get(&format!("/api/v1/tenants/{}", tenant.slug)).await.expect(404);
        let gone = app.api.get(&format!("/api/v1/tenants/{}", tenant.id)).await.expect(200).json();
        assert_eq!(gone["status"], "purged");
        let again = app.sign_up_as(&tenant.slug, "Again", "basic", "crm").await;
        again.data.get("/api/contacts").await.expect(200);
    }
    // Served from elsewhere, it only lost what it had there.
    elsewhere.data.get("/api/contacts").await.expect(200);
    assert_eq!(app.count("SELECT count(*) FROM placements WHERE epoch = 7").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_has_at_most_one_unfinished_operation() {
    let app = TestApp::build().without_daily_quotas().without_worker().start().await;
    let away = "UPDATE servers SET unreachable_since = now(), unreachable_error = 'the test says so'";
    sqlx::query(away).execute(app.owner()).await.unwrap();
    let first = app.api.delete("/api/v1/servers/main?lost=true").await.expect(202).json();
    let second = app.api.delete("/api/v1/servers/main?lost=true").await;
    let second = second.expect_problem(409, "operation_in_progress").json();
    assert_eq!(second["operationId"], first["operation"]["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_was_moving_to_a_server_that_is_given_up_is_served_where_it_was() {
    let gate = Arc::new(Gate::after("cutover"));
    let app = TestApp::build().without_daily_quotas().with_shared_probe(gate.clone()).start().await;
    let tenant = app.sign_up("acme", "basic", "crm").await;
    tenant.data.post("/api/contacts", json!({ "email": "a@example.com" })).await.expect(201);
    let other = server::start(Durability::Volatile).await.unwrap();
    app.add_server("other", &other).await;
    let path = format!("/api/v1/tenants/{}/move", tenant.slug);
    let begun = app.api.post(&path, json!({ "server": "other" })).await.expect(202).json();
    gate.reached().await;
    let away = "UPDATE servers SET unreachable_since = now(), unreachable_error = 'the test says so'
        WHERE name = 'other'";
    sqlx::query(away).execute(app.owner()).await.unwrap();
    app.api.delete_and_wait("/api/v1/servers/other?lost=true").await.expect(200);
    gate.open();
    let ended = app.operation_ended(begun["operation"]["id"].as_str().unwrap()).await;
    assert_eq!(ended["state"], "failed", "{ended}");
    app.routes_caught_up().await;
    tenant.data.post("/api/contacts", json!({ "email": "b@example.com" })).await.expect(201);
    let contacts = tenant.data.get("/api/contacts?select=email&order=email").await.expect(200).json();
    assert_eq!(contacts, json!([{ "email": "a@example.com" }, { "email": "b@example.com" }]));
}
