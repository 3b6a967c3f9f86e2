//! A server class as clients write it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Map, Value};
use tenantry_domain::{
    plan::Tier,
    server::Provider,
    server_class::{ServerClass, ServerClassName},
};
use utoipa::ToSchema;

use super::template::{SizeBody, TemplateBody};
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
    /// PostgreSQL's major version; the provider's choice when absent.
    #[schema(minimum = 15, example = 17)]
    version: Option<u16>,
    /// How large a server is.
    #[serde(default)]
    size: SizeBody,
    /// PostgreSQL's settings, by name, over those that the provider gives: of memory, the planner, autovacuum, checkpoints and
    /// the log of slow statements.
    #[serde(default)]
    parameters: BTreeMap<String, String>,
    /// With provider kubernetes: members of the spec of its CloudNativePG cluster, over those that Tenantry gives, as a JSON
    /// merge patch (RFC 7396). All but those that fill the cluster, administer it or show it other secrets of its namespace.
    #[serde(default)]
    spec: Map<String, Value>,
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
        let made = self.provider != Provider::Static;
        fields.check(
            "provider",
            made,
            "must be local, kubernetes or rds: static servers are those that nobody makes",
        );
        let region = fields.take("region", fields::label(&self.region));
        let cost = self.cost.as_deref().map(fields::label);
        let cost = fields.take_some("cost", cost);
        let (version, size, parameters, spec) = (self.version, self.size, self.parameters, self.spec);
        let template = TemplateBody { version, size, parameters, spec }.read(self.provider, &mut fields);
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
            template,
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
