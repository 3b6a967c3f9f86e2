//! An end for everything: operations that can go neither forward nor back, and the ways out.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use serde_json::json;
use tenantry_postgres::embedded::Durability;
use tenantry_tests::{TestApp, probe::Gate, server, within::within};
use tenantry_worker::{
    StepError,
    engine::{Moment, Point, Probe},
};

/// A step that fails for good, and whose undo fails again and again.
struct NeitherWay;

#[async_trait]
impl Probe for NeitherWay {
    async fn reached(&self, point: Point) -> Result<(), StepError> {
        match (point.step, point.moment) {
            ("create_schema", Moment::Ran) => Err(StepError::permanent("the test says so")),
            ("create_schema", Moment::Undone) => Err(StepError::transient("a wall is in the way")),
            _ => Ok(()),
        }
    }
}

/// A move that fails for good, and leaves the new placement as it is.
struct LeavesItsTarget;

#[async_trait]
impl Probe for LeavesItsTarget {
    async fn reached(&self, point: Point) -> Result<(), StepError> {
        match (point.step, point.moment) {
            ("cutover", Moment::Before) => Err(StepError::permanent("the test says so")),
            ("prepare", Moment::Undone) => Err(StepError::transient("a wall is in the way")),
            _ => Ok(()),
        }
    }
}

/// A step that panics whenever it is reached.
struct PanicsAt(&'static str);

#[async_trait]
impl Probe for PanicsAt {
    async fn reached(&self, point: Point) -> Result<(), StepError> {
        assert!(point.step != self.0 || point.moment != Moment::Before, "the test pulls the plug");
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn undoing_that_cannot_go_on_is_stuck_says_what_is_in_the_way_and_goes_on_when_retried() {
    let mut app = TestApp::build().with_probe(NeitherWay).start().await;
    let slug = app.slug("acme");
    let id = app.begin_sign_up(&slug, "basic").await;
    let stuck = app.operation_ended(&id).await;
    assert_eq!(stuck["state"], "stuck", "{stuck}");
    let error = stuck["error"].as_str().unwrap();
    assert!(error.contains("undoing create_schema") && error.contains("a wall is in the way"), "{error}");
    // Neither is a way out.
    app.api.post(&format!("/api/v1/operations/{id}/cancel"), json!({})).await.expect(409);
    app.api.delete(&format!("/api/v1/tenants/{slug}?purge=now")).await.expect(409);

    app.stop_worker().await;
    let worker = app.second_worker();
    app.api.post(&format!("/api/v1/operations/{id}/retry"), json!({})).await.expect(202);
    let ended = app.operation_ended(&id).await;
    assert_eq!(ended["state"], "failed", "{ended}");
    app.assert_nothing_left().await;
    drop(worker);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_that_was_cancelled_and_is_abandoned_leaves_the_tenant_as_it_was() {
    let mut other = server::start(Durability::Volatile).await.unwrap();
    let app = TestApp::start().await;
    app.api.patch("/api/v1/servers/main", json!({ "state": "cordoned" })).await.expect(200);
    app.add_server("alpha", &other).await;
    let tenant = app.sign_up("acme", "basic", "crm").await;
    tenant.data.post("/api/contacts", json!({ "email": "a@example.com" })).await.expect(201);
    other.suspend_server().await.unwrap();
    let path = format!("/api/v1/tenants/{}?purge=now", tenant.slug);
    let begun = app.api.delete(&path).await.expect(202).json();
    let id = begun["operation"]["id"].as_str().unwrap().to_owned();
    app.operation_is(&id, "waiting").await;
    app.api.post(&format!("/api/v1/operations/{id}/cancel"), json!({})).await.expect(202);
    app.until_zero("SELECT 1 - count(*) FROM operations WHERE state = 'waiting' AND undoing").await;
    let reason = json!({ "reason": "it takes too long" });
    app.api.post(&format!("/api/v1/operations/{id}/abandon"), reason).await.expect(200);
    let kept = app.api.get(&format!("/api/v1/tenants/{}", tenant.slug)).await.expect(200).json();
    assert_eq!(kept["status"], "active", "{kept}");
    other.resume_server().await.unwrap();
    within(Duration::from_mins(1), "it is served as before", async || {
        let answer = tenant.data.get("/api/contacts").await;
        answer.status == 200 && answer.text.contains("a@example.com")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn abandoning_needs_its_scope_and_a_reason_lists_what_is_left_and_frees_the_slug() {
    let mut app = TestApp::build().with_probe(NeitherWay).start().await;
    let slug = app.slug("acme");
    let id = app.begin_sign_up(&slug, "basic").await;
    assert_eq!(app.operation_ended(&id).await["state"], "stuck");
    let path = format!("/api/v1/operations/{id}/abandon");
    let reason = json!({ "reason": "the wall stays" });
    let body = json!({ "name": "no", "scopes": ["operations:read", "operations:write"] });
    let key = app.api.post("/api/v1/keys", body).await.expect(201).json();
    let weak = app.api.with_key(key["key"].as_str().unwrap().to_owned());
    weak.post(&path, reason.clone()).await.expect(403);
    app.api.post(&path, json!({})).await.expect(400);
    app.api.post(&path, json!({ "reason": " " })).await.expect(400);

    let taken = "INSERT INTO warm_tenants (server_id, name, app, fingerprint, version, tier, login, password, operation_id)
        SELECT server_id, 'tenantry_warm_t_taken', 'crm', 'any', 1, 'schema', name, '', $1::text::uuid FROM server_logins";
    sqlx::query(taken).bind(&id).execute(app.owner()).await.unwrap();

    let abandoned = app.api.post(&path, reason).await.expect(200).json();
    assert_eq!(app.count("SELECT count(*) FROM warm_tenants WHERE name = 'tenantry_warm_t_taken'").await, 0);
    assert_eq!(abandoned["operation"]["state"], "failed");
    assert!(abandoned["operation"]["error"].as_str().unwrap().contains("the wall stays"));
    let name = format!("tenant_{}", slug.replace('-', "_"));
    let left = json!([
        { "kind": "schema", "name": name, "server": "main" }, { "kind": "role", "name": name, "server": "main" }
    ]);
    assert_eq!(abandoned["left"], left);
    app.api.post(&path, json!({ "reason": "again" })).await.expect_problem(409, "operation_not_stuck");

    app.stop_worker().await;
    let worker = app.second_worker();
    app.api.delete_and_wait(&format!("/api/v1/tenants/{slug}?purge=now")).await.expect(200);
    app.sign_up_as(&slug, "Acme", "basic", "crm").await;
    drop(worker);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_whose_move_is_abandoned_is_served_where_it_was_and_can_be_moved_again() {
    let mut app = TestApp::build().with_probe(LeavesItsTarget).start().await;
    let tenant = app.sign_up("acme", "basic", "crm").await;
    let path = format!("/api/v1/tenants/{}/move", tenant.slug);
    let begun = app.api.post(&path, json!({ "tier": "database" })).await.expect(202).json();
    let id = begun["operation"]["id"].as_str().unwrap().to_owned();
    assert_eq!(app.operation_ended(&id).await["state"], "stuck");
    let abandon = format!("/api/v1/operations/{id}/abandon");
    let abandoned = app.api.post(&abandon, json!({ "reason": "the wall stays" })).await.expect(200).json();
    let name = format!("tenant_{}", tenant.slug.replace('-', "_"));
    let left = json!([{ "kind": "database", "name": name, "server": "main" }]);
    assert_eq!(abandoned["left"], left, "its role is still used");
    let own_logins = "SELECT count(*) FROM server_logins WHERE own";
    assert_eq!(app.count(own_logins).await, 0, "it may become the tenant, and is nobody else's");
    tenant.data.post("/api/contacts", json!({ "email": "a@example.com" })).await.expect(201);
    app.stop_worker().await;
    let worker = app.second_worker();
    app.api.post_and_wait(&path, json!({ "tier": "database" })).await.expect(200);
    let contacts = tenant.data.get("/api/contacts?select=email").await.expect(200).json();
    assert_eq!(contacts, json!([{ "email": "a@example.com" }]));
    app.api.delete_and_wait(&format!("/api/v1/tenants/{}?purge=now", tenant.slug)).await.expect(200);
    app.assert_nothing_left().await;
    drop(worker);
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_an_abandoned_move_has_left_closed_are_named_and_opened_when_the_tenant_is_resumed() {
    let gate = Arc::new(Gate::after("cutover"));
    let app = TestApp::build().with_shared_probe(gate.clone()).start().await;
    let tenant = app.sign_up("acme", "basic", "crm").await;
    let path = format!("/api/v1/tenants/{}", tenant.slug);
    let begun = app.api.post(&format!("{path}/move"), json!({ "tier": "database" })).await.expect(202).json();
    let id = begun["operation"]["id"].as_str().unwrap();
    gate.reached().await;
    let give_up = "UPDATE operations SET state = 'stuck', fence = fence + 1, lease_owner = NULL,
        lease_expires_at = NULL WHERE id = $1::uuid";
    sqlx::query(give_up).bind(id).execute(app.owner()).await.unwrap();
    let abandon = format!("/api/v1/operations/{id}/abandon");
    let abandoned = app.api.post(&abandon, json!({ "reason": "a test" })).await.expect(200).json();
    let name = format!("tenant_{}", tenant.slug.replace('-', "_"));
    let closed = json!({ "kind": "write_fence", "name": name, "server": "main" });
    assert_eq!(abandoned["left"][0], closed, "{abandoned}");
    gate.open();
    app.api.post_and_wait(&format!("{path}/suspend"), json!({})).await.expect(200);
    app.api.post_and_wait(&format!("{path}/resume"), json!({})).await.expect(200);
    app.routes_caught_up().await;
    tenant.data.post("/api/contacts", json!({ "email": "a@example.com" })).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_panics_again_and_again_is_undone() {
    let app = TestApp::build().with_probe(PanicsAt("create_schema")).start().await;
    let id = app.begin_sign_up(&app.slug("acme"), "basic").await;
    let failed = app.operation_ended(&id).await;
    assert_eq!(failed["state"], "failed", "{failed}");
    assert!(failed["error"].as_str().unwrap().contains("the test pulls the plug"), "{failed}");
    app.assert_nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn past_its_point_of_no_return_a_step_that_panics_again_and_again_is_stuck() {
    let app = TestApp::build().with_probe(PanicsAt("drop_data")).start().await;
    let tenant = app.sign_up("acme", "basic", "crm").await;
    let path = format!("/api/v1/tenants/{}?purge=now", tenant.slug);
    let id = app.api.delete(&path).await.expect(202).json()["operation"]["id"].as_str().unwrap().to_owned();
    let stuck = app.operation_ended(&id).await;
    assert_eq!(stuck["state"], "stuck", "{stuck}");
    assert!(stuck["error"].as_str().unwrap().contains("the test pulls the plug"), "{stuck}");
    // Abandoned, it counts as purged: the slug is free.
    let abandon = format!("/api/v1/operations/{id}/abandon");
    let abandoned = app.api.post(&abandon, json!({ "reason": "later" })).await.expect(200).json();
    assert_eq!(abandoned["left"].as_array().unwrap().len(), 2);
    app.api.get(&format!("/api/v1/tenants/{}", tenant.slug)).await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_cannot_be_read_is_stuck_after_some_tries_and_can_be_abandoned() {
    let app = TestApp::build().without_worker().start().await;
    let slug = app.slug("acme");
    let id = app.begin_sign_up(&slug, "basic").await;
    let corrupt = r#"UPDATE operations SET input = '{"kind": "provision", "was": 7, "kind": 3}'"#;
    sqlx::query(corrupt).execute(app.owner()).await.unwrap();
    let worker = app.worker_with(
        |settings| settings.lease = Duration::from_millis(300),
        std::sync::Arc::new(tenantry_worker::operations::Operations),
    );
    let stuck = app.operation_is(&id, "stuck").await;
    let error = stuck["error"].as_str().unwrap();
    assert!(error.contains("operations.input"), "{error}");
    assert!(stuck["attempts"].as_u64().unwrap() <= 12, "{stuck}");
    // It hides no other.
    app.api.get("/api/v1/operations").await.expect(200);
    let reason = json!({ "reason": "nobody can read it" });
    app.api.post(&format!("/api/v1/operations/{id}/abandon"), reason).await.expect(200);
    app.api
        .post(&format!("/api/v1/operations/{id}/retry"), json!({}))
        .await
        .expect_problem(409, "operation_unreadable");
    app.api.delete_and_wait(&format!("/api/v1/tenants/{slug}?purge=now")).await.expect(200);
    app.sign_up_as(&slug, "Acme", "basic", "crm").await;
    worker.stop().await;
}
