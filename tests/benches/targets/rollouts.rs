//! Targets 9 and 10: a version carried to 1,000 tenants, and one that all of 10,000 have.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use futures::{StreamExt, stream};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tenantry_postgres::embedded::EmbeddedPostgres;
use tenantry_tests::{
    TestApp,
    clients::Workshop,
    raw_sign_up as raw,
    report::{Figure, percentile_ms},
    within::within,
};
use tokio::process::Command;

use super::size;

const APP: &str = "fleet";
const TABLES: &str =
    "CREATE TABLE items (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL);";

/// Connections, and batches at a time.
const AT_ONCE: usize = 2;

async fn push(app: &TestApp, version: i64, up: &str) {
    let body = json!({ "version": version, "name": "v", "up": up, "down": null });
    app.api.post(&format!("/api/v1/apps/{APP}/versions"), body).await.expect(201);
}

async fn roll_out(app: &TestApp) -> (Duration, Value) {
    let body = json!({ "app": APP, "waves": [{ "percent": 100 }], "parallelism": AT_ONCE });
    let started = Instant::now();
    let begun = app.api.post("/api/v1/rollouts", body).await.expect(202).json();
    let ended = app.operation_ended(begun["operation"]["id"].as_str().expect("an id")).await;
    assert_eq!(ended["state"], "succeeded", "{ended}");
    let took = started.elapsed();
    let path = format!("/api/v1/rollouts/{}", begun["rollout"]["id"].as_str().expect("an id"));
    (took, app.api.get(&path).await.expect(200).json())
}

/// Tenants of tier `schema` of an app with one small table.
async fn fleet(postgres: &Arc<EmbeddedPostgres>, tenants: usize) -> TestApp {
    let app = TestApp::build().without_daily_quotas().on_server(Arc::clone(postgres)).start().await;
    app.api.put(&format!("/api/v1/apps/{APP}"), json!({})).await.expect(200);
    push(&app, 1, TABLES).await;
    let sign_up = async |number: usize| {
        let slug = app.slug(&format!("f{number}"));
        let body = json!({ "name": slug, "slug": slug, "plan": "basic", "app": APP });
        app.api.post_and_wait("/api/v1/tenants", body).await.expect(201);
    };
    stream::iter(0..tenants).for_each_concurrent(16, sign_up).await;
    app
}

/// A column and an index.
fn change(number: usize) -> String {
    format!(
        "ALTER TABLE items ADD COLUMN price_{number} int NOT NULL DEFAULT 0; \
         CREATE INDEX items_price_{number} ON items (price_{number});"
    )
}

/// One column and one index in 1,000 schemas, in turns with the same SQL on bare connections: the machine is not as fast at any
/// moment.
pub(crate) async fn one_column(postgres: &Arc<EmbeddedPostgres>) -> anyhow::Result<Vec<Figure>> {
    const TURNS: usize = 5;
    let count = schemas();
    let app = fleet(postgres, count).await;
    raw::prepare(postgres, "raw_fleet").await?;
    let mut bare = raw::connect(postgres, "raw_fleet").await?;
    for number in 0..count {
        let tables = format!("CREATE SCHEMA raw_{number}; SET search_path = raw_{number}; {TABLES}");
        raw::run(&mut bare, tables).await?;
    }
    // What the sign-ups have left to be done is not the rollout's.
    within(Duration::from_mins(10), "the audit log is sealed", async || {
        let unsealed = "SELECT count(*) FROM audit_log WHERE block IS NULL";
        sqlx::query_scalar::<_, i64>(unsealed).fetch_one(app.owner()).await.is_ok_and(|rows| rows == 0)
    })
    .await;
    let mut turns = Vec::with_capacity(TURNS);
    for turn in 1..=TURNS {
        let change = change(turn);
        let theirs = bare_rollout(postgres, count, &change).await?;
        push(&app, 1 + i64::try_from(turn)?, &change).await;
        let (ours, rollout) = roll_out(&app).await;
        assert_eq!(rollout["tenants"]["done"], count, "{rollout}");
        println!(
            "turn {turn}: {:.2} s, bare {:.2} s; resident memory {} MB",
            ours.as_secs_f64(),
            theirs.as_secs_f64(),
            resident_mb()
        );
        turns.push((ours.as_secs_f64(), theirs.as_secs_f64()));
        // What follows from a promotion is not the next turn's, neither ours nor the bare one's.
        let template = format!("tenantry_template_{APP}_{}\\_%", 1 + turn);
        within(Duration::from_mins(1), "the template is built anew", async || {
            let is_there = "SELECT EXISTS (SELECT FROM pg_database WHERE datname LIKE $1)";
            sqlx::query_scalar(is_there)
                .bind(&template)
                .fetch_one(&mut bare)
                .await
                .is_ok_and(|there: bool| there)
        })
        .await;
    }
    turns.sort_by(|(ours, theirs), (other, others)| (ours / theirs).total_cmp(&(other / others)));
    let (ours, theirs) = turns[TURNS / 2];
    let (again, _) = roll_out(&app).await;
    println!("with nothing to do for {count}: {} ms", again.as_millis());
    let per_tenant = ours * 1000.0 / count as f64;
    let peers = peers(postgres, per_tenant).await?;
    let beside = sign_ups_beside(&app).await;
    println!("resident memory of the whole Tenantry afterwards: {} MB", resident_mb());
    let figures = vec![
        Figure {
            target: 9,
            what: format!("rollout of a column and an index to {count} schemas, the median of {TURNS}"),
            ours,
            raw: Some(theirs),
            unit: "s",
            bound: 1.5,
            at_least: false,
        },
        beside,
    ];
    Ok(figures.into_iter().chain(peers).collect())
}

/// How many: 1,000, or as many as `TENANTRY_BENCH_SCHEMAS` says.
fn schemas() -> usize {
    size("TENANTRY_BENCH_SCHEMAS").unwrap_or(1_000)
}

/// The same on bare connections.
async fn bare_rollout(postgres: &EmbeddedPostgres, count: usize, change: &str) -> anyhow::Result<Duration> {
    let started = Instant::now();
    let hands = (0..AT_ONCE).map(async |hand| {
        let mut bare = raw::connect(postgres, "raw_fleet").await?;
        for number in (hand..count).step_by(AT_ONCE) {
            raw::run(&mut bare, format!("BEGIN; SET LOCAL search_path = raw_{number}; {change} COMMIT"))
                .await?;
        }
        anyhow::Ok(())
    });
    futures::future::try_join_all(hands).await?;
    Ok(started.elapsed())
}

/// What others' loops take for each schema, of those that are installed.
async fn peers(postgres: &EmbeddedPostgres, ours: f64) -> anyhow::Result<Vec<Figure>> {
    let node = Workshop::with_node()
        .map(|workshop| ("node-pg-migrate", workshop.node(&["migrate_fleet.mjs"]), workshop));
    let python = Workshop::with_python()
        .map(|workshop| ("django-tenants", workshop.python("python", &["migrate_fleet.py"]), workshop));
    let mut figures = Vec::new();
    for (name, program, _workshop) in node.into_iter().chain(python) {
        let theirs = peer(postgres, &name.replace('-', "_"), program).await.with_context(|| name)?;
        figures.push(Figure {
            target: 9,
            what: format!("a tenant's share of it; raw: {name}'s loop over {PEER_SCHEMAS} schemas"),
            ours,
            raw: Some(theirs),
            unit: "ms",
            bound: 1.0,
            at_least: false,
        });
    }
    Ok(figures)
}

const PEER_SCHEMAS: usize = 200;

/// Milliseconds for each schema.
async fn peer(postgres: &EmbeddedPostgres, database: &str, mut program: Command) -> anyhow::Result<f64> {
    raw::prepare(postgres, database).await?;
    let mut bare = raw::connect(postgres, database).await?;
    for number in 0..PEER_SCHEMAS {
        let tables = format!("CREATE SCHEMA raw_{number}; SET search_path = raw_{number}; {TABLES}");
        raw::run(&mut bare, tables).await?;
    }
    let (user, password) = (postgres.user(), postgres.password().expose_secret());
    let url = format!("postgres://{user}:{password}@127.0.0.1:{}/{database}", postgres.port());
    let output = program.args([&url, &PEER_SCHEMAS.to_string(), &change(1)]).output().await?;
    let said = String::from_utf8_lossy(&output.stdout);
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(said.trim().parse::<f64>()? / PEER_SCHEMAS as f64)
}

/// Megabytes that this process holds.
fn resident_mb() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = pages.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or_default() * 4 / 1024
}

/// Sign-ups while tenants are migrated, one after another, against sign-ups alone: their lanes are not the same.
async fn sign_ups_beside(app: &TestApp) -> Figure {
    const SIGN_UPS: usize = 60;
    let some = async |name: &str| {
        let mut times = Vec::with_capacity(SIGN_UPS);
        for number in 0..SIGN_UPS {
            times.push(super::sign_ups::sign_up_to(app, &format!("{name}{number}"), "basic", APP).await);
        }
        times
    };
    let mut alone = some("alone").await;
    push(app, 100, "ALTER TABLE items ADD COLUMN weight int; SELECT pg_sleep(0.01)").await;
    let before = resident_mb();
    let (mut beside, (took, rollout)) = tokio::join!(some("beside"), roll_out(app));
    println!(
        "a slow rollout to {} tenants took {:.1} s; resident memory {before} MB before, {} MB after",
        rollout["tenants"]["done"],
        took.as_secs_f64(),
        resident_mb()
    );
    Figure {
        target: 9,
        what: "sign-up to ready beside a rollout, p50; raw: alone".into(),
        ours: percentile_ms(&mut beside, 0.5),
        raw: Some(percentile_ms(&mut alone, 0.5)),
        unit: "ms",
        bound: 1.5,
        at_least: false,
    }
}

/// 10,000 tenants that have the version already. All but the first are only known to the registry: no tenant's connection is
/// opened.
pub(crate) async fn nothing_to_do(postgres: &Arc<EmbeddedPostgres>) -> anyhow::Result<Vec<Figure>> {
    let app = fleet(postgres, 1).await;
    for copy in [
        "INSERT INTO tenants (id, slug, name, status, plan, app, features, limits, settings, data_key, created_at, updated_at)
         SELECT gen_random_uuid(), 'copy-' || n, name, status, plan, app, features, limits, settings, data_key, created_at,
             updated_at
         FROM tenants, generate_series(2, 10000) AS n",
        "INSERT INTO placements (tenant_id, epoch, state, tier, server_id, database, schema, login, role_password,
             schema_version, created_at)
         SELECT tenants.id, epoch, state, tier, server_id, database, 'tenant_' || tenants.slug, login, role_password,
             schema_version, placements.created_at
         FROM tenants, placements WHERE slug LIKE 'copy-%'",
    ] {
        sqlx::query(copy).execute(app.owner()).await?;
    }
    let (took, rollout) = roll_out(&app).await;
    assert_eq!(rollout["tenants"]["total"], 0);
    assert_eq!(rollout["versions"][0]["tenants"], 10_000);
    Ok(vec![Figure {
        target: 10,
        what: "rollout with nothing to do, 10,000 tenants".into(),
        ours: took.as_secs_f64(),
        raw: None,
        unit: "s",
        bound: 2.0,
        at_least: false,
    }])
}
