//! What a live move waits for, and what it costs others, is bounded.

use std::{
    num::NonZeroU64,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::json;
use sqlx::AssertSqlSafe;
use tenantry_postgres::embedded::Durability;
use tenantry_tests::{Signup, TestApp, server, within::within};

use super::{Way, as_admin, begin, move_to, sign_up, upgrade, with_ledger};

/// Three megabytes of a tenant.
pub(super) async fn fill(app: &TestApp, tenant: &Signup) {
    let much = format!(
        "INSERT INTO tenant_{}.files (name, content)
            SELECT n, string_agg(sha256((n::text || m)::bytea), '')
            FROM generate_series(1, 100) n, generate_series(1, 1000) m GROUP BY n",
        tenant.slug.replace('-', "_")
    );
    let mut admin = as_admin(app, tenant, app.server()).await;
    sqlx::raw_sql(AssertSqlSafe(much)).execute(&mut admin).await.unwrap();
}

/// Has a tenant moved to a database of its own; answers the operation, when rows are being copied.
async fn copying(app: &TestApp, tenant: &Signup) -> String {
    let operation = begin(app, tenant, "move", json!({ "tier": "database" })).await;
    let copies = async || app.operation(&operation).await["step"] == "copy";
    within(Duration::from_mins(1), "it is being copied", copies).await;
    operation
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_move_names_the_transaction_that_it_has_waited_for_in_vain() {
    let own = Arc::new(server::start(Durability::Volatile).await.unwrap());
    let build = TestApp::build().without_daily_quotas().on_server(Arc::clone(&own)).worker(|worker| {
        worker.move_at_once = 0;
        worker.move_transaction_patience = Duration::from_millis(500);
    });
    let app = with_ledger(build).await;
    let tenant = sign_up(&app, "acme", "basic").await;
    let mut superuser = server::admin(&own, "postgres").await;
    sqlx::raw_sql("BEGIN; SELECT pg_current_xact_id()").execute(&mut superuser).await.unwrap();
    let process = "SELECT pg_backend_pid()";
    let process: i32 = sqlx::query_scalar(process).fetch_one(&mut superuser).await.unwrap();
    let path = format!("/api/v1/tenants/{}/move", tenant.slug);
    let refused = app.api.post_and_wait(&path, json!({ "tier": "database" })).await;
    let refused = refused.expect_problem(422, "operation_failed");
    assert!(refused.text.contains(&format!("process {process}, ")), "{}", refused.text);
    tenant.data.post("/api/things", json!({ "name": "one more" })).await.expect(201);
    sqlx::raw_sql("ROLLBACK").execute(&mut superuser).await.unwrap();
    move_to(&app, &tenant, json!({ "tier": "database" })).await;
    tenant.data.post("/api/things", json!({ "name": "another" })).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_do_not_wait_until_an_autovacuum_has_ended() {
    let own = Arc::new(server::start(Durability::Volatile).await.unwrap());
    let mut superuser = server::admin(&own, "postgres").await;
    for setting in ["ALTER SYSTEM SET autovacuum_naptime = '1s'", "SELECT pg_reload_conf()"] {
        sqlx::raw_sql(setting).execute(&mut superuser).await.unwrap();
    }
    let app =
        TestApp::build().without_daily_quotas().on_server(Arc::clone(&own)).with_apps(&[]).start().await;
    app.api.put("/api/v1/apps/busy", json!({})).await.expect(200);
    // An autovacuum of minutes, for 5,000 rows.
    let up = "CREATE TABLE busy (id int PRIMARY KEY, n int) WITH (autovacuum_vacuum_threshold = 1,
        autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1)";
    let version = json!({ "version": 1, "name": "busy", "up": up });
    app.api.post("/api/v1/apps/busy/versions", version).await.expect(201);
    let tenant = app.sign_up("acme", "basic", "busy").await;
    let mut admin = as_admin(&app, &tenant, app.server()).await;
    let table = format!("tenant_{}.busy", tenant.slug.replace('-', "_"));
    let fill =
        format!("INSERT INTO {table} SELECT n, n FROM generate_series(1, 5000) n; UPDATE {table} SET n = 0");
    sqlx::raw_sql(AssertSqlSafe(fill)).execute(&mut admin).await.unwrap();
    let vacuums = format!("SELECT count(*) FROM pg_stat_progress_vacuum WHERE relid = '{table}'::regclass");
    within(Duration::from_mins(1), "it is being vacuumed", async || {
        sqlx::query_scalar::<_, i64>(AssertSqlSafe(vacuums.clone())).fetch_one(&mut admin).await.unwrap() > 0
    })
    .await;
    let operation = begin(&app, &tenant, "move", json!({ "tier": "database" })).await;
    let ended = app.operation_ended(&operation).await;
    assert_eq!(ended["state"], "succeeded", "{ended}");
    // It has a second before PostgreSQL ends it by itself.
    assert!(ended["report"]["pauseMs"].as_f64().unwrap() < 800.0, "{ended}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_told_to_stop_leaves_a_long_copy_to_the_next_one() {
    let build = TestApp::build().without_daily_quotas().worker(|worker| {
        worker.move_at_once = 0;
        worker.move_rate = NonZeroU64::new(128 << 10);
        worker.stop_grace = Duration::from_millis(100);
    });
    let mut app = with_ledger(build).await;
    let tenant = sign_up(&app, "acme", "basic").await;
    fill(&app, &tenant).await;
    let operation = copying(&app, &tenant).await;
    let told = Instant::now();
    app.stop_worker().await;
    assert!(told.elapsed() < Duration::from_secs(10), "it took {:?}", told.elapsed());
    let settings = tenantry_worker::Settings { move_at_once: 0, ..app.worker_settings() };
    app.start_worker(settings).await;
    let ended = app.operation_ended(&operation).await;
    assert_eq!(ended["state"], "succeeded", "{ended}");
    let count = tenant.data.get("/api/files?select=count()").await.expect(200).json();
    assert_eq!(count, json!([{ "count": 101 }]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_for_which_too_much_wal_would_be_kept_is_given_up_and_the_tenant_served_as_before() {
    let build = TestApp::build().without_daily_quotas().worker(|worker| {
        worker.move_at_once = 0;
        worker.move_rate = NonZeroU64::new(256 << 10);
        worker.move_wal_keep_size = 1 << 20;
    });
    let app = with_ledger(build).await;
    let tenant = sign_up(&app, "acme", "basic").await;
    fill(&app, &tenant).await;
    let operation = copying(&app, &tenant).await;
    let mut admin = as_admin(&app, &tenant, app.server()).await;
    let write = "SELECT pg_logical_emit_message(false, 'test', repeat('x', 3000000))";
    sqlx::raw_sql(write).execute(&mut admin).await.unwrap();
    let ended = app.operation_ended(&operation).await;
    assert_eq!(ended["state"], "failed", "{ended}");
    assert!(ended["error"].as_str().unwrap().contains("more than 1 MB of WAL"), "{ended}");
    tenant.data.post("/api/things", json!({ "name": "one more" })).await.expect(201);
    let left = app.on_server().await;
    assert!(left.replication.is_empty() && left.databases.is_empty(), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_move_waits_for_a_replication_slot_that_another_move_has() {
    let own = Arc::new(server::start(Durability::Volatile).await.unwrap());
    let build = TestApp::build()
        .without_daily_quotas()
        .on_server(Arc::clone(&own))
        .worker(|worker| worker.move_at_once = 0);
    let app = with_ledger(build).await;
    let tenant = sign_up(&app, "acme", "basic").await;
    let mut superuser = server::admin(&own, "postgres").await;
    let take = "SELECT pg_create_physical_replication_slot(CASE n WHEN 1 THEN 'tenantry_other' ELSE 'taken_' || n END)
        FROM generate_series(1, current_setting('max_replication_slots')::int) n";
    sqlx::raw_sql(take).execute(&mut superuser).await.unwrap();
    let operation = begin(&app, &tenant, "move", json!({ "tier": "database" })).await;
    let waiting = app.operation_is(&operation, "waiting").await;
    assert!(waiting["message"].as_str().unwrap().contains("replication slots of the server"), "{waiting}");
    tenant.data.post("/api/things", json!({ "name": "one more" })).await.expect(201);
    let free = "SELECT pg_drop_replication_slot('tenantry_other')";
    sqlx::raw_sql(free).execute(&mut superuser).await.unwrap();
    let ended = app.operation_ended(&operation).await;
    assert_eq!(ended["state"], "succeeded", "{ended}");
    tenant.data.post("/api/things", json!({ "name": "another" })).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_whose_indexes_take_long_is_copied_all_the_same() {
    for way in [Way::Live, Way::AtOnce] {
        let app = way.build().with_apps(&[]).start().await;
        app.api.put("/api/v1/apps/slow", json!({ "manifest": {} })).await.expect(200);
        let up = "CREATE FUNCTION slowly(what text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS
                $$ BEGIN PERFORM pg_sleep(0.05); RETURN what; END $$;
            CREATE TABLE things (what text PRIMARY KEY); CREATE INDEX ON things (slowly(what))";
        let version = json!({ "version": 1, "name": "slow", "up": up });
        app.api.post("/api/v1/apps/slow/versions", version).await.expect(201);
        let tenant = app.sign_up("acme", "basic", "slow").await;
        // Sent in a moment, and taken in four seconds: twice as long as a transaction may idle here.
        let rows: Vec<_> = (0..80).map(|n| json!({ "what": n.to_string() })).collect();
        tenant.data.post("/api/things", json!(rows)).await.expect(201);
        move_to(&app, &tenant, json!({ "tier": "database" })).await;
        let count = tenant.data.get("/api/things?select=count()").await.expect(200).json();
        assert_eq!(count, json!([{ "count": 80 }]), "{way:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_table_is_compared_with_itself_also_where_the_server_reads_tables_in_parallel() {
    for move_at_once in [16 << 20, 0] {
        let app = with_ledger(
            TestApp::build().without_daily_quotas().worker(move |worker| worker.move_at_once = move_at_once),
        )
        .await;
        let tenant = sign_up(&app, "acme", "basic").await;
        // As for large tables. The database that it goes to has none of this.
        let database = app.shared_database();
        let mut admin = as_admin(&app, &tenant, app.server()).await;
        for setting in ["min_parallel_table_scan_size", "parallel_setup_cost", "parallel_tuple_cost"] {
            let set = format!("ALTER DATABASE {database} SET {setting} = 0");
            sqlx::raw_sql(AssertSqlSafe(set)).execute(&mut admin).await.unwrap();
        }
        upgrade(&app, &tenant, "premium").await;
    }
}
