//! Claims that follow one another on one of a server's connections, of which a rollout uses no more than it was told to.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::json;
use tenantry_tests::{TestApp, within::within};

use super::{
    fleet::{Fleet, version},
    workers::worker,
};

/// Fails beside two others of its database, and takes long enough to meet them.
const AT_MOST_TWO: &str = "DO $$ BEGIN
    IF NOT pg_try_advisory_xact_lock(20261201, 1) AND NOT pg_try_advisory_xact_lock(20261201, 2) THEN
        RAISE EXCEPTION 'two others are migrated';
    END IF;
    PERFORM pg_sleep(0.005);
END $$";

/// Fails beside another one of its database.
const ALONE: &str = "DO $$ BEGIN
    IF NOT pg_try_advisory_xact_lock(20261201, 1) THEN
        RAISE EXCEPTION 'another one is migrated';
    END IF;
    PERFORM pg_sleep(0.02);
END $$";

#[tokio::test(flavor = "multi_thread")]
async fn no_more_tenants_of_a_server_are_migrated_at_a_time_than_was_asked_for() {
    // So many that a session claims its next ones while it migrates the last of those before.
    let fleet = Fleet::of(TestApp::start().await, 120).await;
    fleet.push(version(2, AT_MOST_TWO, None)).await;
    let ended = fleet.roll_out(json!({ "waves": [{ "percent": 100 }], "parallelism": 2 })).await;
    assert_eq!((&ended["tenants"]["done"], &ended["tenants"]["failed"]), (&json!(120), &json!(0)), "{ended}");
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_that_are_taken_over_use_no_more_connections_than_was_asked_for() {
    let mut fleet = Fleet::of(TestApp::start().await, 48).await;
    fleet.push(version(2, ALONE, None)).await;
    fleet.app.stop_worker().await;
    let id = fleet.start(json!({ "waves": [{ "percent": 100 }], "parallelism": 1 })).await;
    let first = worker(&fleet.app);
    let claimed = async || fleet.rollout(&id).await["tenants"]["done"].as_u64() > Some(0);
    within(Duration::from_secs(30), "some are migrated", claimed).await;
    first.kill().await;
    // As if it had claimed about half of them ahead.
    let ahead = "UPDATE rollout_tenants SET batch = batch + 1 WHERE state = 'migrating' AND hashtext(tenant_id::text) % 2 = 0";
    sqlx::query(ahead).execute(fleet.app.owner()).await.unwrap();
    let _workers = (worker(&fleet.app), worker(&fleet.app));
    let ended = fleet.is(&id, "succeeded").await;
    assert_eq!((&ended["tenants"]["done"], &ended["tenants"]["failed"]), (&json!(48), &json!(0)), "{ended}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_among_the_last_of_a_claim_halts_the_rollout_before_the_next_claim() {
    // One session at a time, whose first claim has 32 tenants; when the last of them fails, the next claim is made.
    let app = TestApp::build().worker(|worker| worker.concurrency.fleet = 1).start().await;
    let fleet = Fleet::of(app, 70).await;
    let fails_at_the_last = "CREATE TABLE sessions_met (); DO $$ BEGIN
        PERFORM pg_sleep(0.01);
        IF (SELECT count(*) FROM pg_class WHERE relname = 'sessions_met') = 32 THEN
            RAISE EXCEPTION 'the 32nd';
        END IF;
    END $$";
    fleet.push(version(2, fails_at_the_last, None)).await;
    let id = fleet.start(json!({ "waves": [{ "percent": 100 }], "parallelism": 4 })).await;
    let halted = fleet.is(&id, "halted").await;
    let still = async || fleet.rollout(&id).await["tenants"]["migrating"] == 0;
    within(Duration::from_secs(20), "what was begun is over", still).await;
    let tenants = &fleet.rollout(&id).await["tenants"];
    assert_eq!(
        (&tenants["done"], &tenants["failed"], &tenants["pending"]),
        (&json!(31), &json!(1), &json!(38)),
        "{halted}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_of_the_release_before_counts_as_a_session() {
    let fleet = Fleet::of(TestApp::start().await, 6).await;
    fleet.push(version(2, "ALTER TABLE items ADD COLUMN price int", None)).await;
    let waves = json!([{ "tenants": [fleet.tenants[0]], "soakSeconds": 3600 }, { "percent": 100 }]);
    let id = fleet.start(json!({ "waves": waves, "parallelism": 1 })).await;
    let watched = async || fleet.rollout(&id).await["soakUntil"].is_string();
    within(Duration::from_secs(30), "the first is watched", watched).await;
    let claimed = "UPDATE rollout_tenants SET state = 'migrating', batch = 1, claimed_until = now() + interval '2 seconds'
        WHERE ctid = (SELECT min(ctid) FROM rollout_tenants WHERE state = 'pending') RETURNING claimed_until";
    let until: DateTime<Utc> = sqlx::query_scalar(claimed).fetch_one(fleet.app.owner()).await.unwrap();
    sqlx::query("UPDATE rollouts SET soak_until = now()").execute(fleet.app.owner()).await.unwrap();
    fleet.is(&id, "succeeded").await;
    let before = "SELECT count(*) FROM rollout_tenants WHERE finished_at < $1";
    let before: i64 = sqlx::query_scalar(before).bind(until).fetch_one(fleet.app.owner()).await.unwrap();
    assert_eq!(before, 1, "the first");
}

#[tokio::test(flavor = "multi_thread")]
async fn rollouts_of_many_apps_use_no_more_connections_of_a_server_than_was_asked_for() {
    let mut fleet = Fleet::empty(TestApp::start().await).await;
    let apps = ["one", "two", "three", "four"];
    for app in apps {
        fleet.name = app;
        fleet.app.api.put(&format!("/api/v1/apps/{app}"), json!({})).await.expect(200);
        fleet.push(version(1, "CREATE TABLE items (name text)", None)).await;
        fleet.sign_up(app, "basic", 40).await;
        fleet.push(version(2, ALONE, None)).await;
    }
    fleet.app.stop_worker().await;
    let mut rollouts = Vec::new();
    for app in apps {
        fleet.name = app;
        rollouts.push(fleet.start(json!({ "waves": [{ "percent": 100 }], "parallelism": 1 })).await);
    }
    let _workers = [(); 3].map(|()| worker(&fleet.app));
    for id in rollouts {
        let ended = fleet.is(&id, "succeeded").await;
        assert_eq!(ended["tenants"]["done"], 40, "{ended}");
    }
}
