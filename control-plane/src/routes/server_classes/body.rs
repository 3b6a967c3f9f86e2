//! A server class as clients write it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use tenantry_domain::{
    plan::Tier,
    server::Provider,
    server_class::{ServerClass, ServerClassName, check_parameter},
};
use utoipa::ToSchema;

use crate::{
    input::{Fields, fields},
    refusal::Refusal,
    routes::servers::body::{
        default_connections, default_region, each_once, is_instance_alone, shared_tiers,
    },
    vocabulary,
};

/// The most of whatever is counted here.
const MAX_COUNT: u32 = 1_000_000;

/// The most servers of a class.
const MAX_SERVERS: u32 = 1000;

/// The most settings, and characters of a value.
const MAX_PARAMETERS: usize = 100;
const MAX_VALUE: usize = 1000;

/// Everything about a server class.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({
    "name": "standard", "provider": "local", "region": "eu-central", "parameters": { "work_mem": "16MB" },
    "tiers": ["schema", "database"], "capacity": 1000, "minFree": 200, "maxServers": 20,
}))]
pub(crate) struct ServerClassBody {
    /// Its name: 1 to 40 characters of a-z, 0-9 and inner - or _. In a PUT the path has it.
    #[schema(value_type = Option<String>)]
    name: Option<ServerClassName>,
    /// Who makes its servers. It stays as it is.
    #[schema(value_type = vocabulary::Provider)]
    provider: Provider,
    /// Where they run; `default` when absent.
    #[serde(default = "default_region")]
    region: String,
    /// PostgreSQL's settings, by name, over those that the provider gives: of memory, the planner, autovacuum, checkpoints and
    /// the log of slow statements.
    #[serde(default)]
    parameters: BTreeMap<String, String>,
    /// The tiers that a server may hold; schema and database when absent.
    #[serde(default = "shared_tiers")]
    #[schema(value_type = Option<Vec<vocabulary::Tier>>)]
    tiers: Vec<Tier>,
    /// How many tenants a server may hold, 1 to 1000000; 1 for tier instance.
    #[schema(minimum = 1, maximum = 1_000_000)]
    capacity: u32,
    /// Connections that one data plane may open to a server; 50 when absent.
    #[serde(default = "default_connections")]
    #[schema(minimum = 1, maximum = 1_000_000)]
    max_connections: u32,
    /// The room for tenants that is kept: the next server is ordered when there is less. 0, and when absent: none is ordered.
    #[serde(default)]
    #[schema(maximum = 1_000_000)]
    min_free: u32,
    /// So many servers at most, those that are being made included; 10 when absent.
    #[serde(default = "ten")]
    #[schema(maximum = 1000)]
    max_servers: u32,
    /// What a server costs each month, for a person who reads the list.
    cost: Option<String>,
}

const fn ten() -> u32 {
    10
}

impl ServerClassBody {
    /// The class; `named` is the name in the path, if it has one.
    pub(super) fn read(
        self,
        named: Option<ServerClassName>,
        now: DateTime<Utc>,
    ) -> Result<ServerClass, Refusal> {
        let mut fields = Fields::default();
        let differs = matches!((&self.name, &named), (Some(own), Some(named)) if own != named);
        fields.check("name", !differs, "must be the one in the path, or left out");
        let made = self.provider == Provider::Local;
        fields.check("provider", made, "must be local: no other provider makes servers yet");
        let region = fields.take("region", fields::label(&self.region));
        let cost = self.cost.as_deref().map(fields::label);
        let cost = fields.take_some("cost", cost);
        fields.check("parameters", self.parameters.len() <= MAX_PARAMETERS, "must be at most 100");
        for (name, value) in &self.parameters {
            let field = format!("parameters.{name}");
            fields.take(&field, check_parameter(name));
            let fits = value.chars().count() <= MAX_VALUE && !value.chars().any(char::is_control);
            fields.check(&field, fits, "must have at most 1000 characters and no control characters");
        }
        fields.check("tiers", !self.tiers.is_empty(), "must name at least one tier");
        fields.check("tiers", is_instance_alone(&self.tiers), "must be instance alone, or without it");
        fields.check("capacity", (1..=MAX_COUNT).contains(&self.capacity), "must be from 1 to 1000000");
        let alone = self.tiers != [Tier::Instance] || self.capacity == 1;
        fields.check("capacity", alone, "must be 1 for tier instance: such a server holds one tenant");
        let fits = (1..=MAX_COUNT).contains(&self.max_connections);
        fields.check("maxConnections", fits, "must be from 1 to 1000000");
        fields.check("minFree", self.min_free <= MAX_COUNT, "must be from 0 to 1000000");
        fields.check("maxServers", self.max_servers <= MAX_SERVERS, "must be from 0 to 1000");
        fields.finish()?;
        Ok(ServerClass {
            name: named.or(self.name).ok_or_else(|| Refusal::missing("name"))?,
            provider: self.provider,
            region: region.unwrap_or_default(),
            parameters: self.parameters,
            tiers: each_once(self.tiers),
            capacity: self.capacity,
            max_connections: self.max_connections,
            min_free: self.min_free,
            max_servers: self.max_servers,
            cost,
            created_at: now,
        })
    }
}
