//! Workers that are killed or frozen in the middle of a rollout.

use std::time::Duration;

use secrecy::ExposeSecret;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tenantry_tests::{TestApp, process::WorkerProcess, server, within::within};

use super::fleet::{Fleet, size, version};

/// Not idempotent, and slow enough to be met in its middle.
const ONCE: &str = "INSERT INTO items (name) VALUES ('second'); SELECT pg_sleep(0.02)";

pub(super) fn worker(app: &TestApp) -> WorkerProcess {
    let binary = env!("CARGO_BIN_EXE_tenantry-under-test");
    WorkerProcess::start(binary, app.registry_url().expose_secret(), &app.kek, app.label(), None)
}

async fn so_many_are_done(fleet: &Fleet, id: &str, count: usize) {
    let done = async || fleet.rollout(id).await["tenants"]["done"].as_u64() >= Some(count as u64);
    within(Duration::from_mins(2), &format!("{count} are done"), done).await;
}

async fn each_was_migrated_once(fleet: &Fleet) {
    for slug in &fleet.tenants {
        let times = fleet.ask(slug, "SELECT count(*) FROM {schema}.items WHERE name = 'second'").await;
        assert_eq!((times, fleet.history(slug).await), (1, vec![1, 2]), "{slug}");
    }
}

/// A rollout by two processes, of which the first has claimed some tenants.
async fn rolling_out(app: TestApp, tenants: usize) -> (Fleet, String, WorkerProcess, WorkerProcess) {
    let mut fleet = Fleet::of(app, tenants).await;
    fleet.push(version(2, ONCE, None)).await;
    fleet.app.stop_worker().await;
    let id = fleet.start(json!({ "waves": [{ "percent": 100 }], "parallelism": 3 })).await;
    let workers = (worker(&fleet.app), worker(&fleet.app));
    (fleet, id, workers.0, workers.1)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_workers_killed_in_the_middle_leaves_each_tenant_migrated_once() {
    let (fleet, id, first, _second) = rolling_out(TestApp::start().await, size(60)).await;
    so_many_are_done(&fleet, &id, 10).await;
    first.kill().await;
    fleet.is(&id, "succeeded").await;
    each_was_migrated_once(&fleet).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_frozen_and_goes_on_later_migrates_nobody_twice() {
    let postgres = server::of_frozen_workers().await;
    let app = TestApp::build().on_server(postgres.into()).start().await;
    let (fleet, id, first, second) = rolling_out(app, size(60)).await;
    so_many_are_done(&fleet, &id, 5).await;
    first.signal("STOP").await;
    fleet.is(&id, "succeeded").await;
    first.signal("CONT").await;
    // What it thinks to be its own is noted nowhere; a rollout that comes after is served by both.
    fleet.push(version(3, "ALTER TABLE items ADD COLUMN price int", None)).await;
    let next = fleet.start(json!({})).await;
    second.kill().await;
    fleet.is(&next, "succeeded").await;
    for slug in &fleet.tenants {
        let times = fleet.ask(slug, "SELECT count(*) FROM {schema}.items WHERE name = 'second'").await;
        assert_eq!((times, fleet.history(slug).await), (1, vec![1, 2, 3]), "{slug}");
    }
    assert_eq!(fleet.tenants_in(&id, "done").await.len(), fleet.tenants.len().min(200));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_rollout_touches_nobody_until_it_is_resumed_and_an_aborted_one_nobody_any_more() {
    let fleet = Fleet::of(TestApp::start().await, 40).await;
    fleet.push(version(2, &format!("{ONCE}; SELECT pg_sleep(0.05)"), None)).await;
    let id = fleet.start(json!({ "waves": [{ "percent": 100 }], "parallelism": 1 })).await;
    so_many_are_done(&fleet, &id, 1).await;
    fleet.control(&id, "pause").await;
    let still = async || fleet.rollout(&id).await["tenants"]["migrating"] == 0;
    within(Duration::from_secs(20), "what was begun is over", still).await;
    let paused = fleet.rollout(&id).await;
    let done = paused["tenants"]["done"].as_u64().unwrap();
    assert!(done < 40 && paused["state"] == "paused", "{paused}");
    fleet
        .app
        .api
        .post(&format!("/api/v1/rollouts/{id}/pause"), json!({}))
        .await
        .expect_problem(409, "rollout_refused");
    // Nobody claims anything meanwhile; another rollout of the app has to wait.
    fleet
        .app
        .api
        .post("/api/v1/rollouts", json!({ "app": "fleet" }))
        .await
        .expect_problem(409, "rollout_in_progress");
    fleet.control(&id, "resume").await;
    so_many_are_done(&fleet, &id, usize::try_from(done).unwrap() + 1).await;
    let aborted = fleet.control(&id, "abort").await;
    assert_eq!(aborted["state"], "aborted");
    within(Duration::from_secs(20), "what was begun is over", still).await;
    let end = fleet.rollout(&id).await;
    assert_eq!((&end["tenants"]["pending"], &end["tenants"]["failed"]), (&json!(0), &json!(0)), "{end}");
    for slug in &fleet.tenants {
        let times = fleet.ask(slug, "SELECT count(*) FROM {schema}.items WHERE name = 'second'").await;
        assert_eq!(fleet.history(slug).await.len(), usize::try_from(times).unwrap() + 1, "{slug}");
    }
    // The next one takes those that were left.
    let rest = fleet.roll_out(json!({})).await;
    assert_eq!(rest["tenants"]["total"], end["tenants"]["skipped"]);
    each_was_migrated_once(&fleet).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_worker_may_have_done_is_read_also_where_the_rollout_was_aborted_meanwhile() {
    let fleet = Fleet::of(TestApp::start().await, 8).await;
    fleet.push(version(2, "ALTER TABLE items ADD COLUMN price int", None)).await;
    fleet.roll_out(json!({ "waves": [{ "percent": 100 }] })).await;
    // Some cannot be read for a while.
    let (mut session, _) = fleet.session(&fleet.tenants[0]).await;
    let mut locked = session.begin().await.unwrap();
    for slug in &fleet.tenants[..3] {
        let lock = format!("LOCK TABLE tenant_{}.tenantry_migrations", slug.replace('-', "_"));
        sqlx::query(AssertSqlSafe(lock)).execute(&mut *locked).await.unwrap();
    }
    // As if it had died before it noted what it had done.
    let died = "WITH placed AS (UPDATE placements SET schema_version = 1),
            aborted AS (UPDATE rollouts SET state = 'aborted')
        UPDATE rollout_tenants SET state = 'migrating', claimed_until = now(), finished_at = NULL";
    sqlx::query(died).execute(fleet.app.owner()).await.unwrap();
    let read = "SELECT count(*) FROM placements WHERE schema_version = 2";
    let in_time = Duration::from_secs(30);
    within(in_time, "the others are read", async || fleet.app.count(read).await == 5).await;
    locked.rollback().await.unwrap();
    within(in_time, "all are read", async || fleet.app.count(read).await == 8).await;
}

/// As if a worker had died before it noted what it had done to a tenant, in a rollout that is still in this state.
async fn a_worker_died(fleet: &Fleet, slug: &str, state: &str) {
    let died = "WITH died AS (SELECT id FROM tenants WHERE slug = $1),
            placed AS (UPDATE placements SET schema_version = 1 WHERE tenant_id = (SELECT id FROM died)),
            goes_on AS (UPDATE rollouts SET state = $2, finished_at = CASE WHEN $2 = 'aborted' THEN now() END),
            promoted AS (UPDATE apps SET promoted_version = 1 WHERE name = 'fleet')
        UPDATE rollout_tenants SET state = 'migrating', claimed_until = now(), finished_at = NULL
        WHERE tenant_id = (SELECT id FROM died)";
    sqlx::query(died).bind(slug).bind(state).execute(fleet.app.owner()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_cannot_be_read_after_a_worker_died_halts_the_rollout_and_can_be_deleted() {
    let fleet = Fleet::of(TestApp::start().await, 2).await;
    fleet.push(version(2, "ALTER TABLE items ADD COLUMN price int", None)).await;
    let id = fleet.start(json!({ "waves": [{ "percent": 100 }], "tries": 2, "parallelism": 1 })).await;
    fleet.is(&id, "succeeded").await;
    let slug = &fleet.tenants[0];
    let (mut session, schema) = fleet.session(slug).await;
    let drop = format!("DROP SCHEMA {schema} CASCADE");
    sqlx::query(AssertSqlSafe(drop)).execute(&mut session).await.unwrap();
    a_worker_died(&fleet, slug, "running").await;
    let halted = fleet.is(&id, "halted").await;
    assert!(halted["reason"].as_str().unwrap().contains(slug), "{halted}");
    assert_eq!(halted["tenants"]["migrating"], 1, "{halted}");
    // Nobody is at it: others of the server have their turn, and it can be taken away.
    let mut others = Fleet { app: fleet.app, name: "others", tenants: Vec::new() };
    others.app.api.put("/api/v1/apps/others", json!({})).await.expect(200);
    others.push(version(1, "CREATE TABLE items (id int)", None)).await;
    others.sign_up("o", "basic", 1).await;
    others.push(version(2, "ALTER TABLE items ADD COLUMN price int", None)).await;
    others.roll_out(json!({ "waves": [{ "percent": 100 }], "parallelism": 1 })).await;
    // Nothing else can be done to it.
    let moved =
        others.app.api.post(&format!("/api/v1/tenants/{slug}/move"), json!({ "tier": "database" })).await;
    let moved = moved.expect(202).json()["operation"]["id"].as_str().unwrap().to_owned();
    others.app.api.post(&format!("/api/v1/operations/{moved}/cancel"), json!({})).await.expect(202);
    assert_eq!(others.app.operation_ended(&moved).await["state"], "cancelled");
    others.app.api.delete_and_wait(&format!("/api/v1/tenants/{slug}")).await.expect(200);
    others.control(&id, "resume").await;
    let end = others.is(&id, "succeeded").await;
    assert_eq!(end["tenants"]["skipped"], 1, "{end}");
}

/// Two tenants with version 2, and their rollout. Of the first the registry does not know its version, which cannot be read until the
/// session that is answered is closed.
async fn unread(state: &str) -> (Fleet, String, PgConnection) {
    let fleet = Fleet::of(TestApp::start().await, 2).await;
    for (number, column) in [(2, "price"), (3, "size")] {
        let up = format!("ALTER TABLE items ADD COLUMN {column} int");
        fleet.push(version(number, &up, Some(&format!("ALTER TABLE items DROP COLUMN {column}")))).await;
    }
    let id = fleet.start(json!({ "waves": [{ "percent": 100 }], "tries": 1, "targetVersion": 2 })).await;
    fleet.is(&id, "succeeded").await;
    let (mut session, schema) = fleet.session(&fleet.tenants[0]).await;
    let lock = format!("BEGIN; LOCK TABLE {schema}.tenantry_migrations");
    sqlx::raw_sql(AssertSqlSafe(lock)).execute(&mut session).await.unwrap();
    a_worker_died(&fleet, &fleet.tenants[0], state).await;
    (fleet, id, session)
}

async fn roll_back(fleet: &Fleet, id: &str) {
    fleet.app.api.post(&format!("/api/v1/rollouts/{id}/rollback"), json!({})).await.expect(202);
    fleet.is(id, "rolled_back").await;
}

async fn all_have(fleet: &Fleet, versions: &[i64]) {
    for slug in &fleet.tenants {
        assert_eq!(fleet.history(slug).await, versions, "{slug}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_could_not_be_read_for_long_is_rolled_back_too() {
    let (fleet, id, locked) = unread("running").await;
    fleet.is(&id, "halted").await;
    locked.close().await.unwrap();
    roll_back(&fleet, &id).await;
    all_have(&fleet, &[1]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_that_waits_for_what_the_one_before_did_halts_and_takes_back_only_what_it_did_itself() {
    let (fleet, _, locked) = unread("aborted").await;
    let next = fleet.start(json!({ "waves": [{ "percent": 100 }] })).await;
    let halted = fleet.is(&next, "halted").await;
    assert!(halted["reason"].as_str().unwrap().contains(&fleet.tenants[0]), "{halted}");
    locked.close().await.unwrap();
    let read = "SELECT count(*) FROM rollout_tenants WHERE state = 'migrating'";
    within(Duration::from_secs(20), "it is read", async || fleet.app.count(read).await == 0).await;
    fleet.control(&next, "resume").await;
    fleet.is(&next, "succeeded").await;
    all_have(&fleet, &[1, 2, 3]).await;
    roll_back(&fleet, &next).await;
    all_have(&fleet, &[1, 2]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_could_not_be_read_is_let_go_when_its_server_is_lost_also_where_the_rollout_was_aborted()
 {
    let (fleet, _, _locked) = unread("aborted").await;
    let lost = "UPDATE servers SET state = 'lost', unreachable_since = now(), unreachable_error = 'gone'";
    sqlx::query(lost).execute(fleet.app.owner()).await.unwrap();
    let skipped = "SELECT count(*) FROM rollout_tenants WHERE state = 'skipped' AND error IS NOT NULL";
    within(Duration::from_secs(20), "it is let go", async || fleet.app.count(skipped).await == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_was_deleted_before_it_was_read_has_its_version_when_it_is_restored() {
    let (fleet, _, locked) = unread("aborted").await;
    let path = format!("/api/v1/tenants/{}", fleet.tenants[0]);
    let nobody = "SELECT count(*) FROM rollout_tenants WHERE state = 'migrating' AND session = 0";
    within(Duration::from_secs(20), "it was tried", async || fleet.app.count(nobody).await == 1).await;
    fleet.app.api.delete_and_wait(&path).await.expect(200);
    locked.close().await.unwrap();
    fleet.app.api.post_and_wait(&format!("{path}/restore"), json!({})).await.expect(200);
    let placed = "SELECT count(*) FROM placements WHERE schema_version = 2";
    assert_eq!(fleet.app.count(placed).await, 2);
}
