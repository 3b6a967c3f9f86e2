//! A data plane, from its settings to its listener.

use std::net::SocketAddr;

use tenantry_data_plane::{DataPlane, Settings};
use tenantry_domain::envelope::Key;
use tenantry_registry::Part;
use tokio_util::sync::CancellationToken;

use super::{Process, RegistryConfig, Started, bind, readiness::Checks};

/// What a data plane is made of.
#[derive(Debug, Clone)]
pub struct DataPlaneConfig {
    /// The registry.
    pub registry: RegistryConfig,
    /// The key-encryption key.
    pub kek: Key,
    /// Where it listens; port 0 picks a free one.
    pub addr: SocketAddr,
    /// How tenants are served.
    pub settings: Settings,
}

/// Starts a data plane, which serves until `stop`. Waits until the registry is one that it can work with;
/// after that it works on without it.
///
/// # Errors
/// Says what could not be started.
pub async fn start(
    process: &Process,
    config: DataPlaneConfig,
    stop: CancellationToken,
) -> anyhow::Result<Started<DataPlane>> {
    let checks = Checks::announce(process, Part::DataPlane);
    let registry = process.registry(&config.registry, Part::DataPlane)?;
    checks.pass(&registry, &config.kek).await?;

    let plane = DataPlane::new(registry, config.kek, process.clock.clone(), config.settings);
    let (listener, address) = bind(config.addr, "data plane").await?;
    let serving = plane.clone();
    let task = tokio::spawn(async move { Ok(serving.serve(listener, stop).await?) });
    checks.started();
    Ok(Started { role: plane, address, task })
}
