//! All roles in one process: what `dev` and `demo` run, and what tests talk to.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::Context;
use secrecy::{ExposeSecret, SecretString};
use tenantry_control_plane::ControlPlane;
use tenantry_data_plane::DataPlane;
use tenantry_domain::{
    Clock,
    app::App,
    envelope::Key,
    ids::ServerId,
    names::ObjectName,
    plan::Tier,
    purpose::Purpose,
    server::{Provider, Server, ServerName, ServerState},
};
use tenantry_http::admin::{self, Check};
use tenantry_registry::{NewServer, Part, Registry, ServerChange};
use tenantry_worker::Worker;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{app_folder, telemetry};

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

/// A PostgreSQL server that is to hold tenants.
#[derive(Debug, Clone)]
pub struct TenantServer {
    /// Its name.
    pub name: String,
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// A login that may create roles and databases.
    pub admin_user: String,
    /// Its password.
    pub admin_password: SecretString,
    /// The database that tenants of tier `schema` share.
    pub shared_database: String,
    /// Connections that one data plane may open to it.
    pub max_connections: u32,
}

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
        // First of all: metrics that are made before the recorder go nowhere.
        let metrics = telemetry::metrics()?;
        let url = config.registry_url.expose_secret();
        Registry::migrate(url).await.context("the registry cannot be migrated")?;
        let registry = Registry::connect_lazy(url, Part::ControlPlane, 24)?;

        let control_plane =
            ControlPlane::new(registry.clone(), config.kek.clone(), Arc::clone(&clock), config.control_plane);
        control_plane.install_built_in_plans().await?;
        control_plane.install_bootstrap_key(&config.api_key).await?;
        load_apps(&registry, &config.apps, &*clock).await?;
        if let Some(server) = &config.tenant_server {
            register(&registry, &config.kek, server, &*clock).await?;
        }

        let worker_registry = Registry::connect_lazy(url, Part::Worker, 24)?;
        let worker = Worker::new(worker_registry, config.kek.clone(), Arc::clone(&clock), config.worker);
        let data_registry = Registry::connect_lazy(url, Part::DataPlane, 8)?;
        let data_plane = DataPlane::new(data_registry, config.kek, clock, config.data_plane);

        let (control_listener, control_addr) = bind(config.control_plane_addr, "control plane").await?;
        let (data_listener, data_addr) = bind(config.data_plane_addr, "data plane").await?;
        let (admin_listener, admin_addr) = bind(config.admin_addr, "admin port").await?;
        let admin = admin::router(metrics, vec![registry_check(registry)]);

        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let token = || stop.clone();
        let (control_stop, data_stop, admin_stop, worker_stop) = (token(), token(), token(), token());
        tasks.spawn(async move { Ok(control_plane.serve(control_listener, control_stop).await?) });
        tasks.spawn(async move { Ok(data_plane.serve(data_listener, data_stop).await?) });
        tasks.spawn(async move { Ok(tenantry_http::serve(admin_listener, admin, admin_stop).await?) });
        tasks.spawn(async move {
            worker.run(worker_stop).await;
            Ok(())
        });
        Ok(Self { control_plane: control_addr, data_plane: data_addr, admin: admin_addr, stop, tasks })
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

/// Binds a listener; the address that it got.
pub(crate) async fn bind(addr: SocketAddr, what: &str) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(addr).await.with_context(|| {
        format!("the {what} cannot listen on {addr}; is something else there? Port 0 picks a free one")
    })?;
    let addr = listener.local_addr()?;
    Ok((listener, addr))
}

/// Whether the registry answers, for `/readyz`.
pub(crate) fn registry_check(registry: Registry) -> Check {
    Check::new("registry", move || {
        let registry = registry.clone();
        async move { registry.ping().await.map_err(|error| error.to_string()) }
    })
}

/// The apps below a folder; none if there is no such folder.
pub(crate) fn apps_in(folder: Option<PathBuf>) -> anyhow::Result<Vec<App>> {
    folder.map_or_else(|| Ok(Vec::new()), |folder| app_folder::read_all(&folder))
}

/// Puts apps and their versions into the registry; what is there already stays.
pub(crate) async fn load_apps(registry: &Registry, apps: &[App], clock: &dyn Clock) -> anyhow::Result<()> {
    for app in apps {
        registry.app_put(&app.name, &app.manifest, app.seed.as_deref(), clock.now()).await?;
        for migration in &app.migrations {
            registry.app_version_push(&app.name, migration, clock.now()).await.with_context(|| {
                format!("version {} of app {} cannot be loaded", migration.version, app.name)
            })?;
        }
    }
    Ok(())
}

/// Registers a server, or renews the address and password of the one with its name.
async fn register(
    registry: &Registry,
    kek: &Key,
    given: &TenantServer,
    clock: &dyn Clock,
) -> anyhow::Result<()> {
    let name = ServerName::parse(&given.name)?;
    let known = registry.server_find(&name).await?;
    let id = known
        .as_ref()
        .map_or_else(|| ServerId::generate(clock.now(), &mut rand::rng()), |known| known.server.id);
    let sealed = kek.seal(
        &Purpose::ServerAdmin(id).to_string(),
        given.admin_password.expose_secret().as_bytes(),
        &mut rand::rng(),
    );
    if let Some(known) = known {
        let server = Server { host: given.host.clone(), port: given.port, ..known.server };
        registry
            .server_change(&ServerChange { server, admin: Some((given.admin_user.clone(), sealed)) })
            .await?;
        return Ok(());
    }
    let server = Server {
        id,
        name,
        region: "local".into(),
        host: given.host.clone(),
        port: given.port,
        state: ServerState::Active,
        provider: Provider::Static,
        tiers: vec![Tier::Schema, Tier::Database],
        capacity: 10_000,
        tenants: 0,
        max_connections: given.max_connections,
        created_at: clock.now(),
    };
    registry
        .server_create(&NewServer {
            server,
            admin_user: given.admin_user.clone(),
            admin_password: sealed,
            shared_database: ObjectName::parse(&given.shared_database)?,
        })
        .await?;
    Ok(())
}
