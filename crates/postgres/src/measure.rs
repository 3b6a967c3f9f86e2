//! Ratios to the raw cost, printed in one run:
//! `cargo test --release -p tenantry-postgres measure -- --ignored --nocapture --test-threads 1`.
//!
//! Round trips are measured on one CPU (`taskset -c 0` before it, the server inherits it): on several, waking the
//! other side's CPU costs more than what is measured, and a run is fast or slow by where the scheduler put them.

use std::{path::Path, time::Instant};

use secrecy::ExposeSecret;
use tenantry_domain::{
    app::{App, Manifest},
    server_tls::ServerTls,
};
use tokio_postgres::types::Type;

use crate::{
    admin::{RoleLimits, Warmed},
    embedded::{EmbeddedConfig, EmbeddedPostgres, SearchPath},
    fixture::{Bench, app, mark, name, notes, owner},
    tenant::{Access, ConnectOptions, LoginTarget, TenantConnection},
    tls::Tls,
};

/// The CRM of `migrations/tenant/crm`: three tables, ten indexes, three triggers.
fn crm() -> App {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations/tenant/crm");
    let mut files: Vec<_> = dir.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.to_string_lossy().ends_with(".up.sql"));
    files.sort();
    let texts: Vec<_> = files.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
    let mut crm = app(&texts.iter().map(|text| (text.as_str(), None)).collect::<Vec<_>>());
    crm.manifest = Manifest { extensions: ["pg_trgm".to_owned()].into(), ..Manifest::default() };
    crm
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[tokio::test]
#[ignore = "a measurement"]
async fn provisioning_against_raw_ddl() {
    let dir = std::env::temp_dir().join(format!("tenantry-measure-{}", std::process::id()));
    let config = EmbeddedConfig { ephemeral: true, ..EmbeddedConfig::new(dir, SearchPath::default()) };
    let server = EmbeddedPostgres::start(config).await.unwrap();
    let bench = Bench::on(&server, "measure").await;
    let app = crm();
    bench.admin.ensure_extensions(&bench.database, &app.manifest.extensions).await.unwrap();
    let raw = bench.log_in(server.user(), server.password().expose_secret(), &bench.database);
    let raw = raw.await.unwrap();
    let ddl: String = app.migrations.iter().map(|migration| migration.up.as_str()).collect();
    let (mut raws, mut ours, mut named) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..40 {
        let verifier = crate::scram::verifier(&"pw".into());
        let secret = verifier.expose_secret();
        let text = format!(
            "BEGIN; CREATE ROLE raw_{round} LOGIN PASSWORD '{secret}'; CREATE SCHEMA raw_{round}; GRANT USAGE ON SCHEMA raw_{round} TO raw_{round}; \
             SET LOCAL search_path = raw_{round}, extensions; {ddl}; \
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA raw_{round} TO raw_{round}; COMMIT"
        );
        let started = Instant::now();
        raw.batch_execute(&text).await.unwrap();
        raws.push(started.elapsed().as_secs_f64() * 1e3);

        let tenant = name(&format!("tenant_measure_{round}"));
        let started = Instant::now();
        let mark = mark(&tenant);
        let role = bench.role(&verifier);
        bench.admin.create_schema(owner(&tenant, &mark), &role, &app).await.unwrap();
        ours.push(started.elapsed().as_secs_f64() * 1e3);

        let warmed = bench.admin.add_warm_tenant(&app, "measure", &bench.role(&verifier)).await.unwrap();
        let Warmed::Ready(warm, _) = warmed else { panic!("{warmed:?}") };
        let tenant = name(&format!("tenant_named_{round}"));
        let started = Instant::now();
        bench
            .admin
            .name_warm_tenant(owner(&tenant, &mark), &RoleLimits::default(), &warm, "measure")
            .await
            .unwrap();
        named.push(started.elapsed().as_secs_f64() * 1e3);
    }
    let scram = Instant::now();
    crate::scram::verifier(&"pw".into());
    let scram = scram.elapsed().as_secs_f64() * 1e3;
    let (raw, ours) = (median(raws), median(ours));
    println!(
        "raw DDL {raw:.1} ms, provisioned {ours:.1} ms, ratio {:.2}; verifier {scram:.1} ms",
        ours / raw
    );
    println!("a warm tenant named {:.2} ms", median(named));
    server.stop().await.unwrap();
}

#[tokio::test]
#[ignore = "a measurement"]
async fn a_tenant_query_against_a_bare_prepared_statement() {
    const N: u32 = 10_000;
    let bench = Bench::new("speed").await;
    let rows = "INSERT INTO notes (word) SELECT 'word ' || n FROM generate_series(1, 1000) n";
    let mut tenants = Vec::new();
    for n in 0..10 {
        let tenant = bench.tenant(&format!("tenant_speed_{n}"), &notes()).await;
        let mark = mark(&tenant);
        bench.admin.seed(&bench.database, owner(&tenant, &mark), rows).await.unwrap();
        tenants.push(tenant);
    }
    let by_id = |tenant| {
        format!(
            "SELECT row_to_json(n)::text, 1::bigint, NULL::bigint FROM \"{tenant}\".notes n \
             WHERE id = ($1::text)::bigint"
        )
    };
    let server = crate::fixture::server().await;
    let superuser = LoginTarget {
        login: name(server.user()),
        password: server.password().clone(),
        ..bench.target(&bench.database)
    };
    let options = ConnectOptions::default();
    for tenants in [&tenants[..1], &tenants[..]] {
        let texts: Vec<_> = tenants.iter().map(by_id).collect();
        let (mut bare_rates, mut spawned_rates, mut tenant_rates) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..3 {
            let mut bare = TenantConnection::connect(&superuser, &options).await.unwrap();
            let started = Instant::now();
            for n in 0..N {
                bare.bare(&texts[n as usize % texts.len()], &(n % 1000 + 1).to_string()).await;
            }
            bare_rates.push(f64::from(N) / started.elapsed().as_secs_f64());

            let client = bench.log_in(server.user(), server.password().expose_secret(), &bench.database);
            let client = client.await.unwrap();
            let statement = client.prepare_typed(&texts[0], &[Type::TEXT]).await.unwrap();
            let started = Instant::now();
            for n in 0..N {
                client.query_one(&statement, &[&(n % 1000 + 1).to_string()]).await.unwrap();
            }
            spawned_rates.push(f64::from(N) / started.elapsed().as_secs_f64());

            let mut connection = bench.connect(&bench.database).await;
            let started = Instant::now();
            for n in 0..N {
                let at = n as usize % tenants.len();
                let params = [Some((n % 1000 + 1).to_string())];
                let row = connection.query_one_text(&tenants[at], Access::ReadOnly, &texts[at], &params);
                assert!(row.await.unwrap().body.is_some());
            }
            tenant_rates.push(f64::from(N) / started.elapsed().as_secs_f64());
        }
        let (bare, spawned, ours) = (median(bare_rates), median(spawned_rates), median(tenant_rates));
        println!(
            "{} tenants, one connection: as tenants {ours:.0}/s; bare {bare:.0}/s (ratio {:.2}); \
             bare, driver in a task {spawned:.0}/s (ratio {:.2})",
            tenants.len(),
            ours / bare,
            ours / spawned
        );
    }
}

#[tokio::test]
#[ignore = "a measurement"]
async fn a_read_and_a_log_in_with_tls_against_without() {
    const READS: u32 = 5_000;
    const LOG_INS: u32 = 100;
    let dir = std::env::temp_dir().join(format!("tenantry-measure-tls-{}", std::process::id()));
    let config = EmbeddedConfig::throwaway(dir, SearchPath::default());
    let mut server = EmbeddedPostgres::start(config).await.unwrap();
    let bench = Bench::on(&server, "tls").await;
    let shown = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    for (text, file) in [(shown.cert.pem(), "server.crt"), (shown.signing_key.serialize_pem(), "server.key")]
    {
        let text = text.replace('\r', "");
        let lines = format!("SELECT unnest(string_to_array('{text}', E'\\n'))");
        let write = format!("COPY ({lines}) TO PROGRAM 'umask 077; cat > {file}'");
        bench.admin.execute(&write).await.unwrap();
    }
    bench.admin.execute("ALTER SYSTEM SET ssl = on").await.unwrap();
    let tenant = bench.tenant("tenant_tls", &notes()).await;
    let mark = mark(&tenant);
    let rows = "INSERT INTO notes (word) SELECT 'word ' || n FROM generate_series(1, 1000) n";
    bench.admin.seed(&bench.database, owner(&tenant, &mark), rows).await.unwrap();
    bench.admin.close().await;
    server.restart().await.unwrap();

    let by_id =
        "SELECT 1::bigint, NULL::bigint, row_to_json(n)::text FROM notes n WHERE id = ($1::text)::bigint";
    let options = ConnectOptions::default();
    let (mut log_ins, mut reads) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for _ in 0..5 {
        for (at, tls) in [ServerTls::Disable, ServerTls::Require { ca: None }].iter().enumerate() {
            let target = LoginTarget { tls: Tls::new(tls), ..bench.target(&bench.database) };
            let started = Instant::now();
            for _ in 0..LOG_INS {
                TenantConnection::connect(&target, &options).await.unwrap();
            }
            log_ins[at].push(started.elapsed().as_secs_f64() * 1e6 / f64::from(LOG_INS));
            let mut connection = TenantConnection::connect(&target, &options).await.unwrap();
            let started = Instant::now();
            for n in 0..READS {
                let id = [Some((n % 1000 + 1).to_string())];
                connection.query_one_text(&tenant, Access::ReadOnly, by_id, &id).await.unwrap();
            }
            reads[at].push(started.elapsed().as_secs_f64() * 1e6 / f64::from(READS));
        }
    }
    let ([plain_in, tls_in], [plain, tls]) = (log_ins.map(median), reads.map(median));
    println!("log-in {plain_in:.0} us, with TLS {tls_in:.0} us; read {plain:.1} us, with TLS {tls:.1} us");
    server.stop().await.unwrap();
}
