//! Templates from which providers make servers.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{plan::Tier, server::Provider, server_template::ServerTemplate};

crate::lower_case_name! { ServerClassName }

/// The name of a server class, e.g. `standard` or `eu-large`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServerClassName(Box<str>);

/// A template from which a provider makes servers, and how many of them there are to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerClass {
    /// Its name; its servers' names begin with it.
    pub name: ServerClassName,
    /// Who makes them; not [`Provider::Static`].
    pub provider: Provider,
    /// Where they run, e.g. `eu-central`.
    pub region: String,
    /// What each is made of.
    #[serde(flatten)]
    pub template: ServerTemplate,
    /// The tiers that a server may hold.
    pub tiers: Vec<Tier>,
    /// How many tenants a server may hold.
    pub capacity: u32,
    /// Connections that one data plane may open to a server.
    pub max_connections: u32,
    /// The room that is kept: a server is ordered when those that are there, and those that are being made, have room for fewer
    /// tenants. Zero: none is ordered for that.
    pub min_free: u32,
    /// So many servers at most, those that are being made included.
    pub max_servers: u32,
    /// What a server costs each month, for a person, e.g. `120 EUR`.
    pub cost: Option<String>,
    /// When it was added.
    pub created_at: DateTime<Utc>,
}
