//! Operations as clients see them: one at a time, events, retry, cancel.

use reqwest::Method;
use serde_json::json;
use tenantry_domain::operation::OperationKind;
use tenantry_tests::{TestApp, probe::FailAt};
use tenantry_worker::engine::{Moment, Point};

const AT_SEED: FailAt = FailAt {
    point: Point { kind: OperationKind::Provision, step: "seed", moment: Moment::Before },
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
    // Purging applies to a tenant whose provisioning failed; while it is at work, it is refused.
    let refused = app.api.delete(&format!("/api/v1/tenants/{slug}?purge=now")).await;
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
    let steps: Vec<&str> = ["place", "create_role", "create_schema", "migrate", "seed"].to_vec();
    for step in steps {
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
    let mut app = TestApp::build().with_probe(AT_SEED).start().await;
    let slug = app.slug("acme");
    let body = json!({ "name": "Acme", "slug": slug, "plan": "basic", "app": "crm" });
    let answer = app.api.post_and_wait("/api/v1/tenants", body).await.expect_problem(422, "operation_failed");
    assert!(answer.text.contains("seed: the test says so"), "{}", answer.text);
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
