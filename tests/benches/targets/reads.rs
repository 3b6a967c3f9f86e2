//! Target 4: reads by id through the resource API, against axum and sqlx without tenants.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::{Path, State},
    http::header,
    response::IntoResponse,
    routing::get,
};
use secrecy::ExposeSecret;
use serde_json::json;
use sqlx::{PgPool, postgres::PgPoolOptions};
use tenantry_cli::embedded::database_url;
use tenantry_postgres::embedded::EmbeddedPostgres;
use tenantry_tests::{
    Api, Signup, TestApp,
    report::{Figure, median},
};
use tokio::net::TcpListener;

const CLIENTS: usize = 16;
const ROUND: Duration = Duration::from_secs(3);
const ROUNDS: usize = 5;
const ROWS: usize = 1_000;
const COLUMNS: &str = "id, first_name, last_name, email, phone, company, metadata, created_at, updated_at";

/// The app that a team without tenants would write.
async fn without_tenants(postgres: &EmbeddedPostgres, database: &str, schema: &str) -> anyhow::Result<Api> {
    async fn one(
        State((pool, query)): State<(PgPool, Arc<str>)>,
        Path(id): Path<String>,
    ) -> impl IntoResponse {
        let query: String = (*query).to_owned();
        let body: String = sqlx::query_scalar(sqlx::AssertSqlSafe(query))
            .bind(id)
            .fetch_one(&pool)
            .await
            .expect("the row is there");
        ([(header::CONTENT_TYPE, "application/json")], body)
    }
    let pool = PgPoolOptions::new()
        .max_connections(16)
        .test_before_acquire(false)
        .connect(database_url(postgres, database).expose_secret())
        .await?;
    let query: Arc<str> = format!(
        "SELECT row_to_json(t)::text FROM (SELECT {COLUMNS} FROM {schema}.contacts WHERE id = CAST($1 AS uuid)) AS t"
    )
    .into();
    let router = Router::new().route("/api/contacts/{id}", get(one)).with_state((pool, query));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(Api::new(address))
}

/// Rows that can be read, and where.
struct Rows {
    api: Api,
    ids: Vec<String>,
}

/// Requests per second of one round, each client's next request to the next of some tenants.
async fn round(tenants: &Arc<Vec<Rows>>) -> anyhow::Result<f64> {
    let answered = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let clients = (0..CLIENTS).map(|client| {
        let (tenants, answered) = (Arc::clone(tenants), Arc::clone(&answered));
        tokio::spawn(async move {
            let mut next = client;
            while started.elapsed() < ROUND {
                let Rows { api, ids } = &tenants[next % tenants.len()];
                let answer = api.get(&format!("/api/contacts/{}", ids[next % ids.len()])).await;
                assert_eq!(answer.status, 200, "{}", answer.text);
                answered.fetch_add(1, Ordering::Relaxed);
                next += 7;
            }
        })
    });
    futures::future::try_join_all(clients).await?;
    Ok(answered.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64())
}

/// The median of rounds that take turns, so that what else the machine does hits both.
/// `tenants_per_login`: 1 for a login of the data plane per tenant.
pub(crate) async fn by_id(
    postgres: &Arc<EmbeddedPostgres>,
    tenants_per_login: u32,
    tenants: usize,
) -> anyhow::Result<Figure> {
    let build = TestApp::build().without_daily_quotas().on_server(Arc::clone(postgres));
    let app = build.worker(move |settings| settings.tenants_per_login = tenants_per_login).start().await;
    let mut ours_at = Vec::new();
    for n in 0..tenants {
        let tenant = app.sign_up(&format!("reader{n}"), "basic", "crm").await;
        ours_at.push(Rows { ids: fill(&tenant).await, api: tenant.data });
    }
    let schema = format!("tenant_{}", app.slug("reader0").replace('-', "_"));
    let bare = without_tenants(postgres, app.shared_database(), &schema).await?;
    let bare = Arc::new(vec![Rows { api: bare, ids: ours_at[0].ids.clone() }]);
    let ours_at = Arc::new(ours_at);

    let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..=ROUNDS {
        let (us, them) = (round(&ours_at).await?, round(&bare).await?);
        // The first round fills pools and caches.
        if n > 0 {
            println!("read by id: {us:.0} requests/s, without tenants {them:.0}, ratio {:.2}", us / them);
            ours.push(us);
            theirs.push(them);
            ratios.push(us / them);
        }
    }
    let of = if tenants == 1 { String::new() } else { format!(", of {tenants} tenants by turns") };
    Ok(Figure {
        target: 4,
        what: format!(
            "read by id{of}, {CLIENTS} clients, {tenants_per_login} tenants per login, against axum and sqlx without tenants"
        ),
        ours: median(&mut ours),
        raw: Some(median(&mut theirs)),
        unit: "per second",
        bound: 0.9,
        at_least: true,
    })
}

/// Gives a tenant rows; their ids.
async fn fill(tenant: &Signup) -> Vec<String> {
    let rows: Vec<_> = (0..ROWS)
        .map(|n| json!({ "first_name": "A", "last_name": format!("B {n}"), "email": format!("{n}@example.com") }))
        .collect();
    let insert = tenant.data.request(reqwest::Method::POST, "/api/contacts?select=id");
    let made =
        tenant.data.send(insert.header("prefer", "return=representation").json(&rows)).await.expect(201);
    let rows = made.json();
    let ids = rows.as_array().expect("rows").iter().map(|row| row["id"].as_str().expect("an id").into());
    ids.collect()
}
