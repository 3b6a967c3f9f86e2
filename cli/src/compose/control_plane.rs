//! The control plane, from its settings to its listener.

use std::{net::SocketAddr, sync::Arc};

use secrecy::SecretString;
use tenantry_control_plane::{ControlPlane, Settings, TenantServer};
use tenantry_domain::{app::App, envelope::Key};
use tenantry_registry::Part;
use tenantry_worker::dns::TxtResolver;
use tokio_util::sync::CancellationToken;

use super::{Process, RegistryConfig, Started, bind, readiness::Checks};

/// What a control plane is made of.
#[derive(Clone)]
#[allow(missing_debug_implementations, reason = "holds a resolver")]
pub struct ControlPlaneConfig {
    /// The registry.
    pub registry: RegistryConfig,
    /// The key-encryption key.
    pub kek: Key,
    /// Where it listens; port 0 picks a free one.
    pub addr: SocketAddr,
    /// The first API key.
    pub api_key: Option<SecretString>,
    /// Apps to load.
    pub apps: Vec<App>,
    /// A server to register, or whose address to renew.
    pub tenant_server: Option<TenantServer>,
    /// How the API behaves.
    pub settings: Settings,
    /// Looks up DNS records; the machine's resolver by default.
    pub resolver: Option<Arc<dyn TxtResolver>>,
}

/// Starts a control plane, which serves until `stop`. Waits until the registry is one that it can
/// work with.
///
/// # Errors
/// Says what could not be started.
pub async fn start(
    process: &Process,
    config: ControlPlaneConfig,
    stop: CancellationToken,
) -> anyhow::Result<Started<ControlPlane>> {
    let checks = Checks::announce(process, Part::ControlPlane);
    let registry = process.registry(&config.registry, Part::ControlPlane)?;
    checks.pass(&registry, &config.kek).await?;

    let mut plane = ControlPlane::new(registry, config.kek, process.clock.clone(), config.settings);
    if let Some(resolver) = config.resolver {
        plane = plane.with_resolver(resolver);
    }
    plane.install_built_in_plans().await?;
    if let Some(key) = &config.api_key {
        plane.install_bootstrap_key(key).await?;
    }
    plane.install_apps(&config.apps).await?;
    if let Some(server) = &config.tenant_server {
        plane.install_server(server).await?;
    }

    let (listener, address) = bind(config.addr, "control plane").await?;
    let serving = plane.clone();
    let task = tokio::spawn(async move { Ok(serving.serve(listener, stop).await?) });
    checks.started();
    Ok(Started { role: plane, address, task })
}
