//! Another tenant's reads while a large one on the same server is copied at a rate (issue: at most 1.2 times as long at p99).

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use secrecy::ExposeSecret;
use serde_json::json;
use sqlx::AssertSqlSafe;
use tenantry_domain::{Clock, SystemClock};
use tenantry_postgres::embedded::EmbeddedPostgres;
use tenantry_tests::{
    Signup, TestApp,
    process::WorkerProcess,
    report::{Figure, percentile_ms},
    server,
};

use super::sign_ups::APP;

/// Bytes that are copied, and megabytes of them each second.
const COPIED: i64 = 1 << 30;
const RATE: u32 = 5;

/// How long it is read alone, before and again afterwards: the machine is not as fast at any moment.
const ALONE: Duration = Duration::from_secs(20);

fn p99(reads: &[(DateTime<Utc>, Duration)]) -> f64 {
    percentile_ms(&mut reads.iter().map(|(_, took)| *took).collect::<Vec<_>>(), 0.99)
}

/// Requests of one client, a fixed number each second, until it is told to stop.
async fn reads(tenant: &Signup, id: &str, until: impl Fn() -> bool) -> Vec<(DateTime<Utc>, Duration)> {
    let (mut took, path) = (Vec::new(), format!("/api/contacts/{id}"));
    let mut every = tokio::time::interval(Duration::from_millis(5));
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while !until() {
        every.tick().await;
        let (at, started) = (SystemClock.now(), Instant::now());
        tenant.data.get(&path).await.expect(200);
        took.push((at, started.elapsed()));
    }
    took
}

pub(crate) async fn a_copy(postgres: &Arc<EmbeddedPostgres>) -> anyhow::Result<Figure> {
    let build = TestApp::build().without_daily_quotas().on_server(Arc::clone(postgres)).with_apps(&[APP]);
    let mut app = build.start().await;
    let (large, other) = (app.sign_up("large", "basic", APP).await, app.sign_up("other", "basic", APP).await);
    let insert = other.data.request(reqwest::Method::POST, "/api/contacts?select=id");
    let insert = insert.header("prefer", "return=representation").json(&json!({ "email": "a@example.com" }));
    let made = other.data.send(insert).await.expect(201).json();
    let id = made[0]["id"].as_str().expect("an id").to_owned();
    let mut admin = server::admin(postgres, app.shared_database()).await;
    let fill = format!(
        "INSERT INTO tenant_{}.contacts (email, metadata) SELECT 'c' || n || '@example.com',
            jsonb_build_object('note', (SELECT string_agg(md5(n::text || m), '') FROM generate_series(1, 280) m))
        FROM generate_series(1, {}) n",
        large.slug.replace('-', "_"),
        COPIED / (10 << 10)
    );
    sqlx::raw_sql(AssertSqlSafe(fill)).execute(&mut admin).await?;
    sqlx::raw_sql("CHECKPOINT").execute(&mut admin).await?;
    // It copies in a process of its own, as anywhere: its threads are not the data plane's.
    app.stop_worker().await;
    let rate = [("TENANTRY_MOVE_RATE".to_owned(), RATE.to_string())];
    let binary = env!("CARGO_BIN_EXE_tenantry-under-test");
    let url = app.registry_url().expose_secret();
    let _worker = WorkerProcess::start_in(&rate, binary, url, &app.kek, app.label(), None);
    let alone = async || {
        let since = Instant::now();
        reads(&other, &id, || since.elapsed() > ALONE).await
    };
    let before = alone().await;
    let path = format!("/api/v1/tenants/{}/move", large.slug);
    let begun = app.api.post(&path, json!({ "tier": "database" })).await.expect(202).json();
    let operation = begun["operation"]["id"].as_str().expect("an id").to_owned();
    let copy = app.operation_ended(&operation);
    let ended = std::sync::atomic::AtomicBool::new(false);
    let watch = async {
        let copied = copy.await;
        ended.store(true, std::sync::atomic::Ordering::Relaxed);
        copied
    };
    let (beside, copied) =
        tokio::join!(reads(&other, &id, || ended.load(std::sync::atomic::Ordering::Relaxed)), watch);
    anyhow::ensure!(copied["state"] == "succeeded", "{copied}");
    let steps: Vec<(String, DateTime<Utc>, DateTime<Utc>)> = sqlx::query_as(
        "SELECT step, min(at), max(at) FROM operation_events WHERE operation_id = $1::uuid AND step IS NOT NULL
        GROUP BY step ORDER BY min(at)",
    )
    .bind(&operation)
    .fetch_all(app.owner())
    .await?;
    for (step, began, ended) in steps {
        let meanwhile: Vec<_> =
            beside.iter().copied().filter(|(at, _)| (began..ended).contains(at)).collect();
        if !meanwhile.is_empty() {
            println!("beside {step}: {} reads, p99 {:.2} ms", meanwhile.len(), p99(&meanwhile));
        }
    }
    let after = alone().await;
    println!("alone: {:.2} ms before, {:.2} ms afterwards", p99(&before), p99(&after));
    Ok(Figure {
        target: 18,
        what: format!("another tenant's reads, p99, beside a copy of {} MB", COPIED >> 20),
        ours: p99(&beside),
        raw: Some(p99(&[before, after].concat())),
        unit: "ms",
        bound: 1.2,
        at_least: false,
    })
}
