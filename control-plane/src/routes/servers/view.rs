//! A server as operators see it: never its admin login.

use chrono::{DateTime, Utc};
use serde::Serialize;
use tenantry_domain::server::{Server, ServerHealth};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::vocabulary;

/// A PostgreSQL server that holds tenants.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServerView {
    /// Its id.
    id: Uuid,
    /// Its name.
    #[schema(example = "eu-1")]
    name: String,
    /// Where it runs.
    #[schema(example = "eu-central")]
    region: String,
    /// Host name or address.
    #[schema(example = "10.0.0.5")]
    host: String,
    /// TCP port.
    #[schema(example = 5432)]
    port: u16,
    /// disable, prefer, require, verify-ca or verify-full, as libpq's `sslmode`.
    #[schema(value_type = vocabulary::SslMode)]
    ssl_mode: &'static str,
    /// The CA that must have signed the server's certificate, as PEM text, or `system`.
    ssl_root_cert: Option<String>,
    /// active, cordoned, draining, lost or hibernated.
    #[schema(value_type = vocabulary::ServerState)]
    state: &'static str,
    /// static, local, rds or kubernetes.
    #[schema(value_type = vocabulary::Provider)]
    provider: &'static str,
    /// The server class that it was made from.
    #[schema(example = "standard")]
    class: Option<String>,
    /// The tiers that it may hold.
    #[schema(value_type = Vec<vocabulary::Tier>)]
    tiers: Vec<&'static str>,
    /// How many tenants it may hold.
    #[schema(example = 5000)]
    capacity: u32,
    /// How many it holds.
    tenants: u32,
    /// Connections that one data plane may open to it.
    #[schema(example = 50)]
    max_connections: u32,
    /// Whether workers reach it.
    health: HealthView,
    /// When it was registered.
    created_at: DateTime<Utc>,
}

/// Whether workers reach a server, as they found out last.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HealthView {
    /// False: nothing is placed on it, and what works on it waits.
    reachable: bool,
    /// Since when nobody reaches it.
    unreachable_since: Option<DateTime<Utc>>,
    /// What a worker met.
    error: Option<String>,
    /// When a worker last looked.
    checked_at: Option<DateTime<Utc>>,
}

impl From<ServerHealth> for HealthView {
    fn from(health: ServerHealth) -> Self {
        let (since, error) = health.unreachable.map(|away| (away.since, away.error)).unzip();
        Self { reachable: since.is_none(), unreachable_since: since, error, checked_at: health.checked_at }
    }
}

impl From<Server> for ServerView {
    fn from(server: Server) -> Self {
        Self {
            id: server.id.as_uuid(),
            name: server.name.to_string(),
            region: server.region,
            host: server.host,
            port: server.port,
            ssl_mode: server.tls.mode().as_str(),
            ssl_root_cert: server.tls.root_cert().map(str::to_owned),
            state: server.state.as_str(),
            provider: server.provider.as_str(),
            class: server.class.map(|class| class.to_string()),
            tiers: server.tiers.iter().map(|tier| tier.as_str()).collect(),
            capacity: server.capacity,
            tenants: server.tenants,
            max_connections: server.max_connections,
            health: server.health.into(),
            created_at: server.created_at,
        }
    }
}
