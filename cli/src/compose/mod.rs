//! How a role is put together: its registry, its checks, its listener. One composition each, for the
//! roles as processes of their own, for `dev` and `demo`, and for tests, so that tests boot what ships.

pub mod control_plane;
pub mod data_plane;
pub(crate) mod descriptors;
mod readiness;
pub mod worker;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use secrecy::{ExposeSecret, SecretString};
use tenantry_domain::Clock;
use tenantry_http::{ConnectionLimits, Readiness, admin};
use tenantry_registry::{ConnectSettings, Part, Registry};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::telemetry::Metrics;

/// How a role reaches the registry.
#[derive(Debug, Clone)]
pub struct RegistryConfig {
    /// The registry's PostgreSQL.
    pub url: SecretString,
    /// Connections and limits.
    pub connect: ConnectSettings,
}

/// What a role does about a registry that it cannot work with yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// Says why it is not ready, and tries again.
    UntilReady,
    /// Fails.
    Once,
}

/// What the roles of one process share. Cheap to clone.
#[derive(Clone)]
#[allow(missing_debug_implementations, reason = "holds the clock")]
pub struct Process {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What must be so before the process is ready.
    pub readiness: Readiness,
    metrics: Metrics,
    patience: Patience,
}

/// A role that was started.
#[derive(Debug)]
pub struct Started<R> {
    /// The role.
    pub role: R,
    /// Where it listens.
    pub address: SocketAddr,
    /// Ends after the role was stopped.
    pub task: JoinHandle<anyhow::Result<()>>,
}

impl Process {
    /// A process; installs the recorder of metrics, before any is made.
    ///
    /// # Errors
    /// The recorder cannot be installed.
    pub fn new(clock: Arc<dyn Clock>, patience: Patience) -> anyhow::Result<Self> {
        Ok(Self { clock, readiness: Readiness::default(), metrics: Metrics::install()?, patience })
    }

    /// Serves the admin port until `stop`; the address that it got.
    ///
    /// # Errors
    /// Another process has the address.
    pub async fn serve_admin(&self, addr: SocketAddr, stop: CancellationToken) -> anyhow::Result<SocketAddr> {
        let (listener, addr) = bind(addr, "admin port").await?;
        tracing::info!("the admin port listens on http://{addr}");
        let metrics = self.metrics.clone();
        let router = admin::router(Arc::new(move || metrics.render()), self.readiness.clone());
        let listener = listener.into_std()?;
        // On a thread and a runtime of its own: whether the process lives must be seen whatever it is busy with.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let serve = async move {
            let limits = ConnectionLimits { in_all: 100, ..ConnectionLimits::default() };
            tenantry_http::serve(TcpListener::from_std(listener)?, router, "admin", limits, stop).await
        };
        std::thread::Builder::new().name("admin port".into()).spawn(move || {
            if let Err(error) = runtime.block_on(serve) {
                tracing::error!(%error, "the admin port is not served: {error}");
            }
        })?;
        Ok(addr)
    }

    /// A token that is cancelled `drain` after the process was told to stop. In between it is unready and
    /// still serves, so that whoever sends it requests has time to look away.
    pub fn stop_after(&self, told: CancellationToken, drain: Duration) -> CancellationToken {
        let stop = CancellationToken::new();
        let (readiness, later) = (self.readiness.clone(), stop.clone());
        tokio::spawn(async move {
            told.cancelled().await;
            readiness.shut_down();
            tokio::time::sleep(drain).await;
            later.cancel();
        });
        stop
    }

    /// The registry as a part sees it; its pools are among the process's metrics.
    fn registry(&self, config: &RegistryConfig, part: Part) -> anyhow::Result<Registry> {
        let registry = Registry::connect_with(config.url.expose_secret(), part, config.connect)
            .context("TENANTRY_DATABASE_URL is not a PostgreSQL URL")?;
        self.metrics.watch(part, registry.clone());
        Ok(registry)
    }
}

/// Binds a listener; the address that it got.
async fn bind(addr: SocketAddr, what: &str) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(addr).await.with_context(|| {
        format!("the {what} cannot listen on {addr}; is something else there? Port 0 picks a free one")
    })?;
    let addr = listener.local_addr()?;
    Ok((listener, addr))
}
