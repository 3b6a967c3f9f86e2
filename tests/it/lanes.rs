//! Lanes and budgets: what is quick never waits for what is long, and nothing opens more connections than it may.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use tenantry_domain::{SystemClock, ids::OperationId, operation::Lane};
use tenantry_postgres::{admin::AdminLimits, embedded::Durability};
use tenantry_registry::jobs;
use tenantry_tests::{TestApp, probe::Gate, server};
use tenantry_worker::reconcilers::requeue_stranded;
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread")]
async fn a_rush_of_sign_ups_with_a_database_each_stays_within_the_budget_of_admin_connections() {
    const SIGN_UPS: usize = 150;
    let own = Arc::new(server::start(Durability::Volatile).await.unwrap());
    let app = TestApp::build().on_server(Arc::clone(&own)).with_apps(&["crm"]).start().await;
    let (most, over) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicBool::new(false)));
    let (seen, until) = (Arc::clone(&most), Arc::clone(&over));
    let mut connection = server::admin(&own, "postgres").await;
    let count = tokio::spawn(async move {
        while !until.load(Ordering::SeqCst) {
            let query =
                "SELECT count(*) FROM pg_stat_activity WHERE starts_with(application_name, 'tenantry-admin')";
            let open: i64 = sqlx::query_scalar(query).fetch_one(&mut connection).await.unwrap();
            seen.fetch_max(open, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let slugs: Vec<String> = (0..SIGN_UPS).map(|n| app.slug(&format!("t{n}"))).collect();
    let ids = join_all(slugs.iter().map(|slug| app.begin_sign_up(slug, "premium"))).await;
    for id in &ids {
        let ended = app.operation_ended(id).await;
        assert_eq!(ended["state"], "succeeded", "{ended}");
    }
    over.store(true, Ordering::SeqCst);
    count.await.unwrap();
    let limits = AdminLimits::default();
    // One look at a slow server for all who wait, and one of the reconciler's; each may overlap its successor for as
    // long as the server's process takes to end, and so may a session.
    let budget = i64::from(limits.shared_connections) + 2 * i64::try_from(limits.sessions).unwrap() + 4;
    let most = most.load(Ordering::SeqCst);
    println!("{SIGN_UPS} sign-ups opened at most {most} admin connections");
    assert!(most <= budget, "{most} of {budget}");
    let refused =
        "SELECT count(*) FROM operation_events WHERE message LIKE '%53300%' OR message LIKE '%too many%'";
    assert_eq!(app.count(refused).await, 0);
    // For a slot they may wait: a server has three quarters of a lane's.
    let away = "SELECT count(*) FROM operation_events WHERE kind = 'waiting' AND message NOT LIKE 'waits for a slot%'";
    assert_eq!(app.count(away).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn purges_that_take_long_do_not_delay_a_sign_up() {
    let gate = Arc::new(Gate::at("drop_data"));
    let app = TestApp::build().with_shared_probe(gate.clone()).start().await;
    let names: Vec<String> = (0..12).map(|n| format!("t{n}")).collect();
    let tenants = join_all(names.iter().map(|name| app.sign_up(name, "basic", "crm"))).await;
    let mut purges = Vec::new();
    for tenant in &tenants {
        let path = format!("/api/v1/tenants/{}?purge=now", tenant.slug);
        let begun = app.api.delete(&path).await.expect(202).json();
        purges.push(begun["operation"]["id"].as_str().unwrap().to_owned());
    }
    gate.reached().await;
    // Every slot of the long lane stands at the gate; the others wait behind it.
    app.sign_up("quick", "basic", "crm").await;
    assert_eq!(
        app.count("SELECT count(*) FROM operations WHERE kind = 'purge' AND state = 'succeeded'").await,
        0
    );
    gate.open();
    for id in &purges {
        assert_eq!(app.operation_ended(id).await["state"], "succeeded");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_is_not_queued_again_as_further_jobs() {
    const BACKLOG: i32 = 2_000;
    let app = TestApp::build().without_worker().start().await;
    let backlog = "WITH new AS (
            INSERT INTO tenants (id, slug, name, status, plan, app, features, limits, settings, data_key, created_at,
                updated_at)
            SELECT gen_random_uuid(), 't' || n, 'T', 'provisioning', 'basic', 'crm', '{}', '{}', '{}', '', now(), now()
            FROM generate_series(1, $1) AS n RETURNING id, slug)
        INSERT INTO operations (id, subject_kind, subject_id, subject_name, kind, lane, state, input, run_after,
            enqueued_at, created_at)
        SELECT gen_random_uuid(), 'tenant', id, slug, 'provision', 'interactive', 'queued', '{\"kind\": \"provision\"}',
            now() - interval '2 minutes', now() - interval '1 minute', now() - interval '2 minutes' FROM new
        RETURNING id";
    let ids: Vec<Uuid> = sqlx::query_scalar(backlog).bind(BACKLOG).fetch_all(app.owner()).await.unwrap();
    let ids: Vec<OperationId> = ids.into_iter().map(OperationId::from_uuid).collect();
    let resources = app.idle_worker(SystemClock::shared()).resources().clone();
    let mut tx = resources.registry.begin().await.unwrap();
    jobs::enqueue_in_tx(&mut tx, Lane::Interactive, &ids).await.unwrap();
    tx.commit().await.unwrap();
    // As old as the operations, by a clock that is some seconds ahead.
    sqlx::query("UPDATE apalis.jobs SET run_at = run_at - interval '55 seconds'")
        .execute(app.owner())
        .await
        .unwrap();
    for _ in 0..5 {
        assert_eq!(requeue_stranded::run(&resources).await.unwrap(), 0);
    }
    assert_eq!(app.count("SELECT count(*) FROM apalis.jobs").await, i64::from(BACKLOG));
    // Those whose jobs are lost are queued again, once.
    sqlx::query("DELETE FROM apalis.jobs").execute(app.owner()).await.unwrap();
    let mut again = 0;
    for _ in 0..5 {
        again += requeue_stranded::run(&resources).await.unwrap();
    }
    assert_eq!(again, u64::from(BACKLOG.unsigned_abs()));
    assert_eq!(app.count("SELECT count(*) FROM apalis.jobs").await, i64::from(BACKLOG));
}
