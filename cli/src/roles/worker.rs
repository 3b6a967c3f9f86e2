//! `tenantry worker`.

use std::{sync::Arc, time::Duration};

use clap::Args;
use tenantry_domain::SystemClock;
use tenantry_worker::{Settings, engine::Probe};
use tokio_util::sync::CancellationToken;

use crate::{
    compose::{
        self, Patience, Process,
        worker::{WorkerConfig, unique_name},
    },
    settings::{AdminArgs, KekArgs, RegistryArgs},
    shutdown,
};

/// Settings of `tenantry worker`.
#[derive(Debug, Args)]
pub struct WorkerArgs {
    #[command(flatten)]
    registry: RegistryArgs,
    #[command(flatten)]
    kek: KekArgs,
    #[command(flatten)]
    admin: AdminArgs,

    /// Its name among workers; by default one that no other has.
    #[arg(long, env = "TENANTRY_WORKER_NAME", value_name = "NAME")]
    worker_name: Option<String>,

    /// Operations that it runs at once.
    #[arg(long, env = "TENANTRY_WORKER_CONCURRENCY", default_value_t = 8, value_name = "COUNT")]
    worker_concurrency: usize,

    /// Seconds that an operation stays taken without a sign of life from its worker.
    #[arg(long, env = "TENANTRY_WORKER_LEASE", default_value_t = 15.0, value_name = "SECONDS")]
    worker_lease: f64,

    /// Databases to keep ready for tenants of tier database, of each app on each server. A sign-up takes
    /// one instead of waiting for a copy.
    #[arg(long, env = "TENANTRY_WARM_DATABASES", default_value_t = 1, value_name = "COUNT")]
    warm_databases: usize,

    /// What distinguishes this registry's logins and templates on servers that several registries share.
    #[arg(long, env = "TENANTRY_LABEL", default_value = "main", value_name = "NAME")]
    label: String,
}

pub(crate) async fn run(args: WorkerArgs, probe: Arc<dyn Probe>) -> anyhow::Result<()> {
    let told = shutdown::on_signal()?;
    let settings = Settings {
        name: args.worker_name.unwrap_or_else(unique_name),
        concurrency: args.worker_concurrency,
        lease: Duration::try_from_secs_f64(args.worker_lease)?,
        warm_databases: args.warm_databases,
        label: args.label,
        ..Settings::default()
    };
    let config = WorkerConfig::new(args.registry.config()?, args.kek.required()?, settings);
    let process = Process::new(SystemClock::shared(), Patience::UntilReady)?;
    // Nobody sends a worker requests: it need not wait for anybody to look away.
    let stop = process.stop_after(told, Duration::ZERO);
    let ended = CancellationToken::new();
    let _admin = ended.clone().drop_guard();
    process.serve_admin(args.admin.admin_addr, ended).await?;
    let starting = Box::pin(compose::worker::start(&process, WorkerConfig { probe, ..config }, stop.clone()));
    let Some(started) = stop.run_until_cancelled(starting).await else { return Ok(()) };
    started?.task.await?
}
