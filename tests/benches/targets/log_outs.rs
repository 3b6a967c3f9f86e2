//! Target 20: how long after a log-out another data plane still takes the access token.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::json;
use tenantry_postgres::embedded::EmbeddedPostgres;
use tenantry_tests::{TestApp, report::Figure};

const LOG_OUTS: usize = 300;

pub(crate) async fn seen(postgres: &Arc<EmbeddedPostgres>) -> anyhow::Result<Figure> {
    let app = TestApp::build()
        .without_daily_quotas()
        .on_server(Arc::clone(postgres))
        .with_apps(&["salesflow"])
        .start()
        .await;
    let acme = app.sign_up("acme", "basic", "salesflow").await;
    let elsewhere = app.another_data_plane().await.with_host(format!("{}.localhost", acme.slug));
    let user = json!({ "username": "ada", "email": "ada@example.com", "password": "Correct horse 1" });
    acme.data.post("/api/auth/register", user).await.expect(201);
    let open = acme.data.without_key();
    let mut took = Vec::new();
    for _ in 0..LOG_OUTS {
        let login = json!({ "username": "ada", "password": "Correct horse 1" });
        let tokens = open.post("/api/auth/login", login).await.expect(200).json();
        let token = tokens["accessToken"].as_str().expect("a token").to_owned();
        let (here, there) = (acme.data.with_key(token.clone()), elsewhere.with_key(token));
        there.get("/api/auth/validate").await.expect(200);
        here.post("/api/auth/logout", json!({})).await.expect(204);
        let out = Instant::now();
        while there.get("/api/auth/validate").await.status == 200 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        took.push(out.elapsed().as_secs_f64() * 1e3);
    }
    took.sort_by(f64::total_cmp);
    Ok(Figure {
        target: 20,
        what: "p99 of a log-out until another data plane refuses its token".into(),
        ours: took[LOG_OUTS * 99 / 100],
        raw: None,
        unit: "ms",
        bound: 100.0,
        at_least: false,
    })
}
