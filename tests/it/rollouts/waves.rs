//! Waves: who has its turn when, and what is promoted in the end.

use serde_json::json;
use tenantry_tests::TestApp;

use super::fleet::{APP, Fleet, version};

#[tokio::test(flavor = "multi_thread")]
async fn a_version_is_carried_to_all_tenants_of_each_tier_and_promoted() {
    let mut fleet = Fleet::of(TestApp::start().await, 12).await;
    fleet.sign_up("d", "premium", 2).await;
    fleet.push(version(2, "ALTER TABLE items ADD COLUMN price int NOT NULL DEFAULT 7", None)).await;
    fleet.push(version(3, "CREATE INDEX items_price ON items (price)", None)).await;
    let rollout = fleet.roll_out(json!({})).await;
    let done = json!({ "total": 14, "pending": 0, "migrating": 0, "done": 14, "failed": 0, "skipped": 0 });
    assert_eq!(rollout["tenants"], done);
    assert_eq!(rollout["versions"], json!([{ "version": 3, "tenants": 14 }]));
    assert_eq!((&rollout["targetVersion"], &rollout["formerVersion"]), (&json!(3), &json!(1)));
    for slug in &fleet.tenants {
        assert_eq!(fleet.ask(slug, "SELECT sum(price) FROM {schema}.items").await, 7);
        assert_eq!(fleet.history(slug).await, [1, 2, 3]);
    }
    let app = fleet.app.api.get(&format!("/api/v1/apps/{APP}")).await.expect(200).json();
    assert_eq!(app["promotedVersion"], 3);
    fleet.sign_up("new", "basic", 1).await;
    assert_eq!(fleet.history(fleet.tenants.last().unwrap()).await, [1, 2, 3]);
    // Again there is nothing to do.
    let again = fleet.roll_out(json!({})).await;
    assert_eq!(again["tenants"]["total"], 0);
}
