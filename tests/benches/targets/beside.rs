//! Another tenant's reads while a large one on the same server is copied at a rate (issue: at most 1.2 times as long at p99).

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
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
    within::within,
};

use super::{sign_ups::APP, size};

/// Megabytes that are copied: 1,024, or as many as `TENANTRY_BENCH_COPIED` says.
fn copied() -> usize {
    size("TENANTRY_BENCH_COPIED").unwrap_or(1024)
}

/// Kilobytes of a row: 1, or as many as `TENANTRY_BENCH_ROW` says.
fn row_kilobytes() -> usize {
    size("TENANTRY_BENCH_ROW").unwrap_or(1)
}

/// Megabytes each second: 1, or as many as `TENANTRY_MOVE_RATE` says.
fn rate() -> usize {
    size("TENANTRY_MOVE_RATE").unwrap_or(1)
}

/// So long it is copied, and then nothing is, again and again: from one minute to the next the machine is not as fast.
const COPIES: Duration = Duration::from_secs(9);
const RESTS: Duration = Duration::from_secs(3);

/// The copy takes no longer.
const AT_MOST: Duration = Duration::from_hours(2);

/// A request: when it was sent, how long its answer took, and whether it was copied meanwhile.
type Read = (DateTime<Utc>, Duration, bool);

fn p99<'r>(reads: impl Iterator<Item = &'r Read>) -> f64 {
    percentile_ms(&mut reads.map(|(_, took, _)| *took).collect::<Vec<_>>(), 0.99)
}

/// Requests of one client, a fixed number each second, until it is told to stop.
async fn reads(tenant: &Signup, id: &str, rests: &AtomicBool, until: &AtomicBool) -> Vec<Read> {
    let (mut reads, path) = (Vec::new(), format!("/api/contacts/{id}"));
    let mut every = tokio::time::interval(Duration::from_millis(5));
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while !until.load(Ordering::Relaxed) {
        every.tick().await;
        let (at, started, rested) = (SystemClock.now(), Instant::now(), rests.load(Ordering::Relaxed));
        tenant.data.get(&path).await.expect(200);
        if rested == rests.load(Ordering::Relaxed) {
            reads.push((at, started.elapsed(), !rested));
        }
    }
    reads
}

pub(crate) async fn a_copy(postgres: &Arc<EmbeddedPostgres>) -> anyhow::Result<Figure> {
    let copied = copied();
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
            jsonb_build_object('note', (SELECT string_agg(md5(n::text || m), '') FROM generate_series(1, {}) m))
        FROM generate_series(1, {}) n",
        large.slug.replace('-', "_"),
        row_kilobytes() * 28,
        copied * 1024 / row_kilobytes()
    );
    sqlx::raw_sql(AssertSqlSafe(fill)).execute(&mut admin).await?;
    // What the server does by itself after so many new rows is not the copy's.
    sqlx::raw_sql("VACUUM ANALYZE").execute(&mut admin).await?;
    sqlx::raw_sql("CHECKPOINT").execute(&mut admin).await?;
    // It copies in a process of its own, as anywhere: its threads are not the data plane's.
    app.stop_worker().await;
    let rate = rate();
    let limited = [("TENANTRY_MOVE_RATE", rate.to_string()), ("TENANTRY_WORKER_LEASE", "15".to_owned())]
        .map(|(name, value)| (name.to_owned(), value));
    let binary = env!("CARGO_BIN_EXE_tenantry-under-test");
    let url = app.registry_url().expose_secret();
    let start = || WorkerProcess::start_in(&limited, binary, url, &app.kek, app.label(), None);
    let worker = start();
    let path = format!("/api/v1/tenants/{}/move", large.slug);
    let begun = app.api.post(&path, json!({ "tier": "database" })).await.expect(202).json();
    let operation = begun["operation"]["id"].as_str().expect("an id").to_owned();
    let path = format!("/api/v1/operations/{operation}");
    let is_at_it = async || app.api.get(&path).await.expect(200).json()["step"] == "copy";
    within(AT_MOST, "the tenant is copied", is_at_it).await;
    // What workers do by themselves goes on while the first one rests.
    let _other = start();
    let (rests, ended) = (AtomicBool::new(false), AtomicBool::new(false));
    let rest = async {
        loop {
            tokio::time::sleep(COPIES).await;
            worker.signal("STOP").await;
            rests.store(true, Ordering::Relaxed);
            tokio::time::sleep(RESTS).await;
            rests.store(false, Ordering::Relaxed);
            worker.signal("CONT").await;
        }
    };
    let is_over = async || !app.api.get(&path).await.expect(200).json()["finishedAt"].is_null();
    let copy = async {
        tokio::select! {
            () = within(AT_MOST, "the tenant is moved", is_over) => {}
            () = rest => {}
        }
        ended.store(true, Ordering::Relaxed);
    };
    let (reads, ()) = tokio::join!(reads(&other, &id, &rests, &ended), copy);
    let moved = app.api.get(&path).await.expect(200).json();
    anyhow::ensure!(moved["state"] == "succeeded", "{moved}");
    let steps: Vec<(String, DateTime<Utc>, DateTime<Utc>)> = sqlx::query_as(
        "SELECT step, min(at), max(at) FROM operation_events WHERE operation_id = $1::uuid AND step IS NOT NULL
        GROUP BY step ORDER BY min(at)",
    )
    .bind(&operation)
    .fetch_all(app.owner())
    .await?;
    for (step, began, ended) in steps {
        let meanwhile: Vec<_> =
            reads.iter().filter(|(at, _, _)| (began..ended).contains(at)).copied().collect();
        let [beside, alone] =
            [true, false].map(|copied| meanwhile.iter().filter(move |read| read.2 == copied));
        // Of fewer the highest hundredth says nothing.
        if alone.clone().count() > 1000 {
            println!("beside {step}: p99 {:.2} ms, {:.2} ms while it rested", p99(beside), p99(alone));
        }
    }
    let [beside, alone] = [true, false].map(|copied| p99(reads.iter().filter(|read| read.2 == copied)));
    Ok(Figure {
        target: 18,
        what: format!("another tenant's reads, p99, beside a copy of {copied} MB at {rate} MB/s"),
        ours: beside,
        raw: Some(alone),
        unit: "ms",
        bound: 1.2,
        at_least: false,
    })
}
