//! Target 16: sign-ups while one server of two is dead, against sign-ups with both alive.

use std::{sync::Arc, time::Instant};

use secrecy::ExposeSecret;
use serde_json::json;
use tenantry_postgres::embedded::{Durability, EmbeddedPostgres};
use tenantry_tests::{
    TestApp,
    report::{Figure, percentile_ms},
    server,
};

use crate::sign_ups::{APP, sign_up};

/// From the moment at which the server dies, so that finding out counts.
pub(crate) async fn among_two(postgres: &Arc<EmbeddedPostgres>) -> anyhow::Result<Figure> {
    const COUNT: usize = 200;
    let mut other = server::start(Durability::Full).await?;
    let build = TestApp::build().without_daily_quotas().on_server(Arc::clone(postgres)).with_apps(&[APP]);
    let app = build.worker(|settings| settings.warm_tenants = 8).start().await;
    let body = json!({
        "name": "other", "host": other.host(), "port": other.port(), "adminUser": other.user(),
        "adminPassword": other.password().expose_secret(), "sharedDatabase": app.shared_database(),
        "tiers": ["schema"], "capacity": 10_000, "maxConnections": 16, "region": "local", "provider": "static",
    });
    app.api.post("/api/v1/servers", body).await.expect(201);
    let pool = app.warm_pool_in_hand(4).await;

    let phase = async |name: &str| {
        let mut times = Vec::new();
        for n in 0..COUNT {
            pool.fill().await?;
            times.push(sign_up(&app, &format!("{name}{n}"), "basic").await);
        }
        anyhow::Ok(times)
    };
    sign_up(&app, "first", "basic").await;
    sign_up(&app, "second", "basic").await;
    let mut alive = phase("alive").await?;
    other.suspend_server().await?;
    let died = Instant::now();
    let mut dead = phase("dead").await?;
    println!(
        "one dead server among two: p50 {:.1} ms, longest {:.1} ms, in the {:.1} s since its death; both alive: p50 {:.1} ms, longest {:.1} ms",
        percentile_ms(&mut dead, 0.5),
        percentile_ms(&mut dead, 1.0),
        died.elapsed().as_secs_f64(),
        percentile_ms(&mut alive, 0.5),
        percentile_ms(&mut alive, 1.0),
    );
    Ok(Figure {
        target: 16,
        what: "sign-up with one dead server among two, p50, against both alive".into(),
        ours: percentile_ms(&mut dead, 0.5),
        raw: Some(percentile_ms(&mut alive, 0.5)),
        unit: "ms",
        bound: 1.2,
        at_least: false,
    })
}
