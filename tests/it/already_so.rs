//! A tenant that has the status which is asked for is answered as it is, so that the request can be
//! repeated.

use serde_json::{Value, json};
use tenantry_tests::TestApp;

#[tokio::test(flavor = "multi_thread")]
async fn suspending_a_suspended_tenant_and_resuming_an_active_one_answers_it_as_it_is() {
    let app = TestApp::start().await;
    let tenant = app.sign_up("acme", "basic", "crm").await;
    let path = format!("/api/v1/tenants/{}", tenant.slug);
    let operations = async || app.count("SELECT count(*) FROM operations").await;
    for (verb, status) in [("resume", "active"), ("suspend", "suspended"), ("suspend", "suspended")] {
        let before = operations().await;
        let is_so = app.api.get(&path).await.expect(200).json()["status"] == status;
        let answer = app.api.post_and_wait(&format!("{path}/{verb}"), json!({})).await.expect(200).json();
        assert_eq!(answer["tenant"]["status"], status);
        assert_eq!(answer["operation"] == Value::Null, is_so, "{verb}: {answer}");
        assert_eq!(operations().await, before + i64::from(!is_so));
    }
    // What does not lead there is refused as before.
    app.api.post(&format!("{path}/restore"), json!({})).await.expect_problem(409, "operation_refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_a_deleted_tenant_answers_it_as_it_is_and_moves_no_time_of_purge() {
    let app = TestApp::start().await;
    let tenant = app.sign_up("acme", "basic", "crm").await;
    let path = format!("/api/v1/tenants/{}", tenant.id);
    let first = app.api.delete_and_wait(&path).await.expect(200).json();
    let again = app.api.delete_and_wait(&path).await.expect(200).json();
    assert_eq!(again["operation"], Value::Null);
    assert!(again["tenant"]["purgeAt"].is_string());
    assert_eq!(again["tenant"]["purgeAt"], first["tenant"]["purgeAt"]);
    app.api.post_and_wait(&format!("{path}/restore"), json!({})).await.expect(200);
    let restored = app.api.post_and_wait(&format!("{path}/restore"), json!({})).await.expect(200).json();
    assert_eq!((&restored["tenant"]["status"], &restored["operation"]), (&json!("active"), &Value::Null));

    app.api.delete_and_wait(&format!("{path}?purge=now")).await.expect(200);
    let purged = app.api.delete_and_wait(&format!("{path}?purge=now")).await.expect(200).json();
    assert_eq!((&purged["tenant"]["status"], &purged["operation"]), (&json!("purged"), &Value::Null));
    // It can no longer be restored by way of a deletion that keeps the data.
    app.api.delete(&path).await.expect_problem(409, "operation_refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_is_being_changed_is_not_said_to_be_so_already() {
    let app = TestApp::build().without_worker().start().await;
    let slug = app.slug("acme");
    let body = json!({ "name": "Acme", "slug": slug, "plan": "basic", "app": "crm" });
    app.api.post("/api/v1/tenants", body).await.expect(202);
    for statement in [
        "UPDATE operations SET state = 'succeeded', finished_at = now()",
        "UPDATE tenants SET status = 'suspended'",
    ] {
        sqlx::query(statement).execute(app.owner()).await.unwrap();
    }
    let path = format!("/api/v1/tenants/{slug}");
    let suspended = app.api.post(&format!("{path}/suspend"), json!({})).await.expect(200).json();
    assert_eq!(suspended["tenant"]["status"], "suspended");
    // Nobody runs it, so that it stays under way.
    let resuming = app.api.post(&format!("{path}/resume"), json!({})).await.expect(202).json();
    let busy = app.api.post(&format!("{path}/suspend"), json!({})).await;
    let busy = busy.expect_problem(409, "operation_in_progress").json();
    assert_eq!(busy["operationId"], resuming["operation"]["id"]);
}
