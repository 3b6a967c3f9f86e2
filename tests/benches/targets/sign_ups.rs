//! Targets 1 to 3: sign-ups, one at a time and many at once.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use serde_json::json;
use tenantry_postgres::embedded::EmbeddedPostgres;
use tenantry_tests::{
    TestApp, raw_sign_up as raw,
    report::{Figure, percentile_ms},
};
use tenantry_worker::reconcilers::fill_warm_databases;

/// The app of the figures in TARGETS.md: 3 tables and a dozen indexes.
pub(crate) const APP: &str = "crm";

pub(crate) async fn sign_up(app: &TestApp, name: &str, plan: &str) -> Duration {
    sign_up_to(app, name, plan, APP).await
}

/// The same for another app.
pub(crate) async fn sign_up_to(app: &TestApp, name: &str, plan: &str, of: &str) -> Duration {
    let body = json!({ "name": name, "slug": app.slug(name), "plan": plan, "app": of });
    let started = Instant::now();
    app.api.post_and_wait("/api/v1/tenants", body).await.expect(201);
    started.elapsed()
}

/// A Tenantry whose worker takes warm tenants of the shared schema, and one whose worker makes each tenant when
/// it signs up.
async fn warm_and_cold(postgres: &Arc<EmbeddedPostgres>) -> (TestApp, TestApp) {
    let build = || TestApp::build().without_daily_quotas().on_server(Arc::clone(postgres)).with_apps(&[APP]);
    let warm = build().worker(|settings| settings.warm_tenants = 8).start().await;
    (warm, build().start().await)
}

/// Sign-up to ready in tier `schema`, one after another, in turns with the raw limit.
pub(crate) async fn one_at_a_time(postgres: &Arc<EmbeddedPostgres>) -> anyhow::Result<Vec<Figure>> {
    const COUNT: usize = 200;
    let (warm, cold) = warm_and_cold(postgres).await;
    let pool = warm.warm_pool_in_hand(4).await;
    raw::prepare(postgres, "raw_one").await?;
    let mut bare = raw::connect(postgres, "raw_one").await?;
    let (mut from_pool, mut made, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..COUNT + 10 {
        pool.fill().await?;
        let name = format!("one{n}");
        let took = (sign_up(&warm, &name, "basic").await, sign_up(&cold, &name, "basic").await);
        let started = Instant::now();
        raw::run(&mut bare, raw::sign_up_sql(APP, &format!("raw_one_{n}"))).await?;
        // The first ones warm connections and caches on both sides.
        if n >= 10 {
            from_pool.push(took.0);
            made.push(took.1);
            theirs.push(started.elapsed());
        }
    }
    let mut figure = |what: &str, ours: &mut [Duration], share, bound| Figure {
        target: 1,
        what: format!("sign-up to ready, schema tier, {what}"),
        ours: percentile_ms(ours, share),
        raw: Some(percentile_ms(&mut theirs, share)),
        unit: "ms",
        bound,
        at_least: false,
    };
    Ok(vec![
        figure("p50, from the warm pool", &mut from_pool, 0.5, 0.6),
        figure("p99, from the warm pool", &mut from_pool, 0.99, 1.5),
        figure("p50, with the pool empty", &mut made, 0.5, 1.5),
        figure("p99, with the pool empty", &mut made, 0.99, 3.0),
    ])
}

/// Sign-ups per second in tier `schema`, 32 clients, against 8 bare connections (as many as the worker has
/// hands): a burst that the pool holds, and sustained, while pools are filled as they are in production.
pub(crate) async fn many_at_once(postgres: &Arc<EmbeddedPostgres>) -> anyhow::Result<Vec<Figure>> {
    const COUNT: usize = 1_000;
    let (app, _cold) = warm_and_cold(postgres).await;
    app.warm_pool_in_hand(COUNT + 1).await.fill().await?;
    sign_up(&app, "first", "basic").await;
    let burst = rate_of(&app, "burst", COUNT).await;
    app.give_back_warm_pool().await;
    let sustained = rate_of(&app, "sustained", COUNT).await;

    raw::prepare(postgres, "raw_many").await?;
    let started = Instant::now();
    let hands = (0..8).map(async |hand| {
        let mut bare = raw::connect(postgres, "raw_many").await?;
        for n in (hand..COUNT).step_by(8) {
            raw::run(&mut bare, raw::sign_up_sql(APP, &format!("raw_many_{n}"))).await?;
        }
        anyhow::Ok(())
    });
    futures::future::try_join_all(hands).await?;
    let raw = rate(COUNT, started.elapsed());
    let figure = |what: &str, ours, bound| Figure {
        target: 2,
        what: format!("sign-ups per second, schema tier, {COUNT} by 32 clients, {what}"),
        ours,
        raw: Some(raw),
        unit: "per second",
        bound,
        at_least: true,
    };
    Ok(vec![figure("within the pool", burst, 1.5), figure("sustained", sustained, 0.75)])
}

async fn rate_of(app: &TestApp, name: &str, count: usize) -> f64 {
    let started = Instant::now();
    stream::iter(0..count)
        .for_each_concurrent(32, async |n| {
            sign_up(app, &format!("{name}{n}"), "basic").await;
        })
        .await;
    rate(count, started.elapsed())
}

fn rate(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

/// Sign-up to ready in tier `database`, against `CREATE DATABASE … TEMPLATE` alone: with a warm copy
/// at hand, as is the rule, and without one, as for the second of two that come at once.
pub(crate) async fn databases(postgres: &Arc<EmbeddedPostgres>) -> anyhow::Result<Vec<Figure>> {
    const COUNT: usize = 30;
    let with_pool_of = async |copies| {
        let build = TestApp::build().without_daily_quotas().on_server(Arc::clone(postgres));
        build.worker(move |settings| settings.warm_databases = copies).start().await
    };
    let (warm, cold) = (with_pool_of(1).await, with_pool_of(0).await);
    let resources = warm.worker.as_ref().expect("it has one").resources().clone();
    // The first one makes the template.
    sign_up(&warm, "first", "premium").await;
    sign_up(&cold, "first", "premium").await;
    raw::prepare(postgres, "raw_template").await?;
    let mut template = raw::connect(postgres, "raw_template").await?;
    raw::run(&mut template, raw::tables_sql(APP, "raw_template_tables")).await?;
    sqlx::Connection::close(template).await?;

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
    let mut figure = |what: &str, ours: &mut [Duration], share, bound| Figure {
        target: 3,
        what: format!("sign-up to ready, database tier, {what}"),
        ours: percentile_ms(ours, share),
        raw: Some(percentile_ms(&mut theirs, share)),
        unit: "ms",
        bound,
        at_least: false,
    };
    Ok(vec![
        figure("p50, from the warm pool", &mut from_pool, 0.5, 0.8),
        figure("p90, from the warm pool", &mut from_pool, 0.9, 0.8),
        figure("p50, copied at the time", &mut copied, 0.5, 1.5),
        figure("p90, copied at the time", &mut copied, 0.9, 1.5),
    ])
}
