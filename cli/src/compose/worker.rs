//! A worker, from its settings to its first job.

use std::{
    net::{IpAddr, Ipv6Addr},
    path::PathBuf,
    sync::Arc,
};

use ipnet::IpNet;
use rand::Rng;
use tenantry_domain::envelope::Key;
use tenantry_postgres::embedded::{Durability, SearchPath};
use tenantry_registry::Part;
use tenantry_worker::{
    Settings, Worker,
    dns::{SystemResolver, TxtResolver},
    engine::{Probe, Unobserved},
    providers::{
        Providers,
        local::{Local, LocalSettings},
    },
    webhooks::WebhookSettings,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Process, RegistryConfig, readiness::Checks};

/// What a worker is made of.
#[allow(missing_debug_implementations, reason = "trait objects")]
pub struct WorkerConfig {
    /// The registry.
    pub registry: RegistryConfig,
    /// The key-encryption key.
    pub kek: Key,
    /// How it works.
    pub settings: Settings,
    /// Looks up the records that prove domains.
    pub resolver: Arc<dyn TxtResolver>,
    /// Told of every point that an operation reaches.
    pub probe: Arc<dyn Probe>,
}

impl WorkerConfig {
    /// A worker that asks the system's resolver and is not observed.
    pub fn new(registry: RegistryConfig, kek: Key, settings: Settings) -> Self {
        let resolver = Arc::new(SystemResolver::default());
        Self { registry, kek, settings, resolver, probe: Arc::new(Unobserved) }
    }
}

/// A worker that was started.
#[derive(Debug)]
pub struct StartedWorker {
    /// The worker.
    pub role: Worker,
    /// Ends after it was stopped, and has finished or handed over its work.
    pub task: JoinHandle<anyhow::Result<()>>,
}

/// Starts a worker, which works until `stop`. Waits until the registry is one that it can work with.
///
/// # Errors
/// Says what could not be started.
pub async fn start(
    process: &Process,
    config: WorkerConfig,
    stop: CancellationToken,
) -> anyhow::Result<StartedWorker> {
    let checks = Checks::announce(process, Part::Worker);
    let registry = process.registry(&config.registry, Part::Worker)?;
    checks.pass(&registry, &config.kek).await?;

    let WorkerConfig { kek, settings, resolver, probe, .. } = config;
    let worker = Worker::with(registry, kek, process.clock.clone(), resolver, probe, settings);
    let working = worker.clone();
    let task = tokio::spawn(async move {
        working.run(stop).await;
        Ok(())
    });
    checks.started();
    Ok(StartedWorker { role: worker, task })
}

/// Servers for tenants of tier `instance` as processes on this machine, in a folder.
pub fn local_servers(dir: PathBuf, search: SearchPath, durability: Durability) -> Providers {
    Providers::new(vec![Local::new(LocalSettings { dir, search, durability })])
}

/// Webhooks that may be on this machine.
pub fn loopback_webhooks() -> WebhookSettings {
    let loopback = [IpAddr::from([127, 0, 0, 0]), Ipv6Addr::LOCALHOST.into()].into_iter().zip([8, 128]);
    WebhookSettings {
        allow_networks: loopback.map(|(address, prefix)| IpNet::new_assert(address, prefix)).collect(),
        ..WebhookSettings::default()
    }
}

/// A name that no other worker has.
pub fn unique_name() -> String {
    let mut random = [0u8; 4];
    rand::rng().fill_bytes(&mut random);
    format!("worker-{}-{:08x}", std::process::id(), u32::from_be_bytes(random))
}
