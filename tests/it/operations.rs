//! Operations as clients see them: one at a time, events, retry, cancel.

use std::{sync::Arc, time::Duration};

use reqwest::Method;
use serde_json::json;
use sqlx::AssertSqlSafe;
use tenantry_domain::operation::OperationKind;
use tenantry_tests::{
    TestApp,
    probe::{FailAt, Gate},
    server,
    within::within,
};
use tenantry_worker::engine::{Moment, Point};

const AT_LAST_STEP: FailAt = FailAt {
    point: Point { kind: OperationKind::Provision, step: "create_schema", moment: Moment::Ran },
    transient: false,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_second_operation_on_a_tenant_is_refused_with_the_id_of_the_first() {
    let app = TestApp::build().without_worker().start().await;
    let slug = app.slug("acme");
    let body = json!({ "name": "Acme", "slug": slug, "plan": "basic", "app": "crm" });
    let first = app.api.post("/api/v1/tenants", body).await.expect(202);
    assert_eq!(
        first.header("location").unwrap(),
        format!("/api/v1/operations/{}", first.json()["operation"]["id"].as_str().unwrap())
    );
    let refused = app.api.post(&format!("/api/v1/tenants/{slug}/resume"), json!({})).await;
    assert_eq!(refused.status, 409, "{}", refused.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_event_stream_tells_the_story_and_resumes_after_the_last_event() {
    let app = TestApp::start().await;
    let slug = app.slug("acme");
    let body = json!({ "name": "Acme", "slug": slug, "plan": "basic", "app": "crm" });
    let id = app.api.post("/api/v1/tenants", body).await.expect(202).json()["operation"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!("/api/v1/operations/{id}/events");
    let story = app.api.get(&path).await.expect(200);
    assert_eq!(story.header("content-type").as_deref(), Some("text/event-stream"));
    let operation = app.api.get(&format!("/api/v1/operations/{id}")).await.expect(200).json();
    assert_eq!(operation["steps"], json!(["place", "create_schema"]));
    for step in operation["steps"].as_array().unwrap().iter().map(|step| step.as_str().unwrap()) {
        assert!(story.text.contains(&format!("\"step\":\"{step}\"")), "no {step} in {}", story.text);
    }
    assert!(story.text.contains("event: succeeded"), "{}", story.text);

    let ids: Vec<&str> = story.text.lines().filter_map(|line| line.strip_prefix("id: ")).collect();
    let middle = ids[ids.len() / 2];
    let rest =
        app.api.send(app.api.request(Method::GET, &path).header("last-event-id", middle)).await.expect(200);
    let seen: Vec<&str> = rest.text.lines().filter_map(|line| line.strip_prefix("id: ")).collect();
    assert_eq!(seen, ids[ids.len() / 2 + 1..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sign_up_is_undone_says_why_and_can_be_tried_again() {
    let mut app = TestApp::build().with_probe(AT_LAST_STEP).start().await;
    let slug = app.slug("acme");
    let body = json!({ "name": "Acme", "slug": slug, "plan": "basic", "app": "crm" });
    let answer = app.api.post_and_wait("/api/v1/tenants", body).await.expect_problem(422, "operation_failed");
    assert!(answer.text.contains("create_schema: the test says so"), "{}", answer.text);
    let tenant = app.api.get(&format!("/api/v1/tenants/{slug}")).await.expect(200).json();
    assert_eq!(tenant["status"], "failed");
    app.assert_nothing_left().await;

    // A worker that works.
    app.stop_worker().await;
    let worker = app.second_worker();
    let operations = app.api.get(&format!("/api/v1/tenants/{slug}/operations")).await.json();
    let id = operations["items"][0]["id"].as_str().unwrap().to_owned();
    app.api.post(&format!("/api/v1/operations/{id}/retry"), json!({})).await.expect(202);
    assert_eq!(app.operation_ended(&id).await["state"], "succeeded");
    assert_eq!(app.api.get(&format!("/api/v1/tenants/{slug}")).await.json()["status"], "active");
    drop(worker);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queued_operation_is_cancelled_and_undone() {
    let app = TestApp::build().without_worker().start().await;
    let slug = app.slug("acme");
    let body = json!({ "name": "Acme", "slug": slug, "plan": "basic", "app": "crm" });
    let id = app.api.post("/api/v1/tenants", body).await.expect(202).json()["operation"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    app.api.post(&format!("/api/v1/operations/{id}/cancel"), json!({})).await.expect(202);
    let worker = app.second_worker();
    assert_eq!(app.operation_ended(&id).await["state"], "cancelled");
    assert_eq!(app.api.get(&format!("/api/v1/tenants/{slug}")).await.json()["status"], "failed");
    app.assert_nothing_left().await;
    app.api.post(&format!("/api/v1/operations/{id}/cancel"), json!({})).await.expect(409);
    drop(worker);
}

/// Signs a tenant up, asks for its purge, and answers its slug and the purge's id once the worker stands at
/// the gate.
async fn purge_up_to(app: &TestApp, gate: &Gate) -> (String, String) {
    let slug = app.sign_up("acme", "basic", "crm").await.slug;
    let purge = app.api.delete(&format!("/api/v1/tenants/{slug}?purge=now")).await.expect(202).json();
    gate.reached().await;
    (slug, purge["operation"]["id"].as_str().unwrap().to_owned())
}

async fn assert_served(app: &TestApp, slug: &str) {
    assert_eq!(app.api.get(&format!("/api/v1/tenants/{slug}")).await.json()["status"], "active");
    let key = app.data_key(slug).await;
    let data = app.data.with_host(format!("{slug}.localhost")).with_key(key);
    data.get("/api/contacts").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_that_is_cancelled_before_the_first_drop_drops_nothing() {
    let gate = Arc::new(Gate::at("close_login"));
    let app = TestApp::build().with_shared_probe(gate.clone()).start().await;
    let (slug, id) = purge_up_to(&app, &gate).await;
    app.api.post(&format!("/api/v1/operations/{id}/cancel"), json!({})).await.expect(202);
    gate.open();
    assert_eq!(app.operation_ended(&id).await["state"], "cancelled");
    assert_served(&app, &slug).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_lost_worker_did_not_record_is_undone_too() {
    let gate = Arc::new(Gate::at("close_login"));
    let app = TestApp::build().with_shared_probe(gate.clone()).start().await;
    let (slug, id) = purge_up_to(&app, &gate).await;
    app.until_zero("SELECT count(*) FROM operations WHERE kind = 'purge' AND steps_done = 0").await;
    assert_eq!(app.api.get(&format!("/api/v1/tenants/{slug}")).await.json()["status"], "purging");
    app.api.post(&format!("/api/v1/operations/{id}/cancel"), json!({})).await.expect(202);
    // As if another worker had taken it, and the record had been lost with the registry.
    let lost = "UPDATE operations SET steps_done = 0, attempts = attempts + 1, fence = fence + 1,
                    lease_expires_at = now() WHERE kind = 'purge'";
    sqlx::query(lost).execute(app.owner()).await.unwrap();
    let worker = app.second_worker();
    assert_eq!(app.operation_ended(&id).await["state"], "cancelled");
    assert_served(&app, &slug).await;
    gate.open();
    drop(worker);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_up_that_is_cancelled_in_its_last_step_is_undone() {
    let gate = Arc::new(Gate::at("create_schema"));
    let app = TestApp::build().with_shared_probe(gate.clone()).start().await;
    let slug = app.slug("acme");
    let body = json!({ "name": "Acme", "slug": slug, "plan": "basic", "app": "crm" });
    let begun = app.api.post("/api/v1/tenants", body).await.expect(202).json();
    let id = begun["operation"]["id"].as_str().unwrap();
    gate.reached().await;
    app.api.post(&format!("/api/v1/operations/{id}/cancel"), json!({})).await.expect(202);
    gate.open();
    assert_eq!(app.operation_ended(id).await["state"], "cancelled");
    assert_eq!(app.api.get(&format!("/api/v1/tenants/{slug}")).await.json()["status"], "failed");
    app.assert_nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_up_that_meets_somebody_else_s_role_ends_and_leaves_it_alone() {
    let app = TestApp::start().await;
    let slug = app.slug("acme");
    let role = format!("\"tenant_{}\"", slug.replace('-', "_"));
    let mut connection = server::admin(app.server(), "postgres").await;
    sqlx::raw_sql(AssertSqlSafe(format!("CREATE ROLE {role}"))).execute(&mut connection).await.unwrap();
    let body = json!({ "name": "Acme", "slug": slug, "plan": "basic", "app": "crm" });
    let refused =
        app.api.post_and_wait("/api/v1/tenants", body).await.expect_problem(422, "operation_failed");
    assert!(refused.text.contains("create_schema: "), "{}", refused.text);
    // The slug can be given up, and the role is still its owner's.
    app.api.delete_and_wait(&format!("/api/v1/tenants/{slug}?purge=now")).await.expect(200);
    sqlx::raw_sql(AssertSqlSafe(format!("DROP ROLE {role}"))).execute(&mut connection).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_that_begins_does_not_deadlock_with_one_that_ends() {
    // The step that changes the tenant's status.
    let gate = Arc::new(Gate::at("close_route"));
    let app = TestApp::build().with_shared_probe(gate.clone()).start().await;
    let tenant = app.sign_up("acme", "basic", "crm").await;
    let suspend = format!("/api/v1/tenants/{}/suspend", tenant.slug);
    let ends = app.api.post(&suspend, json!({})).await.expect(202).json();
    gate.reached().await;
    // Both wait for the tenant's row: first the one that begins, then the one that ends.
    let mut row = app.owner().begin().await.unwrap();
    sqlx::query("SELECT FROM tenants FOR UPDATE").execute(&mut *row).await.unwrap();
    let waiting = "SELECT greatest(0, $1 - count(*)) FROM pg_stat_activity
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let wait = async |count: i64| {
        within(Duration::from_secs(10), "they wait for the row", async || {
            sqlx::query_scalar::<_, i64>(waiting).bind(count).fetch_one(app.owner()).await.unwrap() == 0
        })
        .await;
    };
    let release = async {
        wait(1).await;
        gate.open();
        wait(2).await;
        row.rollback().await.unwrap();
    };
    let (begins, ()) = tokio::join!(app.api.post(&suspend, json!({})), release);
    begins.expect(409);
    let ended = app.operation_ended(ends["operation"]["id"].as_str().unwrap()).await;
    assert_eq!(ended["state"], "succeeded");
    app.until_zero("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").await;
}
