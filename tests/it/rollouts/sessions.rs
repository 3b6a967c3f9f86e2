//! How many of a server's connections a rollout uses.

use serde_json::json;
use tenantry_tests::TestApp;

use super::fleet::{Fleet, version};

/// Fails beside two others of its database, and takes long enough to meet them.
const AT_MOST_TWO: &str = "DO $$ BEGIN
    IF NOT pg_try_advisory_xact_lock(20261201, 1) AND NOT pg_try_advisory_xact_lock(20261201, 2) THEN
        RAISE EXCEPTION 'two others are migrated';
    END IF;
    PERFORM pg_sleep(0.005);
END $$";

#[tokio::test(flavor = "multi_thread")]
async fn no_more_tenants_of_a_server_are_migrated_at_a_time_than_was_asked_for() {
    // So many that a session claims its next ones while it migrates the last of those before.
    let fleet = Fleet::of(TestApp::start().await, 120).await;
    fleet.push(version(2, AT_MOST_TWO, None)).await;
    let ended = fleet.roll_out(json!({ "waves": [{ "percent": 100 }], "parallelism": 2 })).await;
    assert_eq!((&ended["tenants"]["done"], &ended["tenants"]["failed"]), (&json!(120), &json!(0)), "{ended}");
}
