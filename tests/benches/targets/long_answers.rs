//! Target 15: an answer of 10 MB, against `json_agg` on a bare connection; and what readers cost that do not read.

use std::{sync::Arc, time::Instant};

use secrecy::ExposeSecret;
use sqlx::AssertSqlSafe;
use tenantry_postgres::embedded::EmbeddedPostgres;
use tenantry_tests::{
    Signup, TestApp, raw_sign_up as raw,
    report::{Figure, median},
};
use tokio::{io::AsyncWriteExt, net::TcpStream};

const ROUNDS: usize = 15;
const READERS: usize = 10;

pub(crate) async fn long_answers(postgres: &Arc<EmbeddedPostgres>) -> anyhow::Result<Vec<Figure>> {
    let app = TestApp::build()
        .without_daily_quotas()
        .on_server(Arc::clone(postgres))
        .with_apps(&["crm"])
        .start()
        .await;
    let tenant = app.sign_up("reader", "basic", "crm").await;
    let schema = format!("tenant_{}", tenant.slug.replace('-', "_"));
    let mut bare = raw::connect(postgres, app.shared_database()).await?;
    let fill = format!(
        "INSERT INTO {schema}.contacts (email, company)
         SELECT n || '@example.com', repeat('x', 10000) FROM generate_series(1, 1000) n"
    );
    raw::run(&mut bare, fill).await?;
    let query = format!(
        "SELECT json_agg(p)::text FROM (SELECT email, company FROM {schema}.contacts LIMIT 1000) AS p"
    );
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let started = Instant::now();
        let answer = tenant.data.get("/api/contacts?select=email,company").await.expect(200);
        let us = answer.text.len() as f64 / started.elapsed().as_secs_f64();
        let started = Instant::now();
        let text: String = sqlx::query_scalar(AssertSqlSafe(query.clone())).fetch_one(&mut bare).await?;
        let them = text.len() as f64 / started.elapsed().as_secs_f64();
        // The first round warms connections and caches on both sides.
        if round > 0 {
            ours.push(us / 1e6);
            theirs.push(them / 1e6);
        }
    }
    let memory = memory_of_readers(&app, &tenant).await?;
    Ok(vec![
        Figure {
            target: 15,
            what: "answer of 10 MB, against json_agg on a bare connection".into(),
            ours: median(&mut ours),
            raw: Some(median(&mut theirs)),
            unit: "MB/s",
            bound: 0.8,
            at_least: true,
        },
        Figure {
            target: 15,
            what: format!("memory of a reader of 10 MB that does not read, of {READERS}"),
            ours: memory,
            raw: None,
            unit: "MB",
            bound: 1.0,
            at_least: false,
        },
    ])
}

/// What each of some readers adds to this process, in MB.
async fn memory_of_readers(app: &TestApp, tenant: &Signup) -> anyhow::Result<f64> {
    let before = resident()?;
    let mut readers = Vec::new();
    for _ in 0..READERS {
        let mut reader = TcpStream::connect(app.data.address()).await?;
        let request = format!(
            "GET /api/contacts?select=email,company HTTP/1.1\r\nhost: {}.localhost\r\nauthorization: Bearer {}\r\n\r\n",
            tenant.slug,
            tenant.key.expose_secret()
        );
        reader.write_all(request.as_bytes()).await?;
        // The answer has begun.
        reader.readable().await?;
        readers.push(reader);
    }
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    Ok((resident()? - before) / READERS as f64)
}

/// Memory of this process, in MB.
fn resident() -> anyhow::Result<f64> {
    let status = std::fs::read_to_string("/proc/self/statm")?;
    let pages: f64 = status.split(' ').nth(1).unwrap_or_default().parse()?;
    Ok(pages * 4096.0 / 1e6)
}
