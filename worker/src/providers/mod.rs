//! Who makes servers for tenants of tier `instance`. One file each.
//!
//! Every call is idempotent by the server's id, which the operation has recorded before the first one, returns within
//! seconds, and may be made by a worker that has lost its lease without knowing: an id that was deleted is never made
//! again.

mod guarded;
pub mod kubernetes;
pub mod local;
pub mod rds;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::future::join_all;
use secrecy::SecretString;
use tenantry_domain::{
    ids::{OperationId, ServerId},
    server,
    server_template::ServerTemplate,
    server_tls::ServerTls,
};
use tenantry_registry::Registry;
use tokio_util::sync::CancellationToken;

use self::guarded::Guarded;
use crate::step_error::StepError;

/// When a provider is asked again that cannot be asked now, or a worker looked for that can ask it.
pub(crate) const ASK_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// Connections that a data plane may open to a server of which no class says more.
const DATA_PLANE_CONNECTIONS: u32 = 40;

/// What is to be made.
#[derive(Debug, Clone)]
pub struct Order {
    /// What the server is known by, here and at the provider.
    pub id: ServerId,
    /// For a person who looks at the provider's list: the tenant's slug, or the server's name.
    pub label: String,
    /// The operation that orders it.
    pub operation: OperationId,
    /// What it is made of.
    pub template: ServerTemplate,
}

/// What became of an order.
#[derive(Debug)]
pub enum Look {
    /// There is no such server, and there was none.
    Unknown,
    /// It is being made; what it waits for.
    Making(String),
    /// It can be used.
    Ready(Endpoint),
    /// It is stopped, with what it holds, until it is woken.
    Hibernated,
    /// It was deleted, or is being deleted.
    Deleted,
}

/// How to reach a server that was made, and who administers it.
#[derive(Debug)]
pub struct Endpoint {
    /// Where it runs.
    pub region: String,
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// How connections to it are protected.
    pub tls: ServerTls,
    /// The admin login.
    pub admin_user: String,
    /// Its password.
    pub admin_password: SecretString,
    /// Connections that one data plane may open to it.
    pub max_connections: u32,
}

/// A provider could not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// It may pass.
    #[error("{0}")]
    Transient(String),
    /// It will not pass by itself.
    #[error("{0}")]
    Permanent(String),
    /// Enough operations of this worker ask it just now.
    #[error("waits for its turn to ask the provider")]
    Busy,
}

impl From<ProviderError> for StepError {
    fn from(error: ProviderError) -> Self {
        match error {
            ProviderError::Transient(message) => Self::ProviderAway { message },
            ProviderError::Permanent(message) => Self::permanent(message),
            ProviderError::Busy => Self::ProviderAway { message: error.to_string() },
        }
    }
}

/// Makes servers and takes them away.
#[async_trait]
pub trait Provider: Send + Sync {
    /// Its name.
    fn kind(&self) -> server::Provider;

    /// How often it may be asked what became of an order.
    fn look_every(&self) -> Duration;

    /// How long it may take until a change that it was asked for shows in what it answers.
    fn shows_changes_within(&self) -> Duration {
        self.look_every() * 15
    }

    /// Orders a server, unless it is there.
    async fn order(&self, order: &Order) -> Result<(), ProviderError>;

    /// Looks what became of an order.
    async fn look(&self, id: ServerId) -> Result<Look, ProviderError>;

    /// Changes a server into what an order says: its size, its settings. It may be away for a while meanwhile.
    async fn resize(&self, order: &Order) -> Result<(), ProviderError>;

    /// Stops a server, which keeps what it holds, or starts it again; [`Provider::look`] tells when that is done. A call with a
    /// lower `fence` than that of an earlier one comes too late, and changes nothing.
    async fn hibernate(&self, _id: ServerId, _asleep: bool, _fence: i64) -> Result<(), ProviderError> {
        Err(ProviderError::Permanent(format!("provider {} cannot hibernate servers", self.kind())))
    }

    /// Deletes a server with what it holds, for good; one that was never made too. When it returns nobody can use it any
    /// more, though it may take a while until it is gone: [`Provider::sweep`] goes on with what cannot be deleted yet.
    async fn delete(&self, id: ServerId) -> Result<(), ProviderError>;

    /// The servers that it has made and that are not being deleted: what the registry does not know among them was left over.
    async fn list(&self) -> Result<Vec<ServerId>, ProviderError>;

    /// Goes on with deletions: deletes what was refused when it was asked for, and what a worker that woke up late has made
    /// again; forgets those of long ago. What cannot be deleted is logged, and tried the next time.
    async fn sweep(&self) -> Result<(), ProviderError> {
        Ok(())
    }

    /// Looks after its servers until `stop`, if nobody else does.
    async fn supervise(self: Arc<Self>, _registry: Registry, _stop: CancellationToken) {}
}

/// Orders a server unless it is there, and looks what became of it.
pub(crate) async fn ordered(provider: &dyn Provider, order: &Order) -> Result<Look, ProviderError> {
    let look = provider.look(order.id).await?;
    if !matches!(look, Look::Unknown) {
        return Ok(look);
    }
    provider.order(order).await?;
    Ok(match provider.look(order.id).await? {
        // A provider's own parts may hear of it later.
        Look::Unknown => Look::Making("it is ordered".into()),
        look => look,
    })
}

/// The providers that this worker can ask.
#[derive(Clone, Default)]
pub struct Providers(Vec<Arc<dyn Provider>>);

impl std::fmt::Debug for Providers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|provider| provider.kind())).finish()
    }
}

impl Providers {
    /// These.
    pub fn new(providers: Vec<Arc<dyn Provider>>) -> Self {
        Self(providers.into_iter().map(|provider| Guarded::new(provider) as Arc<dyn Provider>).collect())
    }

    /// The one that makes servers for tenants, if there is one.
    pub(crate) fn first(&self) -> Option<&Arc<dyn Provider>> {
        self.0.first()
    }

    /// Has each look after its servers until `stop`.
    pub(crate) async fn supervise(&self, registry: &Registry, stop: &CancellationToken) {
        join_all(
            self.0.iter().map(|provider| Arc::clone(provider).supervise(registry.clone(), stop.clone())),
        )
        .await;
    }

    /// All of them.
    pub(crate) fn all(&self) -> &[Arc<dyn Provider>] {
        &self.0
    }

    /// The one that makes, or has made, a server.
    pub(crate) fn of(&self, kind: server::Provider) -> Result<&Arc<dyn Provider>, StepError> {
        self.0.iter().find(|provider| provider.kind() == kind).ok_or_else(|| {
            // Another worker may have it.
            let message = format!("waits for a worker that is set up with provider {kind}");
            StepError::ProviderAway { message }
        })
    }
}
