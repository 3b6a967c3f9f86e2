//! The tenants, signed up through the product.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use secrecy::ExposeSecret;
use serde_json::json;
use tenantry_postgres::embedded::{Durability, EmbeddedPostgres};
use tenantry_tests::{Api, TestApp, process::RoleProcess, raw_sign_up, server, warm_pool::WarmPool};
use tenantry_worker::Settings;

use crate::statements;

/// The app of the figures in TARGETS.md: 3 tables and a dozen indexes.
pub(crate) const APP: &str = "crm";

/// Tenants that the worker keeps ready.
pub(crate) const WARM: usize = 8;

/// The database of raw sign-ups.
pub(crate) const RAW: &str = "raw";

/// One server with all tenants.
pub(crate) struct Fleet {
    pub(crate) postgres: Arc<EmbeddedPostgres>,
    pub(crate) app: TestApp,
    pub(crate) pool: WarmPool,
    /// A data plane in a process of its own.
    pub(crate) data_plane: RoleProcess,
    data: Api,
    /// The slugs of all tenants.
    slugs: Vec<String>,
    /// Of how many of them the data plane has the route.
    pub(crate) routed: usize,
}

impl Fleet {
    /// `sample`: tenants that its pool holds when it is filled by hand.
    pub(crate) async fn start(sample: usize) -> anyhow::Result<Self> {
        let mut postgres = server::start(Durability::Full).await?;
        statements::preload(&mut postgres).await?;
        let postgres = Arc::new(postgres);
        statements::begin(&postgres).await?;
        let app = TestApp::build()
            .without_daily_quotas()
            .on_server(Arc::clone(&postgres))
            .with_apps(&[APP])
            .worker(as_in_production)
            .start()
            .await;
        let pool = app.warm_pool_in_hand(sample).await;
        app.give_back_warm_pool().await;
        raw_sign_up::prepare(&postgres, RAW).await?;
        let binary = std::env::current_exe()?;
        let mut data_plane = RoleProcess::start(
            binary.to_str().expect("a path of text"),
            "data-plane",
            app.registry_url().expose_secret(),
            &app.kek,
            &[],
        )
        .await;
        let data = Api::new(data_plane.serving().await);
        Ok(Self { postgres, app, pool, data_plane, data, slugs: Vec::new(), routed: 0 })
    }

    pub(crate) fn tenants(&self) -> usize {
        self.slugs.len()
    }

    /// Signs tenants up until there are so many, as fast as the product can.
    pub(crate) async fn grow(&mut self, tenants: usize) -> anyhow::Result<()> {
        let (from, started) = (self.tenants(), Instant::now());
        let signed_up: Vec<String> = stream::iter(from..tenants)
            .map(|n| {
                let app = &self.app;
                async move { sign_up(app, n).await.0 }
            })
            .buffer_unordered(32)
            .collect()
            .await;
        if !signed_up.is_empty() {
            let seconds = started.elapsed().as_secs_f64();
            println!(
                "{} sign-ups in {seconds:.0} s, {:.0}/s",
                signed_up.len(),
                signed_up.len() as f64 / seconds
            );
        }
        self.slugs.extend(signed_up);
        Ok(())
    }

    /// Signs one more tenant up; how long it took until it was ready.
    pub(crate) async fn sign_up(&mut self) -> Duration {
        let (slug, took) = sign_up(&self.app, self.tenants()).await;
        self.slugs.push(slug);
        took
    }

    /// Lets the data plane have the route of every tenant in memory.
    pub(crate) async fn route_all(&mut self) {
        let asked = stream::iter(&self.slugs[self.routed..]).for_each_concurrent(16, async |slug| {
            // Refused without a key, which takes the route to tell.
            let answer = self.data.with_host(format!("{slug}.localhost")).get("/api/contacts?limit=1").await;
            assert_eq!(answer.status, 401, "{}", answer.text);
        });
        asked.await;
        self.routed = self.slugs.len();
    }
}

/// The tests' workers are less patient: their leases are short.
fn as_in_production(settings: &mut Settings) {
    let usual = Settings::default();
    settings.lease = usual.lease;
    settings.step_tries = usual.step_tries;
    settings.retry_base = usual.retry_base;
    settings.retry_cap = usual.retry_cap;
    settings.admin = usual.admin;
    settings.warm_tenants = WARM;
}

async fn sign_up(app: &TestApp, n: usize) -> (String, Duration) {
    let slug = app.slug(&format!("tenant-{n}"));
    let body = json!({ "name": format!("Tenant {n}"), "slug": slug, "plan": "basic", "app": APP });
    let started = Instant::now();
    let answer = app.api.post_and_wait("/api/v1/tenants", body).await;
    // A machine that is busy with something else takes longer than one waits.
    if answer.status == 202 {
        let operation = answer.json()["operation"]["id"].as_str().expect("an id").to_owned();
        let ended = app.operation_ended(&operation).await;
        assert_eq!(ended["state"], "succeeded", "{ended}");
    } else {
        answer.expect(201);
    }
    (slug, started.elapsed())
}
