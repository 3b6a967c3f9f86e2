//! Another tenant's reads while a large one on the same server is copied at a rate (issue: at most 1.2 times as long at p99).

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use futures::{StreamExt, stream::FuturesUnordered};
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
const ALONE: Duration = Duration::from_secs(30);

fn p99<'r>(reads: impl Iterator<Item = &'r Read>, of: Readers) -> f64 {
    let of = |(readers, _, took): &Read| (*readers == of).then_some(*took);
    percentile_ms(&mut reads.filter_map(of).collect::<Vec<_>>(), 0.99)
}

/// Who reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Readers {
    /// One, each five milliseconds: it never meets anybody but the copy.
    One,
    /// Many, at random moments, as often on average: they meet each other, too.
    Many,
}

/// They take turns.
const TURN: Duration = Duration::from_secs(5);

/// A request: whose, when it was sent, and how long its answer took.
type Read = (Readers, DateTime<Utc>, Duration);

/// Requests until it is told to stop.
async fn reads(tenant: &Signup, id: &str, until: impl Fn() -> bool) -> Vec<Read> {
    let (path, every) = (format!("/api/contacts/{id}"), Duration::from_millis(5));
    let read = async |readers| {
        let (at, started) = (SystemClock.now(), Instant::now());
        tenant.data.get(&path).await.expect(200);
        (readers, at, started.elapsed())
    };
    let (began, mut next) = (Instant::now(), tokio::time::Instant::now());
    let (mut reads, mut under_way) = (Vec::new(), FuturesUnordered::new());
    while !until() {
        let turn = began.elapsed().as_secs() / TURN.as_secs();
        let readers = if turn.is_multiple_of(2) { Readers::One } else { Readers::Many };
        next = match readers {
            Readers::One => (next + every).max(tokio::time::Instant::now()),
            Readers::Many => next + every.mul_f64(-f64::ln(rand::random_range(f64::EPSILON..1.0))),
        };
        let pause = tokio::time::sleep_until(next);
        tokio::pin!(pause);
        loop {
            tokio::select! {
                biased;
                Some(read) = under_way.next() => reads.push(read),
                () = &mut pause, if readers == Readers::Many || under_way.is_empty() => break,
            }
        }
        under_way.push(read(readers));
    }
    reads.extend(under_way.collect::<Vec<_>>().await);
    reads
}

pub(crate) async fn a_copy(postgres: &Arc<EmbeddedPostgres>) -> anyhow::Result<Vec<Figure>> {
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
    // What the server does by itself after so many new rows is not the copy's.
    sqlx::raw_sql("VACUUM ANALYZE").execute(&mut admin).await?;
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
            beside.iter().filter(|(_, at, _)| (began..ended).contains(at)).copied().collect();
        // Of fewer the highest hundredth says nothing.
        if meanwhile.len() > 2000 {
            let [one, many] = [Readers::One, Readers::Many].map(|of| p99(meanwhile.iter(), of));
            println!(
                "beside {step}: {} reads, p99 {one:.2} ms of one, {many:.2} ms of many",
                meanwhile.len()
            );
        }
    }
    let after = alone().await;
    let alone_reads = [before.clone(), after.clone()].concat();
    let figure = |readers| {
        let [before, after] = [&before, &after].map(|reads| p99(reads.iter(), readers));
        println!("alone, {readers:?}: {before:.2} ms before, {after:.2} ms afterwards");
        let who = match readers {
            Readers::One => "of one client",
            Readers::Many => "of many clients",
        };
        Figure {
            target: 18,
            what: format!("another tenant's reads {who}, p99, beside a copy of {} MB", COPIED >> 20),
            ours: p99(beside.iter(), readers),
            raw: Some(p99(alone_reads.iter(), readers)),
            unit: "ms",
            bound: 1.2,
            at_least: false,
        }
    };
    Ok([Readers::One, Readers::Many].map(figure).into())
}
