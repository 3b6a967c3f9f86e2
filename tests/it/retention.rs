//! What nobody works with any more is forgotten after a configured time, and not before.

use std::time::Duration;

use serde_json::json;
use sqlx::AssertSqlSafe;
use tenantry_domain::SystemClock;
use tenantry_tests::{TestApp, within::within};
use tenantry_worker::reconcilers::{compact_usage, forget_operations};

#[tokio::test(flavor = "multi_thread")]
async fn ended_operations_their_events_and_purged_tenants_are_forgotten_when_their_time_is_over() {
    let app = TestApp::start().await;
    let kept = app.sign_up("kept", "basic", "crm").await;
    let gone = app.sign_up("gone", "basic", "crm").await;
    app.api.delete_and_wait(&format!("/api/v1/tenants/{}?purge=now", gone.slug)).await.expect(200);
    let path = format!("/api/v1/tenants/{}/suspend", kept.slug);
    app.api.post_and_wait(&path, json!({})).await.expect(200);
    let settings = app.worker_settings().retention;
    assert_eq!((settings.operations, settings.purged_tenants), (90, 365), "the defaults");
    let resources = app.idle_worker(SystemClock::shared()).resources().clone();
    let age = async |days: i32| {
        for statement in [
            "UPDATE operations SET finished_at = now() - make_interval(days => $1, mins => 1)",
            "UPDATE tenants SET updated_at = now() - make_interval(days => $1, mins => 1)",
        ] {
            sqlx::query(statement).bind(days).execute(app.owner()).await.unwrap();
        }
        forget_operations::run(&resources).await.unwrap()
    };
    assert_eq!(age(89).await, 0);
    // One that is not finished stays, however old it is.
    let unfinished = "UPDATE operations SET state = 'stuck' WHERE kind = 'suspend'";
    sqlx::query(unfinished).execute(app.owner()).await.unwrap();
    sqlx::query("UPDATE operations SET finished_at = NULL WHERE kind = 'suspend'")
        .execute(app.owner())
        .await
        .unwrap();
    let ended = "UPDATE operations SET finished_at = now() - interval '91 days' WHERE kind <> 'suspend'";
    sqlx::query(ended).execute(app.owner()).await.unwrap();
    assert_eq!(forget_operations::run(&resources).await.unwrap(), 3);
    assert_eq!(app.count("SELECT count(*) FROM operations").await, 1);
    assert_eq!(app.count("SELECT count(DISTINCT operation_id) FROM operation_events").await, 1);
    assert_eq!(app.count("SELECT count(*) FROM tenants").await, 2);

    sqlx::query("UPDATE tenants SET updated_at = now() - interval '366 days'")
        .execute(app.owner())
        .await
        .unwrap();
    assert_eq!(forget_operations::run(&resources).await.unwrap(), 1);
    app.api.get(&format!("/api/v1/tenants/{}", gone.id)).await.expect(404);
    app.api.get(&format!("/api/v1/tenants/{}", kept.id)).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn weeks_of_samples_are_dropped_when_their_last_day_was_kept_for_as_long_as_is_set() {
    let app = TestApp::build().worker(|settings| settings.retention.samples = 7).start().await;
    app.sign_up("acme", "basic", "crm").await;
    // The oldest are from before there were weeks.
    let weeks = "SELECT make_sample_weeks(now() - interval '20 days', now())";
    sqlx::query(weeks).execute(app.owner()).await.unwrap();
    let samples = "WITH sample AS (
            SELECT id, date_trunc('hour', now()) - make_interval(days => age) AS at
            FROM tenants, unnest(ARRAY[0, 6, 15, 16, 100, 101]) AS age),
        usage AS (
            INSERT INTO usage_samples (tenant_id, at, requests, bytes_in, bytes_out, hourly)
            SELECT id, at, 1, 1, 1, true FROM sample)
        INSERT INTO storage_samples (tenant_id, at, bytes) SELECT id, at, 1 FROM sample ON CONFLICT DO NOTHING";
    sqlx::query(samples).execute(app.owner()).await.unwrap();
    let next_week = "SELECT ('usage_samples_' || to_char(now() AT TIME ZONE 'UTC' + interval '1 week'
        - make_interval(days => extract(isodow FROM now() AT TIME ZONE 'UTC')::integer - 1), 'YYYYMMDD'))::regclass::text";
    let next_week: String = sqlx::query_scalar(next_week).fetch_one(app.owner()).await.unwrap();
    sqlx::query(AssertSqlSafe(format!("DROP TABLE {next_week}"))).execute(app.owner()).await.unwrap();

    let resources = app.worker.as_ref().unwrap().resources().clone();
    compact_usage::run(&resources).await.unwrap();
    for left in [
        "SELECT count(*) FROM usage_samples WHERE hourly AND at < now() - interval '5 days'",
        "SELECT count(*) FROM storage_samples WHERE at < now() - interval '5 days'",
    ] {
        assert_eq!(app.count(left).await, 1);
    }
    let made: i64 = sqlx::query_scalar("SELECT count(to_regclass($1))")
        .bind(&next_week)
        .fetch_one(app.owner())
        .await
        .unwrap();
    assert_eq!(made, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_week_that_another_worker_drops_meanwhile_is_no_error() {
    let app = TestApp::build().without_worker().start().await;
    let weeks = "SELECT make_sample_weeks(now() - interval '40 days', now())";
    sqlx::query(weeks).execute(app.owner()).await.unwrap();
    let old = "SELECT relname::text FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
        WHERE inhparent IN ('storage_samples'::regclass, 'usage_samples'::regclass) AND relname ~ '_\\d{8}$'
            AND to_date(right(relname, 8), 'YYYYMMDD') < now() - interval '14 days'";
    let mut old: Vec<String> = sqlx::query_scalar(old).fetch_all(app.owner()).await.unwrap();
    let last = old.pop().unwrap();
    // Somebody reads all but the last, so that they are waited for.
    let mut reader = app.owner().begin().await.unwrap();
    let lock = format!("LOCK TABLE {} IN ACCESS SHARE MODE", old.join(", "));
    sqlx::query(AssertSqlSafe(lock)).execute(&mut *reader).await.unwrap();
    let waits = "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database()
        AND wait_event_type = 'Lock' AND query LIKE '%drop_sample_weeks%'";
    let others = async {
        let waits = async || sqlx::query_scalar(waits).fetch_one(app.owner()).await.unwrap();
        within(Duration::from_secs(10), "it waits for a week", waits).await;
        sqlx::query(AssertSqlSafe(format!("DROP TABLE {last}"))).execute(app.owner()).await.unwrap();
    };
    let drop = sqlx::query_scalar::<_, i64>("SELECT drop_sample_weeks(now() - interval '7 days')");
    let (dropped, ()) = tokio::join!(drop.fetch_one(app.owner()), others);
    assert_eq!(dropped.unwrap(), 0, "they are read, or gone");
    assert!(old.len() > 3, "{old:?}");
}
