//! Targets 7, 8 and 12: how long writes wait while a tenant is moved under load, how fast it is copied, and how fast a server
//! of small tenants is drained.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures::{StreamExt, TryStreamExt, future::try_join_all, stream};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgConnection};
use tenantry_postgres::embedded::{Durability, EmbeddedPostgres};
use tenantry_tests::{
    Answer, Signup, TestApp, raw_sign_up as raw,
    report::{Figure, percentile_ms},
    server,
};

use super::sign_ups::APP;

/// Who writes while a tenant is moved.
const WRITERS: usize = 8;

/// Up and down, this many times.
const ROUNDS: usize = 25;

/// Bytes of the tenant that is copied, about.
const COPIED: i64 = 300 << 20;

/// Small tenants of the server that is drained, and how many go at a time.
const DRAINED: usize = 1_000;
const AT_ONCE: usize = 4;

fn schema(tenant: &Signup) -> String {
    format!("tenant_{}", tenant.slug.replace('-', "_"))
}

/// The pauses of moves up and down a tier while eight write, live and at once.
pub(crate) async fn pauses(postgres: &Arc<EmbeddedPostgres>) -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    let at_once = tenantry_worker::Settings::default().move_at_once;
    for (way, move_at_once, left_by_each) in
        [("copied before", 0, 500), ("small, copied meanwhile", at_once, 20)]
    {
        let build = TestApp::build().without_daily_quotas().on_server(Arc::clone(postgres)).with_apps(&[APP]);
        let app = build.worker(move |worker| worker.move_at_once = move_at_once).start().await;
        let tenant = app.sign_up("acme", "basic", APP).await;
        let (stop, failed, longest) =
            (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (data, stop) = (tenant.data.clone(), Arc::clone(&stop));
                let (failed, longest) = (Arc::clone(&failed), Arc::clone(&longest));
                tokio::spawn(async move {
                    let email = |n: u64| format!("w{writer}-{n}@example.com");
                    let note = |started: Instant, answer: &Answer| {
                        let took = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
                        longest.fetch_max(took, Ordering::Relaxed);
                        failed.fetch_add(u64::from(!answer.status.is_success()), Ordering::Relaxed);
                    };
                    let mut n = 0;
                    while !stop.load(Ordering::Relaxed) {
                        let started = Instant::now();
                        note(started, &data.post("/api/contacts", json!({ "email": email(n) })).await);
                        // The tenant is as large in the last round as in the first.
                        if let Some(oldest) = n.checked_sub(left_by_each) {
                            let (started, path) =
                                (Instant::now(), format!("/api/contacts?email=eq.{}", email(oldest)));
                            note(started, &data.delete(&path).await);
                        }
                        n += 1;
                    }
                    n
                })
            })
            .collect();
        let mut pauses = Vec::new();
        for round in 0..ROUNDS * 2 {
            let path = format!("/api/v1/tenants/{}/migrate", tenant.slug);
            let plan = ["premium", "basic"][round % 2];
            let begun = app.api.post(&path, json!({ "targetPlan": plan })).await.expect(202).json();
            let moved = app.operation_ended(begun["operation"]["id"].as_str().expect("an id")).await;
            anyhow::ensure!(moved["state"] == "succeeded", "{moved}");
            let pause = moved["report"]["pauseMs"].as_f64().expect("a pause");
            pauses.push(Duration::from_secs_f64(pause / 1e3));
        }
        stop.store(true, Ordering::Relaxed);
        let (mut written, mut left) = (0, 0);
        for writer in writers {
            let rows = writer.await?;
            written += rows;
            left += rows.min(left_by_each);
        }
        let count = tenant.data.get("/api/contacts?select=count()").await.expect(200).json();
        anyhow::ensure!(count[0]["count"].as_u64() == Some(left), "{count} rows of {left}");
        println!(
            "{} moves, {way}: {written} rows written, longest write {} ms",
            ROUNDS * 2,
            longest.load(Ordering::Relaxed) / 1_000
        );
        for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
            figures.push(Figure {
                target: 7,
                what: format!("move under load, {way}: write pause {name}"),
                ours: percentile_ms(&mut pauses, share),
                raw: None,
                unit: "ms",
                bound: 50.0,
                at_least: false,
            });
        }
        figures.push(Figure {
            target: 7,
            what: format!("move under load, {way}: failed requests"),
            ours: failed.load(Ordering::Relaxed) as f64,
            raw: None,
            unit: "",
            bound: 0.0,
            at_least: false,
        });
    }
    Ok(figures)
}

/// Bytes per second of the step that copies, against `COPY` to `COPY` into the same tables.
pub(crate) async fn copy_speed(postgres: &Arc<EmbeddedPostgres>) -> anyhow::Result<Figure> {
    let app = TestApp::build()
        .without_daily_quotas()
        .on_server(Arc::clone(postgres))
        .with_apps(&[APP])
        .start()
        .await;
    let tenant = app.sign_up("large", "basic", APP).await;
    let table = format!("{}.contacts", schema(&tenant));
    let mut admin = server::admin(postgres, app.shared_database()).await;
    // Rows of a kilobyte.
    let fill = format!(
        "INSERT INTO {table} (email, metadata) SELECT 'c' || n || '@example.com',
            jsonb_build_object('note', (SELECT string_agg(md5(n::text || m), '') FROM generate_series(1, 28) m))
        FROM generate_series(1, {}) n",
        COPIED / 1024
    );
    sqlx::raw_sql(AssertSqlSafe(fill)).execute(&mut admin).await?;
    sqlx::raw_sql("CHECKPOINT").execute(&mut admin).await?;

    raw::prepare(postgres, "raw_copy").await?;
    let mut bare = raw::connect(postgres, "raw_copy").await?;
    raw::run(&mut bare, raw::sign_up_sql(APP, "raw_copy")).await?;
    let mut into = server::admin(postgres, "raw_copy").await;
    let started = Instant::now();
    let bytes = copy(&mut admin, &table, &mut into, "raw_copy.contacts").await?;
    let raw = bytes as f64 / started.elapsed().as_secs_f64() / 1e6;
    sqlx::raw_sql("TRUNCATE raw_copy.contacts CASCADE").execute(&mut into).await?;
    sqlx::raw_sql("CHECKPOINT").execute(&mut admin).await?;

    let path = format!("/api/v1/tenants/{}/move", tenant.slug);
    let begun = app.api.post(&path, json!({ "tier": "database" })).await.expect(202).json();
    let id = begun["operation"]["id"].as_str().expect("an id").to_owned();
    let ended = app.operation_ended(&id).await;
    anyhow::ensure!(ended["state"] == "succeeded", "{ended}");
    let took: f64 = sqlx::query_scalar(
        "SELECT extract(epoch FROM max(at) FILTER (WHERE kind = 'step_finished') - min(at) FILTER (WHERE kind = 'step_started'))::float8
        FROM operation_events WHERE operation_id = $1::uuid AND step = 'copy'",
    )
    .bind(&id)
    .fetch_one(app.owner())
    .await?;
    Ok(Figure {
        target: 8,
        what: format!("move: copy of {} MB while it is written to", bytes >> 20),
        ours: bytes as f64 / took / 1e6,
        raw: Some(raw),
        unit: "MB/s",
        bound: 0.7,
        at_least: true,
    })
}

/// Copies a table as it goes; answers the bytes.
async fn copy(
    from: &mut PgConnection,
    table: &str,
    to: &mut PgConnection,
    into: &str,
) -> anyhow::Result<u64> {
    let columns = "id, email, metadata";
    let out = format!("COPY (SELECT {columns} FROM {table}) TO STDOUT (FORMAT binary)");
    let mut rows = from.copy_out_raw(&out).await?;
    let mut sink = to.copy_in_raw(&format!("COPY {into} ({columns}) FROM STDIN (FORMAT binary)")).await?;
    let (mut bytes, mut batch) = (0, Vec::with_capacity(256 << 10));
    while let Some(row) = rows.try_next().await? {
        batch.extend_from_slice(&row);
        if batch.len() > 128 << 10 {
            bytes += batch.len() as u64;
            sink.send(&batch[..]).await?;
            batch.clear();
        }
    }
    bytes += batch.len() as u64;
    sink.send(&batch[..]).await?;
    sink.finish().await?;
    Ok(bytes)
}

/// Tenants per second of what a move cannot do without, at the same parallelism: a role and tables at the other end, the rows by
/// `COPY`, and as many tables dropped.
async fn raw_moves(
    from: &EmbeddedPostgres,
    database: &str,
    to: &EmbeddedPostgres,
    tenants: &[Signup],
) -> anyhow::Result<f64> {
    let started = Instant::now();
    try_join_all((0..AT_ONCE).map(async |share| {
        let mut from = server::admin(from, database).await;
        let mut bare = raw::connect(to, "raw_drain").await?;
        let mut into = server::admin(to, "raw_drain").await;
        for (number, tenant) in tenants.iter().enumerate().skip(share).step_by(AT_ONCE) {
            let (table, schema) = (format!("{}.contacts", schema(tenant)), format!("raw_move_{number}"));
            raw::run(&mut bare, raw::sign_up_sql(APP, &schema)).await?;
            copy(&mut from, &table, &mut into, &format!("{schema}.contacts")).await?;
            raw::run(&mut bare, format!("DROP SCHEMA {schema} CASCADE")).await?;
        }
        anyhow::Ok(())
    }))
    .await?;
    Ok(tenants.len() as f64 / started.elapsed().as_secs_f64())
}

/// Tenants per second off a server, while a third of them are read, against the same rows by `COPY`.
pub(crate) async fn drain(postgres: &Arc<EmbeddedPostgres>) -> anyhow::Result<Vec<Figure>> {
    let other = server::start(Durability::Full).await?;
    let build = TestApp::build().without_daily_quotas().on_server(Arc::clone(postgres)).with_apps(&[APP]);
    let app = build.worker(|worker| worker.warm_tenants = 8).start().await;
    let names: Vec<String> = (0..DRAINED).map(|n| format!("small{n}")).collect();
    let tenants: Vec<Signup> =
        stream::iter(&names).map(|name| app.sign_up(name, "basic", APP)).buffered(8).collect().await;
    let rows: Vec<Value> = (0..20).map(|n| json!({ "email": format!("c{n}@example.com") })).collect();
    stream::iter(&tenants)
        .for_each_concurrent(8, async |tenant| {
            tenant.data.post("/api/contacts", json!(rows)).await.expect(201);
        })
        .await;

    raw::prepare(&other, "raw_drain").await?;
    let mut bare = raw::connect(&other, "raw_drain").await?;
    raw::run(&mut bare, raw::sign_up_sql(APP, "raw_drain")).await?;
    let started = Instant::now();
    try_join_all((0..AT_ONCE).map(async |share| {
        let mut from = server::admin(postgres, app.shared_database()).await;
        let mut into = server::admin(&other, "raw_drain").await;
        for tenant in tenants.iter().skip(share).step_by(AT_ONCE) {
            let table = format!("{}.contacts", schema(tenant));
            copy(&mut from, &table, &mut into, "raw_drain.contacts").await?;
        }
        anyhow::Ok(())
    }))
    .await?;
    let raw = DRAINED as f64 / started.elapsed().as_secs_f64();
    let raw_with_tables = raw_moves(postgres, app.shared_database(), &other, &tenants).await?;

    app.add_server("other", &other).await;
    let (stop, failed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let readers: Vec<_> = (0..4)
        .map(|reader| {
            let some: Vec<_> =
                tenants.iter().step_by(3).skip(reader).step_by(4).map(|t| t.data.clone()).collect();
            let (stop, failed) = (Arc::clone(&stop), Arc::clone(&failed));
            tokio::spawn(async move {
                for data in some.iter().cycle() {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let row = json!({ "email": "later@example.com" });
                    let (read, written) =
                        (data.get("/api/contacts?limit=1").await, data.post("/api/contacts", row).await);
                    let bad = !read.status.is_success() || !written.status.is_success();
                    failed.fetch_add(u64::from(bad), Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            })
        })
        .collect();
    let started = Instant::now();
    let begun =
        app.api.post("/api/v1/servers/main/drain", json!({ "atOnce": AT_ONCE })).await.expect(202).json();
    let id = begun["operation"]["id"].as_str().expect("an id").to_owned();
    let ended = app.operation_ended(&id).await;
    anyhow::ensure!(ended["state"] == "succeeded", "{ended}");
    let ours = DRAINED as f64 / started.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.await?;
    }
    let figure = |what: String, ours, raw, unit, bound, at_least| Figure {
        target: 12,
        what,
        ours,
        raw,
        unit,
        bound,
        at_least,
    };
    Ok(vec![
        figure(
            format!("drain of {DRAINED} small tenants, {AT_ONCE} at a time"),
            ours,
            Some(raw),
            "per second",
            0.5,
            true,
        ),
        figure(
            "the same; raw: a role, the tables and their indexes made, the rows copied, and dropped where they were".into(),
            ours,
            Some(raw_with_tables),
            "per second",
            0.5,
            true,
        ),
        figure("drain: failed requests".into(), failed.load(Ordering::Relaxed) as f64, None, "", 0.0, false),
    ])
}
