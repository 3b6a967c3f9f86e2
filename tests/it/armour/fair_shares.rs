//! Tenants that ask for all connections of a server, through the data plane and by themselves.

use std::{
    iter,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures::future::join_all;
use serde_json::json;
use sqlx::{Connection, PgConnection};
use tenantry_tests::{TestApp, within::within};

const APP: &str = "
    CREATE TABLE notes (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body text);
    CREATE FUNCTION nap() RETURNS void LANGUAGE sql AS $$ SELECT pg_sleep(0.5) $$;";

/// A statement may take so long, and so long one that has nothing in use may wait for its turn.
const STATEMENT: Duration = Duration::from_secs(2);

/// What the machine may take for a read besides.
const SLACK: Duration = Duration::from_secs(2);

async fn start() -> TestApp {
    let build = TestApp::build()
        .without_daily_quotas()
        .with_apps(&[])
        .data_plane(|data| data.statement_timeout = STATEMENT);
    let app = build.start().await;
    app.api.put("/api/v1/apps/naps", json!({})).await.expect(200);
    let version = json!({ "version": 1, "name": "naps", "up": APP });
    app.api.post("/api/v1/apps/naps/versions", version).await.expect(201);
    app
}

/// So many tenants nap, by so many clients each, without end; another one reads.
async fn one_among(greedy: usize, clients: usize) {
    let app = start().await;
    let modest = app.sign_up("modest", "basic", "naps").await;
    let names: Vec<String> = (0..greedy).map(|n| format!("greedy{n}")).collect();
    let tenants = join_all(names.iter().map(|name| app.sign_up(name, "basic", "naps"))).await;
    let (stop, napped) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let naps: Vec<_> = tenants
        .iter()
        .flat_map(|tenant| iter::repeat_n(tenant, clients))
        .map(|tenant| {
            let (data, stop, napped) = (tenant.data.clone(), Arc::clone(&stop), Arc::clone(&napped));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let status = data.post("/api/rpc/nap", json!({})).await.status.as_u16();
                    assert!(matches!(status, 204 | 503), "{status}");
                    napped.fetch_add(usize::from(status == 204), Ordering::Relaxed);
                }
            })
        })
        .collect();
    within(Duration::from_secs(30), "they nap", async || napped.load(Ordering::Relaxed) > 20).await;
    let mut longest = Duration::ZERO;
    for _ in 0..20 {
        let asked = Instant::now();
        modest.data.get("/api/notes").await.expect(200);
        longest = longest.max(asked.elapsed());
    }
    stop.store(true, Ordering::Relaxed);
    for nap in naps {
        nap.await.unwrap();
    }
    assert!(longest < STATEMENT + SLACK, "{longest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_served_in_its_turn_while_two_others_want_all_connections() {
    one_among(2, 40).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_served_in_its_turn_while_twenty_others_want_all_connections() {
    one_among(20, 40).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_logs_in_as_often_as_it_can_keeps_nobody_out() {
    let app = start().await;
    let greedy = app.sign_up("greedy", "basic", "naps").await;
    let modest = app.sign_up("modest", "basic", "naps").await;
    let url = app.own_url(&greedy.slug).await;
    let own = join_all((0..121).map(|_| PgConnection::connect(&url))).await;
    let own: Vec<_> = own.into_iter().filter_map(Result::ok).collect();
    let allowed = usize::try_from(app.worker_settings().tenant_connections).unwrap();
    assert!((1..=allowed).contains(&own.len()), "{} of {allowed}", own.len());
    modest.data.get("/api/notes").await.expect(200);
    greedy.data.get("/api/notes").await.expect(200);
    app.sign_up("another", "basic", "naps").await.data.get("/api/notes").await.expect(200);
}
