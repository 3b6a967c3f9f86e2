//! Urgent operations, and the one that is at work.

use std::sync::Arc;

use serde_json::json;
use tenantry_tests::{TestApp, probe::Gate};

#[tokio::test(flavor = "multi_thread")]
async fn deleting_a_tenant_that_signs_up_stops_the_sign_up_and_purges_it() {
    for path in ["?purge=now", ""] {
        let gate = Arc::new(Gate::at("create_schema"));
        let app = TestApp::build().without_daily_quotas().with_shared_probe(gate.clone()).start().await;
        let slug = app.slug("acme");
        let sign_up = app.begin_sign_up(&slug, "basic").await;
        gate.reached().await;
        let url = format!("/api/v1/tenants/{slug}{path}");
        let delete = app.api.delete_and_wait(&url);
        let open = async {
            // Asked to stop, it goes on with its step; then it is undone.
            app.until_zero(
                "SELECT count(*) FROM operations WHERE kind = 'provision' AND NOT cancel_requested",
            )
            .await;
            gate.open();
        };
        let (deleted, ()) = tokio::join!(delete, open);
        let deleted = deleted.expect(200).json();
        assert_eq!(deleted["operation"]["kind"], "purge", "{deleted}");
        assert_eq!(app.operation_ended(&sign_up).await["state"], "cancelled");
        app.api.get(&format!("/api/v1/tenants/{slug}")).await.expect(404);
        app.assert_nothing_left().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_up_gives_way_although_a_later_operation_has_ended() {
    let gate = Arc::new(Gate::at("create_schema"));
    let app = TestApp::build().without_daily_quotas().with_shared_probe(gate.clone()).start().await;
    let slug = app.slug("acme");
    let sign_up = app.begin_sign_up(&slug, "basic").await;
    gate.reached().await;
    // As there is when an earlier one of several that failed is tried again.
    let later = "INSERT INTO operations (id, subject_kind, subject_id, subject_name, kind, lane, input, state,
            run_after, created_at, finished_at)
        SELECT 'ffffffff-ffff-7fff-bfff-ffffffffffff', subject_kind, subject_id, subject_name, kind, lane, input,
            'failed', run_after, created_at, now() FROM operations";
    sqlx::query(later).execute(app.owner()).await.unwrap();
    let url = format!("/api/v1/tenants/{slug}?purge=now");
    let open = async {
        app.until_zero(
            "SELECT count(*) FROM operations WHERE state <> 'failed' AND kind = 'provision' AND NOT cancel_requested",
        )
        .await;
        gate.open();
    };
    let (deleted, ()) = tokio::join!(app.api.delete_and_wait(&url), open);
    deleted.expect(200);
    assert_eq!(app.operation_ended(&sign_up).await["state"], "cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn suspending_a_tenant_that_signs_up_is_refused_and_does_not_stop_it() {
    let gate = Arc::new(Gate::at("create_schema"));
    let app = TestApp::build().without_daily_quotas().with_shared_probe(gate.clone()).start().await;
    let slug = app.slug("acme");
    let sign_up = app.begin_sign_up(&slug, "basic").await;
    gate.reached().await;
    app.api.post(&format!("/api/v1/tenants/{slug}/suspend"), json!({})).await.expect(409);
    gate.open();
    let ended = app.operation_ended(&sign_up).await;
    assert_eq!((&ended["state"], &ended["cancelRequested"]), (&json!("succeeded"), &json!(false)), "{ended}");
}
