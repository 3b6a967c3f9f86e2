//! Rollback: every tenant is as it was.

use serde_json::json;
use tenantry_tests::TestApp;

use super::fleet::{APP, Fleet, size, version};

const DOWN: &str = "DROP TABLE notes; DROP INDEX items_price; ALTER TABLE items DROP COLUMN price";
const UP: &str = "ALTER TABLE items ADD COLUMN price int NOT NULL DEFAULT 7;
    CREATE INDEX items_price ON items (price);
    CREATE TABLE notes (id bigint PRIMARY KEY, item bigint REFERENCES items)";

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_takes_every_tenant_back_to_the_catalog_that_it_had() {
    let mut fleet = Fleet::of(TestApp::start().await, size(20)).await;
    fleet.sign_up("d", "premium", 1).await;
    let mut before = Vec::new();
    for slug in &fleet.tenants {
        before.push(fleet.catalog(slug).await);
    }
    fleet.push(version(2, UP, Some(DOWN))).await;
    let id = fleet.start(json!({})).await;
    fleet.is(&id, "succeeded").await;
    assert_ne!(fleet.catalog(&fleet.tenants[0]).await, before[0]);
    // One that got the version when it signed up goes back too.
    fleet.sign_up("late", "basic", 1).await;
    let path = format!("/api/v1/rollouts/{id}/rollback");
    let back = fleet.app.api.post_and_wait(&path, json!({})).await.expect(200).json();
    assert_eq!(back["rollout"]["state"], "rolled_back", "{back}");
    for (slug, before) in fleet.tenants.iter().zip(&before) {
        assert_eq!(&fleet.catalog(slug).await, before, "{slug}");
        assert_eq!(fleet.history(slug).await, [1]);
    }
    let late = fleet.tenants.last().unwrap();
    assert_eq!((fleet.history(late).await, &fleet.catalog(late).await), (vec![1], &before[0]));
    let app = fleet.app.api.get(&format!("/api/v1/apps/{APP}")).await.expect(200).json();
    assert_eq!(app["promotedVersion"], 1);
    // What nobody has may be deleted, and the next one takes its number's place in the order.
    fleet.app.api.delete(&format!("/api/v1/apps/{APP}/versions/2")).await.expect(204);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_in_the_middle_takes_back_what_was_done_and_leaves_the_rest() {
    let fleet = Fleet::of(TestApp::start().await, 12).await;
    fleet.push(version(2, UP, Some(DOWN))).await;
    let waves = json!([{ "tenants": [fleet.tenants[0], fleet.tenants[1]], "soakSeconds": 600 }]);
    let id = fleet.start(json!({ "waves": waves })).await;
    let watched = async || fleet.rollout(&id).await["soakUntil"].is_string();
    tenantry_tests::within::within(std::time::Duration::from_secs(30), "it is watched", watched).await;
    assert_eq!(fleet.history(&fleet.tenants[0]).await, [1, 2]);
    fleet.app.api.post(&format!("/api/v1/rollouts/{id}/rollback"), json!({})).await.expect(202);
    let back = fleet.is(&id, "rolled_back").await;
    assert_eq!((&back["tenants"]["done"], &back["tenants"]["skipped"]), (&json!(2), &json!(10)));
    for slug in &fleet.tenants {
        assert_eq!(fleet.history(slug).await, [1]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_without_down_sql_is_not_rolled_back() {
    let fleet = Fleet::of(TestApp::start().await, 2).await;
    fleet.push(version(2, UP, None)).await;
    let id = fleet.start(json!({})).await;
    fleet.is(&id, "succeeded").await;
    let path = format!("/api/v1/rollouts/{id}/rollback");
    let refused = fleet.app.api.post(&path, json!({})).await.expect_problem(409, "not_reversible");
    assert_eq!(refused.json()["version"], 2);
    assert_eq!(fleet.rollout(&id).await["state"], "succeeded");
}
