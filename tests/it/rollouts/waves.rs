//! Waves: who has its turn when, and what is promoted in the end.

use serde_json::json;
use tenantry_tests::TestApp;

use super::fleet::{APP, Fleet, size, version};

#[tokio::test(flavor = "multi_thread")]
async fn databases_of_their_own_are_migrated_within_the_budget_of_admin_connections() {
    let mut fleet = Fleet::empty(TestApp::start().await).await;
    fleet.push(version(1, "CREATE TABLE items (id bigint PRIMARY KEY)", None)).await;
    fleet.sign_up("d", "premium", size(12)).await;
    fleet.push(version(2, "ALTER TABLE items ADD COLUMN price int; SELECT pg_sleep(0.02)", None)).await;
    let id = fleet.start(json!({ "waves": [{ "percent": 100 }], "parallelism": 8 })).await;
    let settings = fleet.app.worker_settings();
    let budget = i64::try_from(settings.admin.sessions).unwrap();
    let mut session = tenantry_tests::server::admin(fleet.app.server(), "postgres").await;
    let mut most = 0;
    while fleet.rollout(&id).await["state"] == "running" {
        let sessions: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity WHERE starts_with(application_name, 'tenantry-admin-')
                 AND starts_with(query, 'BEGIN; SELECT tenantry.begin_migration') AND datname <> current_database()",
        )
        .fetch_one(&mut session)
        .await
        .unwrap();
        most = most.max(sessions);
    }
    assert_eq!(fleet.is(&id, "succeeded").await["tenants"]["done"], fleet.tenants.len());
    assert!((1..=budget).contains(&most), "{most} sessions at a time, of {budget}");
    for slug in &fleet.tenants {
        assert_eq!(fleet.history(slug).await, [1, 2]);
    }
}

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
