//! Periodic tasks in a fleet of workers: each runs in one at a time, on the registry's clock, and asks no tenant server
//! without a reason.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use secrecy::ExposeSecret;
use serde_json::json;
use sqlx::{Row, postgres::PgListener};
use tenantry_domain::SystemClock;
use tenantry_postgres::embedded::Durability;
use tenantry_registry::{Part, Registry};
use tenantry_tests::{TestApp, server, within::within};
use tenantry_worker::{
    operations::Operations,
    reconcilers::{fill_warm_databases, fill_warm_tenants, purge_due, requeue_stranded, sample_usage},
};

#[tokio::test(flavor = "multi_thread")]
async fn four_workers_make_the_warm_tenants_and_databases_of_one() {
    let app = TestApp::build().without_worker().with_apps(&["crm"]).start().await;
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let change = |settings: &mut tenantry_worker::Settings| {
                settings.warm_tenants = 2;
                settings.warm_databases = 1;
            };
            app.worker_with(change, Arc::new(Operations))
        })
        .collect();
    let databases = async || -> i64 {
        let mut connection = server::admin(app.server(), "postgres").await;
        // Warm copies are named for their template, and that for the test.
        let query = "SELECT count(*) FROM pg_database AS warm JOIN pg_database AS template
                ON starts_with(warm.datname, 'tenantry_warm_' || split_part(reverse(template.datname), '_', 1))
                    OR warm.datname LIKE 'tenantry_warm_' || reverse(split_part(reverse(template.datname), '_', 1)) || '%'
            WHERE template.datname LIKE 'tenantry_template_%'
                AND shobj_description(template.oid, 'pg_database') = $1";
        let mark = format!("tenantry:template:{}", app.label());
        sqlx::query(query).bind(mark).fetch_one(&mut connection).await.unwrap().get(0)
    };
    let tenants = async || app.count("SELECT count(*) FROM warm_tenants").await;
    within(Duration::from_mins(1), "the pools are full", async || {
        tenants().await >= 2 && databases().await >= 1
    })
    .await;
    // Several rounds of each later nothing was added.
    let rounds = "SELECT count(*) FROM reconcilers WHERE name LIKE 'fill%' AND finished_at < $1";
    let seen: chrono::DateTime<chrono::Utc> =
        sqlx::query_scalar("SELECT now() + interval '6 seconds'").fetch_one(app.owner()).await.unwrap();
    within(Duration::from_mins(1), "some rounds pass", async || {
        let behind: i64 = sqlx::query_scalar(rounds).bind(seen).fetch_one(app.owner()).await.unwrap();
        behind == 0
    })
    .await;
    assert_eq!((tenants().await, databases().await), (2, 1));
    for worker in workers {
        worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_periodic_task_is_given_to_one_worker_until_it_is_done_or_its_lease_ends() {
    let app = TestApp::build().without_worker().start().await;
    let url = app.registry_url().expose_secret();
    let registry = Registry::connect_lazy(url, Part::Worker, 4).unwrap();
    let names = ["one", "two"];
    registry.reconcilers_add(&names).await.unwrap();
    registry.reconcilers_add(&names).await.unwrap();
    let minute = Duration::from_mins(1);
    let takes = futures::future::join_all(
        ["a", "b", "c", "d"].map(|worker| registry.reconcilers_take(worker, &names, minute)),
    )
    .await;
    let mut owners = BTreeMap::new();
    for (worker, taken) in ["a", "b", "c", "d"].into_iter().zip(takes) {
        for name in taken.unwrap() {
            assert_eq!(owners.insert(name, worker), None, "taken twice");
        }
    }
    assert_eq!(owners.len(), 2);
    let (owner, other) = (owners["one"], if owners["one"] == "a" { "b" } else { "a" });
    assert!(registry.reconciler_renew(owner, "one", minute).await.unwrap());
    assert!(!registry.reconciler_renew(other, "one", minute).await.unwrap());
    registry.reconciler_done(other, "one", Duration::ZERO, None).await.unwrap();
    assert_eq!(registry.reconcilers_take(other, &names, minute).await.unwrap(), Vec::<String>::new());
    registry.reconciler_done(owner, "one", Duration::ZERO, None).await.unwrap();
    assert_eq!(registry.reconcilers_take(other, &names, Duration::ZERO).await.unwrap(), ["one"]);
    // A worker that died.
    assert_eq!(registry.reconcilers_take(owner, &names, minute).await.unwrap(), ["one"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tick_with_nothing_to_do_asks_no_tenant_server() {
    let other = server::start(Durability::Volatile).await.unwrap();
    let app = TestApp::build().without_worker().with_apps(&["crm"]).start().await;
    app.api.patch("/api/v1/servers/main", json!({ "state": "cordoned" })).await.expect(200);
    app.add_server("alpha", &other).await;
    let worker = app.worker_with(|_| {}, Arc::new(Operations));
    app.sign_up("one", "basic", "crm").await;
    app.sign_up("two", "premium", "crm").await;
    worker.stop().await;
    let resources = app.idle_worker(SystemClock::shared()).resources().clone();
    let tick = async || {
        fill_warm_databases::run(&resources).await.unwrap();
        fill_warm_tenants::run(&resources).await.unwrap();
        sample_usage::run(&resources).await.unwrap();
        requeue_stranded::run(&resources).await.unwrap();
        purge_due::run(&resources).await.unwrap();
    };
    tick().await;
    let mut connection = server::admin(&other, "postgres").await;
    for statement in ["ALTER SYSTEM SET log_statement = 'all'", "SELECT pg_reload_conf()"] {
        sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
    }
    let statements = || {
        let log = std::fs::read_to_string(other.log_file()).unwrap();
        let is_statement = |line: &&str| line.contains("statement: ") || line.contains("execute ");
        log.lines().filter(is_statement).map(str::to_owned).collect::<Vec<_>>()
    };
    within(Duration::from_secs(10), "statements are logged", async || {
        sqlx::raw_sql("SELECT 1").execute(&mut connection).await.unwrap();
        !statements().is_empty()
    })
    .await;
    let before = statements().len();
    for _ in 0..3 {
        tick().await;
    }
    assert_eq!(statements()[before..], [""; 0], "the server was asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_looks_again_whether_it_is_due_when_it_starts_and_leaves_the_new_time() {
    let mut app = TestApp::start().await;
    let tenant = app.sign_up("acme", "basic", "crm").await;
    app.api.delete_and_wait(&format!("/api/v1/tenants/{}", tenant.slug)).await.expect(200);
    app.stop_worker().await;
    let purge_at = async |interval: &str| {
        let query = "UPDATE tenants SET purge_at = now() + $1::text::interval";
        sqlx::query(query).bind(interval).execute(app.owner()).await.unwrap();
    };
    purge_at("-1 second").await;
    let resources = app.idle_worker(SystemClock::shared()).resources().clone();
    assert_eq!(purge_due::run(&resources).await.unwrap(), 1);
    // It is queued; meanwhile somebody gives the tenant more time.
    purge_at("10 days").await;
    let worker = app.second_worker();
    let path = format!("/api/v1/tenants/{}/operations?kind=purge", tenant.id);
    let purges = app.api.get(&path).await.expect(200).json();
    let ended = app.operation_ended(purges["items"][0]["id"].as_str().unwrap()).await;
    assert_eq!(ended["state"], "failed", "{ended}");
    let kept =
        "SELECT count(*) FROM tenants WHERE status = 'deactivated' AND purge_at > now() + interval '9 days'";
    assert_eq!(app.count(kept).await, 1);
    assert_eq!(purge_due::run(&resources).await.unwrap(), 0);
    app.api.post_and_wait(&format!("/api/v1/tenants/{}/restore", tenant.slug), json!({})).await.expect(200);
    drop(worker);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_s_events_of_one_statement_are_announced_once() {
    let app = TestApp::build().without_worker().start().await;
    let (one, two) = (app.slug("one"), app.slug("two"));
    let ids = [app.begin_sign_up(&one, "basic").await, app.begin_sign_up(&two, "basic").await];
    let mut listener = PgListener::connect(app.registry_url().expose_secret()).await.unwrap();
    listener.listen("tenantry_operations").await.unwrap();
    sqlx::query(
        "INSERT INTO operation_events (operation_id, kind, progress, message, at)
         SELECT operations.id, CASE n WHEN 20 THEN 'retrying' ELSE 'step_started' END, 0, 'n', now()
         FROM operations, generate_series(1, 20) AS n ORDER BY n",
    )
    .execute(app.owner())
    .await
    .unwrap();
    sqlx::query("SELECT pg_notify('tenantry_operations', 'end')").execute(app.owner()).await.unwrap();
    let mut heard = Vec::new();
    loop {
        let news = listener.recv().await.unwrap().payload().to_owned();
        if news == "end" {
            break;
        }
        heard.push(news);
    }
    let mut expected = ids.map(|id| format!("{id} retrying"));
    expected.sort();
    heard.sort();
    assert_eq!(heard, expected);
}
