//! Workers that are killed or frozen in the middle of a rollout.

use std::time::Duration;

use secrecy::ExposeSecret;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection};
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

/// As if a worker had died before it noted what it had done to a tenant.
async fn a_worker_died(fleet: &Fleet, slug: &str) {
    let died = "WITH died AS (SELECT id FROM tenants WHERE slug = $1),
            placed AS (UPDATE placements SET schema_version = 1 WHERE tenant_id = (SELECT id FROM died)),
            goes_on AS (UPDATE rollouts SET state = 'running', finished_at = NULL)
        UPDATE rollout_tenants SET state = 'migrating', claimed_until = now(), finished_at = NULL
        WHERE tenant_id = (SELECT id FROM died)";
    sqlx::query(died).bind(slug).execute(fleet.app.owner()).await.unwrap();
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
    a_worker_died(&fleet, slug).await;
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
    let deleted = others.app.api.delete(&format!("/api/v1/tenants/{slug}")).await.expect(202).json();
    let ended = others.app.operation_ended(deleted["operation"]["id"].as_str().unwrap()).await;
    assert_eq!(ended["state"], "succeeded", "{ended}");
    others.control(&id, "resume").await;
    let end = others.is(&id, "succeeded").await;
    assert_eq!(end["tenants"]["skipped"], 1, "{end}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_could_not_be_read_for_long_is_rolled_back_too() {
    let fleet = Fleet::of(TestApp::start().await, 2).await;
    let column =
        "SELECT count(*) FROM pg_attribute WHERE attrelid = '{schema}.items'::regclass AND attname = 'price'";
    let down = Some("ALTER TABLE items DROP COLUMN price");
    fleet.push(version(2, "ALTER TABLE items ADD COLUMN price int", down)).await;
    let id = fleet.start(json!({ "waves": [{ "percent": 100 }], "tries": 1 })).await;
    fleet.is(&id, "succeeded").await;
    let slug = &fleet.tenants[0];
    let (mut session, schema) = fleet.session(slug).await;
    let mut locked = session.begin().await.unwrap();
    let lock = format!("LOCK TABLE {schema}.tenantry_migrations");
    sqlx::query(AssertSqlSafe(lock)).execute(&mut *locked).await.unwrap();
    a_worker_died(&fleet, slug).await;
    fleet.is(&id, "halted").await;
    fleet.app.api.post(&format!("/api/v1/rollouts/{id}/rollback"), json!({})).await.expect(202);
    locked.rollback().await.unwrap();
    fleet.is(&id, "rolled_back").await;
    for slug in &fleet.tenants {
        assert_eq!((fleet.ask(slug, column).await, fleet.history(slug).await), (0, vec![1]), "{slug}");
    }
}
