//! What was found on an engine without fences, each as it was found.

use futures::FutureExt;
use serde_json::json;
use tenantry_tests::freezing::{At, Side};

use super::{
    stage::Stage,
    world::{forgotten_warm_tenants, imbalances},
};

/// Freezes a worker of its own before the message with a text; lets another finish.
async fn frozen_at(stage: &mut Stage, operation: &str, fail_at: Option<&str>, text: &'static str) -> Woken {
    let (watched, process) = stage.start_frozen(operation, fail_at, At::Text(text), Side::Before).await;
    stage.start_worker().await;
    Woken { watched, process }
}

struct Woken {
    watched: std::sync::Arc<tenantry_tests::freezing::Watched>,
    process: tenantry_tests::one_operation::OneOperationProcess,
}

impl Woken {
    async fn goes_on(mut self) {
        self.watched.release().await;
        let ended = self.process.ended().await;
        assert_eq!(ended, "Lost");
    }
}

async fn signs_up_again_and_keeps_its_rows(plan: &'static str, drop: &'static str) {
    let mut stage = Stage::set(false).await;
    stage.start_worker().await;
    let first = stage.app.sign_up("acme", plan, "crm").await;
    stage.app.stop_worker().await;
    let path = format!("/api/v1/tenants/{}?purge=now", first.slug);
    let purge =
        stage.app.api.delete(&path).await.expect(202).json()["operation"]["id"].as_str().unwrap().to_owned();
    let woken = frozen_at(&mut stage, &purge, None, drop).await;
    let app = &stage.app;
    assert_eq!(app.operation_ended(&purge).await["state"], "succeeded");
    let second = app.sign_up("acme", plan, "crm").await;
    second.data.post("/api/contacts", json!({ "email": "kept@example.com" })).await.expect(201);
    woken.goes_on().await;
    let rows = second.data.get("/api/contacts?select=email&email=eq.kept@example.com").await.expect(200);
    assert_eq!(rows.json(), json!([{ "email": "kept@example.com" }]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_that_wakes_up_before_drop_database_spares_the_database_of_who_took_the_slug() {
    signs_up_again_and_keeps_its_rows("premium", "DROP DATABASE").boxed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_that_wakes_up_before_drop_schema_spares_the_schema_of_who_took_the_slug() {
    signs_up_again_and_keeps_its_rows("basic", "DROP SCHEMA").boxed().await;
}

async fn is_tried_again_and_keeps_its_rows(plan: &'static str, fail_at: &'static str, undo: &'static str) {
    let mut stage = Stage::set(false).await;
    let slug = stage.app.slug("acme");
    let body = json!({ "name": "Acme", "slug": slug, "plan": plan, "app": "crm" });
    let answer = stage.app.api.post("/api/v1/tenants", body).await.expect(202).json();
    let id = answer["operation"]["id"].as_str().unwrap();
    let woken = frozen_at(&mut stage, id, Some(fail_at), undo).await;
    let app = &stage.app;
    assert_eq!(app.operation_ended(id).await["state"], "failed");
    app.api.post(&format!("/api/v1/operations/{id}/retry"), json!({})).await.expect(202);
    assert_eq!(app.operation_ended(id).await["state"], "succeeded");
    let data = app.data.with_host(format!("{slug}.localhost")).with_key(app.data_key(&slug).await);
    data.post("/api/contacts", json!({ "email": "kept@example.com" })).await.expect(201);
    woken.goes_on().await;
    let rows = data.get("/api/contacts?select=email&email=eq.kept@example.com").await.expect(200);
    assert_eq!(rows.json(), json!([{ "email": "kept@example.com" }]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_that_wakes_up_spares_the_schema_of_a_retry() {
    is_tried_again_and_keeps_its_rows("basic", "provision/create_schema/ran", "DROP SCHEMA").boxed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_that_wakes_up_spares_the_database_of_a_retry() {
    is_tried_again_and_keeps_its_rows("premium", "provision/adopt_schema/ran", "THEN ALTER DATABASE")
        .boxed()
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_outside_of_transactions_ends_when_another_worker_takes_over() {
    let mut stage = Stage::set(false).await;
    // Versions are tried by a worker.
    stage.start_worker().await;
    let api = &stage.app.api;
    api.put("/api/v1/apps/indexed", json!({ "manifest": {} })).await.expect(200);
    let up = [
        "CREATE TABLE notes (id int PRIMARY KEY, word text)",
        "-- no-transaction\nCREATE INDEX CONCURRENTLY notes_word ON notes (word)",
    ];
    for (version, up) in (1..).zip(up) {
        let body = json!({ "version": version, "name": format!("v{version}"), "up": up });
        api.post("/api/v1/apps/indexed/versions", body).await.expect(201);
    }
    api.post("/api/v1/apps/indexed/versions/2/promote", json!({})).await.expect(200);
    stage.app.stop_worker().await;
    let api = &stage.app.api;
    let slug = stage.app.slug("acme");
    let body = json!({ "name": "Acme", "slug": slug, "plan": "basic", "app": "indexed" });
    let answer = api.post("/api/v1/tenants", body).await.expect(202).json();
    let id = answer["operation"]["id"].as_str().unwrap();
    let woken = frozen_at(&mut stage, id, None, "CREATE INDEX CONCURRENTLY").await;
    assert_eq!(stage.app.operation_ended(id).await["state"], "succeeded");
    // Nobody who would find out by and by that the server is there after all.
    stage.app.stop_worker().await;
    woken.goes_on().await;
    let app = &stage.app;
    let away = "SELECT count(*) FROM servers WHERE unreachable_since IS NOT NULL";
    assert_eq!(app.count(away).await, 0, "that its session was ended says nothing about the server");
    let data = app.data.with_host(format!("{slug}.localhost")).with_key(app.data_key(&slug).await);
    data.post("/api/notes", json!({ "id": 1, "word": "kept" })).await.expect(201);
    assert!(imbalances(app).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warm_tenant_that_a_frozen_worker_took_is_not_forgotten() {
    let mut stage = Stage::set(true).await;
    stage.start_worker().await;
    stage.app.until_zero("SELECT greatest(0, 2 - count(*)) FROM warm_tenants").await;
    stage.app.stop_worker().await;
    // A worker that stops while it makes one leaves that to the next round.
    stage.app.keep_from_workers("fill_warm_tenants").await;
    let slug = stage.app.slug("acme");
    let body = json!({ "name": "Acme", "slug": slug, "plan": "basic", "app": "crm" });
    let answer = stage.app.api.post("/api/v1/tenants", body).await.expect(202).json();
    let id = answer["operation"]["id"].as_str().unwrap();
    // It has taken one, and not placed the tenant.
    let woken = frozen_at(&mut stage, id, None, "INSERT INTO placements").await;
    let app = &mut stage.app;
    assert_eq!(app.operation_ended(id).await["state"], "succeeded");
    app.stop_worker().await;
    woken.goes_on().await;
    assert!(imbalances(app).await.is_empty());
    assert!(forgotten_warm_tenants(app).await.is_empty());
}
