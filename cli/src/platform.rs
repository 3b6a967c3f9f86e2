//! All roles in one process: what `dev` and `demo` run.

use std::{net::SocketAddr, sync::Arc};

use anyhow::Context;
use secrecy::{ExposeSecret, SecretString};
use tenantry_control_plane::TenantServer;
use tenantry_domain::{Clock, app::App, envelope::Key};
use tenantry_registry::{ConnectSettings, Registry};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::compose::{
    Patience, Process, RegistryConfig,
    control_plane::{self, ControlPlaneConfig},
    data_plane::{self, DataPlaneConfig},
    worker::{self, WorkerConfig},
};

/// What a platform is made of.
#[derive(Debug, Clone)]
pub struct PlatformConfig {
    /// The registry's PostgreSQL.
    pub registry_url: SecretString,
    /// The key-encryption key.
    pub kek: Key,
    /// The first API key.
    pub api_key: SecretString,
    /// Listeners; port 0 picks a free one.
    pub control_plane_addr: SocketAddr,
    /// See `control_plane_addr`.
    pub data_plane_addr: SocketAddr,
    /// See `control_plane_addr`.
    pub admin_addr: SocketAddr,
    /// Apps to load.
    pub apps: Vec<App>,
    /// A server to register, or whose address to renew.
    pub tenant_server: Option<TenantServer>,
    /// Settings of the roles.
    pub control_plane: tenantry_control_plane::Settings,
    /// See `control_plane`.
    pub data_plane: tenantry_data_plane::Settings,
    /// See `control_plane`.
    pub worker: tenantry_worker::Settings,
}

/// Connections of each role's pools.
const CONTROL_PLANE_CONNECTIONS: u32 = 24;
const WORKER_CONNECTIONS: u32 = 24;
const DATA_PLANE_CONNECTIONS: u32 = 8;

/// A running platform.
#[derive(Debug)]
pub struct Platform {
    /// Where the control plane listens.
    pub control_plane: SocketAddr,
    /// Where the data plane listens.
    pub data_plane: SocketAddr,
    /// Where the admin port listens.
    pub admin: SocketAddr,
    stop: CancellationToken,
    tasks: JoinSet<anyhow::Result<()>>,
}

impl Platform {
    /// Migrates the registry, loads plans, apps, key and server, and starts all roles.
    ///
    /// # Errors
    /// Says what could not be started.
    pub async fn start(config: PlatformConfig, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        let process = Process::new(clock, Patience::Once)?;
        Box::pin(Registry::migrate(config.registry_url.expose_secret()))
            .await
            .context("the registry cannot be migrated")?;
        let registry = |max_connections| RegistryConfig {
            url: config.registry_url.clone(),
            connect: ConnectSettings { max_connections, ..ConnectSettings::default() },
        };
        let stop = CancellationToken::new();
        let control_plane = ControlPlaneConfig {
            registry: registry(CONTROL_PLANE_CONNECTIONS),
            kek: config.kek.clone(),
            addr: config.control_plane_addr,
            api_key: Some(config.api_key),
            apps: config.apps,
            tenant_server: config.tenant_server,
            settings: config.control_plane,
            resolver: None,
        };
        let control_plane = Box::pin(control_plane::start(&process, control_plane, stop.clone())).await?;
        let data_plane = DataPlaneConfig {
            registry: registry(DATA_PLANE_CONNECTIONS),
            kek: config.kek.clone(),
            addr: config.data_plane_addr,
            settings: config.data_plane,
        };
        let data_plane = Box::pin(data_plane::start(&process, data_plane, stop.clone())).await?;
        let admin = process.serve_admin(config.admin_addr, stop.clone()).await?;
        let worker = WorkerConfig::new(registry(WORKER_CONNECTIONS), config.kek, config.worker);
        let worker = Box::pin(worker::start(&process, worker, stop.clone())).await?;

        let mut tasks = JoinSet::new();
        for task in [control_plane.task, data_plane.task, worker.task] {
            tasks.spawn(async move { task.await.context("a role panicked").flatten() });
        }
        Ok(Self { control_plane: control_plane.address, data_plane: data_plane.address, admin, stop, tasks })
    }

    /// Waits until `stop` is cancelled or a role ends by itself, then stops all.
    ///
    /// # Errors
    /// A role failed.
    pub async fn run_until(mut self, stop: CancellationToken) -> anyhow::Result<()> {
        let ended = tokio::select! {
            () = stop.cancelled() => Ok(()),
            Some(ended) = self.tasks.join_next() => ended.context("a role panicked").flatten(),
        };
        self.stop().await?;
        ended
    }

    /// Stops all roles, letting them finish what they are at.
    ///
    /// # Errors
    /// A role failed.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.context("a role panicked")??;
        }
        Ok(())
    }
}
