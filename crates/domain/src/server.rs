//! PostgreSQL servers that hold tenants.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    ids::{ServerId, TenantId},
    plan::Tier,
    server_class::ServerClassName,
    server_tls::ServerTls,
};

/// Whether a server takes new tenants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerState {
    /// Takes new tenants.
    Active,
    /// Keeps its tenants, takes no new ones.
    Cordoned,
    /// Its tenants are being moved away.
    Draining,
    /// Gone for good with what it held; it is being removed.
    Lost,
    /// Stopped by its provider, with what it holds, until somebody wakes it. Also while it is being stopped or started.
    Hibernated,
}

crate::names_of! { ServerState {
    Active = "active", Cordoned = "cordoned", Draining = "draining", Lost = "lost", Hibernated = "hibernated",
} }

/// Whether workers reach a server, as they found out last.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServerHealth {
    /// Since when nobody reaches it, and why; none: it answers, or nobody has tried.
    pub unreachable: Option<Unreachable>,
    /// When a worker last looked.
    pub checked_at: Option<DateTime<Utc>>,
}

/// See [`ServerHealth`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreachable {
    /// Since when.
    pub since: DateTime<Utc>,
    /// What a worker met, for a person.
    pub error: String,
}

/// Who makes and looks after a server. One file each under `worker/src/providers/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// It exists; somebody else looks after it.
    Static,
    /// A process on this machine.
    Local,
    /// Amazon RDS.
    Rds,
    /// A Kubernetes operator.
    Kubernetes,
}

crate::names_of! { Provider { Static = "static", Local = "local", Rds = "rds", Kubernetes = "kubernetes" } }

impl Provider {
    /// Whether it can stop a server for as long as nobody needs it. Amazon starts what was stopped after a week.
    pub const fn can_hibernate(self) -> bool {
        matches!(self, Self::Kubernetes)
    }
}

crate::lower_case_name! { ServerName }

/// A server's name, e.g. `main` or `eu-1`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServerName(Box<str>);

/// A server as operators see it. Its admin credentials stay sealed in the registry.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// Its id.
    pub id: ServerId,
    /// Its name.
    pub name: ServerName,
    /// Where it runs, e.g. `eu-central`; new tenants may ask for one.
    pub region: String,
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// How connections to it are protected.
    pub tls: ServerTls,
    /// Whether it takes new tenants.
    pub state: ServerState,
    /// Who looks after it.
    pub provider: Provider,
    /// The tenant that it was made for and that alone it holds: a server of tier `instance`.
    pub owner: Option<TenantId>,
    /// What it was made from.
    pub class: Option<ServerClassName>,
    /// The tiers it may hold.
    pub tiers: Vec<Tier>,
    /// How many tenants it may hold.
    pub capacity: u32,
    /// How many it holds, being made and being dropped included.
    pub tenants: u32,
    /// Connections that one data plane may open to it.
    pub max_connections: u32,
    /// Grows when its address, its protection or its admin login changes: connections of an older revision are not used.
    pub revision: i64,
    /// Whether workers reach it.
    pub health: ServerHealth,
    /// When it was registered.
    pub created_at: DateTime<Utc>,
}
