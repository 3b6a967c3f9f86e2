//! Targets 1 to 3: sign-ups, one at a time and many at once.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use serde_json::json;
use tenantry_postgres::embedded::EmbeddedPostgres;
use tenantry_tests::{
    TestApp,
    app::sample_app,
    report::{Figure, percentile_ms},
};
use tenantry_worker::reconcilers::fill_warm_databases;

use crate::raw;

/// The app of the figures in TARGETS.md: 3 tables and a dozen indexes.
const APP: &str = "crm";

async fn sign_up(app: &TestApp, name: &str, plan: &str) -> Duration {
    let body = json!({ "name": name, "slug": app.slug(name), "plan": plan, "app": APP });
    let started = Instant::now();
    app.api.post_and_wait("/api/v1/tenants", body).await.expect(201);
    started.elapsed()
}

/// Sign-up to ready in tier `schema`, one after another, in turns with the raw limit.
pub(crate) async fn one_at_a_time(postgres: &Arc<EmbeddedPostgres>) -> anyhow::Result<Vec<Figure>> {
    const COUNT: usize = 200;
    let app = TestApp::build().on_server(Arc::clone(postgres)).start().await;
    raw::prepare(postgres, "raw_one").await?;
    let mut bare = raw::connect(postgres, "raw_one").await?;
    let (mut ours, mut with_role, mut tables) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..COUNT + 10 {
        let name = format!("one{n}");
        let took = sign_up(&app, &name, "basic").await;
        let started = Instant::now();
        raw::run(&mut bare, raw::sign_up_sql(APP, &format!("raw_one_{n}"), true)).await?;
        let raw_took = started.elapsed();
        let started = Instant::now();
        raw::run(&mut bare, raw::sign_up_sql(APP, &format!("raw_tables_{n}"), false)).await?;
        // The first ones warm connections and caches on both sides.
        if n >= 10 {
            ours.push(took);
            with_role.push(raw_took);
            tables.push(started.elapsed());
        }
    }
    println!(
        "sign-up to ready, schema tier: p50 {:.1} ms, p99 {:.1} ms; raw with role p50 {:.1}, p99 {:.1}; raw tables alone p50 {:.1}, p99 {:.1}",
        percentile_ms(&mut ours, 0.5),
        percentile_ms(&mut ours, 0.99),
        percentile_ms(&mut with_role, 0.5),
        percentile_ms(&mut with_role, 0.99),
        percentile_ms(&mut tables, 0.5),
        percentile_ms(&mut tables, 0.99),
    );
    let mut figure = |what: &str, share, raw: &mut [Duration], bound| Figure {
        target: 1,
        what: format!("sign-up to ready, schema tier, {what}"),
        ours: percentile_ms(&mut ours, share),
        raw: Some(percentile_ms(raw, share)),
        unit: "ms",
        bound,
        at_least: false,
    };
    Ok(vec![
        figure("p50, against tables with role and rights", 0.5, &mut with_role, 1.5),
        figure("p99, against tables with role and rights", 0.99, &mut with_role, 3.0),
        figure("p50, against the tables alone", 0.5, &mut tables, 1.5),
    ])
}

/// Sign-ups per second in tier `schema`, 32 clients, against 8 bare connections (as many as the worker has hands).
pub(crate) async fn sustained(postgres: &Arc<EmbeddedPostgres>) -> anyhow::Result<Figure> {
    const COUNT: usize = 1_000;
    let app = TestApp::build().on_server(Arc::clone(postgres)).start().await;
    sign_up(&app, "warm", "basic").await;
    let started = Instant::now();
    stream::iter(0..COUNT)
        .for_each_concurrent(32, async |n| {
            sign_up(&app, &format!("many{n}"), "basic").await;
        })
        .await;
    let ours = rate(COUNT, started.elapsed());

    raw::prepare(postgres, "raw_many").await?;
    let started = Instant::now();
    let hands = (0..8).map(async |hand| {
        let mut bare = raw::connect(postgres, "raw_many").await?;
        for n in (hand..COUNT).step_by(8) {
            raw::run(&mut bare, raw::sign_up_sql(APP, &format!("raw_many_{n}"), true)).await?;
        }
        anyhow::Ok(())
    });
    futures::future::try_join_all(hands).await?;
    let raw = rate(COUNT, started.elapsed());
    Ok(Figure {
        target: 2,
        what: format!("sign-ups per second, schema tier, {COUNT} by 32 clients"),
        ours,
        raw: Some(raw),
        unit: "per second",
        bound: 0.75,
        at_least: true,
    })
}

fn rate(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

/// Sign-up to ready in tier `database`, against `CREATE DATABASE … TEMPLATE` alone: with a warm copy
/// at hand, as is the rule, and without one, as for the second of two that come at once.
pub(crate) async fn databases(postgres: &Arc<EmbeddedPostgres>) -> anyhow::Result<Vec<Figure>> {
    const COUNT: usize = 30;
    let with_pool_of = async |copies| {
        let build = TestApp::build().on_server(Arc::clone(postgres));
        build.worker(move |settings| settings.warm_databases = copies).start().await
    };
    let (warm, cold) = (with_pool_of(1).await, with_pool_of(0).await);
    let resources = warm.worker.as_ref().expect("it has one").resources().clone();
    // The first one makes the template.
    sign_up(&warm, "first", "premium").await;
    sign_up(&cold, "first", "premium").await;
    raw::prepare(postgres, "raw_template").await?;
    let mut template = raw::connect(postgres, "raw_template").await?;
    raw::run(&mut template, raw::sign_up_sql(APP, "raw_template_tables", false)).await?;
    sqlx::Connection::close(template).await?;
    debug_assert!(!sample_app(APP).migrations.is_empty());

    let mut bare = raw::connect(postgres, "postgres").await?;
    let (mut from_pool, mut copied, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..COUNT {
        fill_warm_databases::run(&resources).await?;
        from_pool.push(sign_up(&warm, &format!("db{n}"), "premium").await);
        copied.push(sign_up(&cold, &format!("db{n}"), "premium").await);
        let create = format!("CREATE DATABASE raw_db_{n} TEMPLATE raw_template STRATEGY WAL_LOG");
        let started = Instant::now();
        raw::run(&mut bare, create).await?;
        theirs.push(started.elapsed());
    }
    for n in 0..COUNT {
        raw::run(&mut bare, format!("DROP DATABASE raw_db_{n}")).await?;
    }
    let mut figure = |what: &str, ours: &mut [Duration], share| Figure {
        target: 3,
        what: format!("sign-up to ready, database tier, {what}"),
        ours: percentile_ms(ours, share),
        raw: Some(percentile_ms(&mut theirs, share)),
        unit: "ms",
        bound: 1.5,
        at_least: false,
    };
    Ok(vec![
        figure("p50, from the warm pool", &mut from_pool, 0.5),
        figure("p90, from the warm pool", &mut from_pool, 0.9),
        figure("p50, copied at the time", &mut copied, 0.5),
        figure("p90, copied at the time", &mut copied, 0.9),
    ])
}
