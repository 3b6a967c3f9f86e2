//! The control plane: the API with which operators and SaaS back ends run their tenants.
//!
//! Route -> use case -> registry. Routes own the wire types and know HTTP; use cases know neither
//! HTTP nor SQL. Never connects to a tenant server: that is the worker's.

mod audit;
mod auth;
mod catalogue;
mod claim;
mod document;
mod idempotency;
mod input;
mod install;
mod operation_watch;
mod refusal;
mod routes;
mod settings;
mod short_lived;
mod signup_gate;
mod state;
mod trusted_proxy;
mod use_cases;
mod vault;
mod visitor;
mod vocabulary;

use std::{io, sync::Arc};

use axum::Router;
use tenantry_domain::{Clock, envelope};
use tenantry_registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use auth::{OperatorIssuerUrl, OperatorRole, OperatorSettings};
pub use document::openapi;
pub use install::BootstrapKeyError;
pub use install::{LoadAppError, RegisterServerError, TenantServer};
pub use settings::{Settings, SignupSettings};
pub use trusted_proxy::{NotANetwork, TrustedProxy};

use state::ApiState;

/// The API, ready to be served. Cheap to clone.
#[derive(Clone)]
pub struct ControlPlane {
    state: ApiState,
}

impl ControlPlane {
    /// A control plane on a registry. `kek` is the key-encryption key that the worker has too.
    pub fn new(registry: Registry, kek: envelope::Key, clock: Arc<dyn Clock>, settings: Settings) -> Self {
        Self { state: ApiState::new(registry, kek, clock, settings) }
    }

    /// The whole API with its layers, `/docs` and `/openapi.json`.
    pub fn router(&self) -> Router {
        routes::router(&self.state)
    }

    /// Serves the API until `stop` is cancelled. Event streams and waiting requests end at once
    /// then; the rest may finish.
    ///
    /// # Errors
    /// The listener fails.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) -> io::Result<()> {
        self.state.watch.start();
        let watch = self.state.watch.clone();
        let signal = stop.clone();
        let end_waits = async move {
            signal.cancelled().await;
            watch.stop();
            std::future::pending::<io::Result<()>>().await
        };
        let connections = self.state.settings.connections.clone();
        tokio::select! {
            ended = tenantry_http::serve(listener, self.router(), routes::PLANE, connections, stop) => ended,
            never = end_waits => never,
        }
    }
}
