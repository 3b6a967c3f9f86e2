//! A server as operators see it: never its admin login.

use chrono::{DateTime, Utc};
use serde::Serialize;
use tenantry_domain::server::Server;
use utoipa::ToSchema;
use uuid::Uuid;

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
    /// active, cordoned or draining.
    #[schema(example = "active")]
    state: &'static str,
    /// static, local, rds or kubernetes.
    #[schema(example = "static")]
    provider: &'static str,
    /// The tiers that it may hold.
    #[schema(example = json!(["schema", "database"]))]
    tiers: Vec<&'static str>,
    /// How many tenants it may hold.
    #[schema(example = 5000)]
    capacity: u32,
    /// How many it holds.
    tenants: u32,
    /// Connections that one data plane may open to it.
    #[schema(example = 50)]
    max_connections: u32,
    /// When it was registered.
    created_at: DateTime<Utc>,
}

impl From<Server> for ServerView {
    fn from(server: Server) -> Self {
        Self {
            id: server.id.as_uuid(),
            name: server.name.to_string(),
            region: server.region,
            host: server.host,
            port: server.port,
            state: server.state.as_str(),
            provider: server.provider.as_str(),
            tiers: server.tiers.iter().map(|tier| tier.as_str()).collect(),
            capacity: server.capacity,
            tenants: server.tenants,
            max_connections: server.max_connections,
            created_at: server.created_at,
        }
    }
}
