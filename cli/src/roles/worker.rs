//! `tenantry worker`.

use std::sync::Arc;

use clap::Args;
use rand::Rng;
use secrecy::ExposeSecret;
use tenantry_domain::SystemClock;
use tenantry_registry::{Part, Registry};
use tenantry_worker::{Settings, Worker, dns::SystemResolver, engine::Probe};

use super::serve_admin;
use crate::{
    platform::registry_check,
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

/// A name that no other worker has.
pub(crate) fn unique_name() -> String {
    let mut random = [0u8; 4];
    rand::rng().fill_bytes(&mut random);
    format!("worker-{}-{:08x}", std::process::id(), u32::from_be_bytes(random))
}

pub(crate) async fn run(args: WorkerArgs, probe: Arc<dyn Probe>) -> anyhow::Result<()> {
    let stop = shutdown::on_signal()?;
    let url = args.registry.database_url.expose_secret();
    let registry = Registry::connect_lazy(url, Part::Worker, args.registry.registry_connections)?;
    let settings = Settings {
        name: args.worker_name.unwrap_or_else(unique_name),
        concurrency: args.worker_concurrency,
        lease: std::time::Duration::try_from_secs_f64(args.worker_lease)?,
        warm_databases: args.warm_databases,
        label: args.label,
        ..Settings::default()
    };
    serve_admin(args.admin.admin_addr, vec![registry_check(registry.clone())], stop.clone()).await?;
    let resolver = Arc::new(SystemResolver::default());
    Worker::with(registry, args.kek.required()?, SystemClock::shared(), resolver, probe, settings)
        .run(stop)
        .await;
    Ok(())
}
