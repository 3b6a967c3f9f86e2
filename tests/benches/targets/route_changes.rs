//! Target 6: from the commit of a change in the registry to the first answer that follows it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tenantry_postgres::embedded::EmbeddedPostgres;
use tenantry_tests::{
    TestApp,
    report::{Figure, percentile_ms},
};

/// How long a data plane serves on after a tenant was suspended, and refuses after it was resumed.
pub(crate) async fn seen(postgres: &Arc<EmbeddedPostgres>) -> anyhow::Result<Figure> {
    const COUNT: usize = 300;
    let app = TestApp::build().without_daily_quotas().on_server(Arc::clone(postgres)).start().await;
    let tenant = app.sign_up("changing", "basic", "crm").await;
    let mut times: Vec<Duration> = Vec::with_capacity(COUNT);
    for n in 0..COUNT {
        let (status, expected) = if n % 2 == 0 { ("suspended", 403) } else { ("active", 200) };
        sqlx::query("UPDATE tenants SET status = $1").bind(status).execute(app.owner()).await?;
        let committed = Instant::now();
        while tenant.data.get("/api/contacts?limit=1").await.status != expected {
            assert!(committed.elapsed() < Duration::from_secs(10), "the change is not seen");
        }
        times.push(committed.elapsed());
    }
    println!("a change is seen: p50 {:.1} ms", percentile_ms(&mut times, 0.5));
    Ok(Figure {
        target: 6,
        what: format!("a change of a route is seen, p99 of {COUNT}"),
        ours: percentile_ms(&mut times, 0.99),
        raw: None,
        unit: "ms",
        bound: 100.0,
        at_least: false,
    })
}
