//! A server class as operators see it.

use chrono::{DateTime, Utc};
use serde::Serialize;
use tenantry_domain::server_class::ServerClass;
use utoipa::ToSchema;

use super::template::TemplateBody;
use crate::vocabulary;

/// A template from which a provider makes servers.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServerClassView {
    /// Its name; its servers' names begin with it.
    #[schema(example = "standard")]
    name: String,
    /// Who makes them.
    #[schema(value_type = vocabulary::Provider)]
    provider: &'static str,
    /// Where they run.
    #[schema(example = "eu-central")]
    region: String,
    /// What each is made of.
    #[serde(flatten)]
    template: TemplateBody,
    /// The tiers that a server may hold.
    #[schema(value_type = Vec<vocabulary::Tier>)]
    tiers: Vec<&'static str>,
    /// How many tenants a server may hold.
    #[schema(example = 1000)]
    capacity: u32,
    /// Connections that one data plane may open to a server.
    #[schema(example = 50)]
    max_connections: u32,
    /// The room for tenants that is kept by ordering servers; 0: none is ordered.
    #[schema(example = 200)]
    min_free: u32,
    /// So many servers at most.
    #[schema(example = 20)]
    max_servers: u32,
    /// What a server costs each month, for a person.
    #[schema(example = "120 EUR")]
    cost: Option<String>,
    /// When it was added.
    created_at: DateTime<Utc>,
}

impl From<ServerClass> for ServerClassView {
    fn from(class: ServerClass) -> Self {
        Self {
            name: class.name.to_string(),
            provider: class.provider.as_str(),
            region: class.region,
            template: class.template.into(),
            tiers: class.tiers.iter().map(|tier| tier.as_str()).collect(),
            capacity: class.capacity,
            max_connections: class.max_connections,
            min_free: class.min_free,
            max_servers: class.max_servers,
            cost: class.cost,
            created_at: class.created_at,
        }
    }
}
