//! A server as operators write it.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tenantry_domain::{
    ids::ServerId,
    plan::Tier,
    server::{Provider, Server, ServerHealth, ServerName, ServerState},
    server_tls::{ServerTls, SslMode},
};
use tenantry_registry::ServerCreateError;
use utoipa::ToSchema;

use super::patch::PatchServerBody;
use crate::{
    input::{Fields, fields},
    refusal::Refusal,
    vocabulary,
};

/// PostgreSQL counts in `integer`.
const MAX_COUNT: u32 = i32::MAX.unsigned_abs();

/// What may change on a server.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({
    "region": "eu-central", "host": "10.0.0.5", "port": 5432, "adminUser": "postgres", "adminPassword": "…",
    "tiers": ["schema", "database"], "capacity": 5000, "maxConnections": 50,
}))]
pub(crate) struct ServerBody {
    /// Its name; in a PUT the path has it.
    #[schema(value_type = Option<String>)]
    pub(super) name: Option<ServerName>,
    /// Where it runs; `default` when absent.
    #[serde(default = "default_region")]
    region: String,
    /// Host name or address.
    host: String,
    /// TCP port; 5432 when absent.
    #[serde(default = "default_port")]
    port: u16,
    /// disable, prefer, require, verify-ca or verify-full, as libpq's `sslmode`; prefer when absent. Only verify-ca and
    /// verify-full protect from somebody between here and the server.
    #[schema(value_type = Option<vocabulary::SslMode>)]
    ssl_mode: Option<SslMode>,
    /// The certificate of the CA that signed the server's, as PEM text; with verify-full also `system`, for the public
    /// CAs that the operating system trusts. verify-ca and verify-full need it; with require, it is checked as with
    /// verify-ca.
    ssl_root_cert: Option<String>,
    /// The login with which workers administer it; never shown.
    #[schema(write_only)]
    pub(super) admin_user: Option<String>,
    /// Its password; never shown.
    #[schema(write_only, value_type = Option<String>)]
    pub(super) admin_password: Option<SecretString>,
    /// The database that tenants of tier `schema` share; `tenants` when absent. Fixed once registered.
    pub(super) shared_database: Option<String>,
    /// active, cordoned or draining; active when absent.
    #[serde(default = "active")]
    #[schema(value_type = Option<vocabulary::ServerState>)]
    state: ServerState,
    /// static, local, rds or kubernetes; static when absent.
    #[serde(default = "existing")]
    #[schema(value_type = Option<vocabulary::Provider>)]
    provider: Provider,
    /// The tiers that it may hold; schema and database when absent.
    #[serde(default = "shared_tiers")]
    #[schema(value_type = Option<Vec<vocabulary::Tier>>)]
    tiers: Vec<Tier>,
    /// How many tenants it may hold.
    capacity: u32,
    /// Connections that one data plane may open to it; 50 when absent.
    #[serde(default = "default_connections")]
    max_connections: u32,
}

pub(crate) fn default_region() -> String {
    "default".to_owned()
}

const fn default_port() -> u16 {
    5432
}

pub(crate) const fn default_connections() -> u32 {
    50
}

const fn active() -> ServerState {
    ServerState::Active
}

const fn existing() -> Provider {
    Provider::Static
}

pub(crate) fn shared_tiers() -> Vec<Tier> {
    vec![Tier::Schema, Tier::Database]
}

/// A host name or an address; nothing that could be taken for more of a connection string.
fn is_host(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    text.parse::<IpAddr>().is_ok() || (text.len() <= 253 && text.split('.').all(label))
}

/// Whether tier instance, if it is there, is the only one.
pub(crate) fn is_instance_alone(tiers: &[Tier]) -> bool {
    !tiers.contains(&Tier::Instance) || tiers.iter().all(|tier| *tier == Tier::Instance)
}

/// Tiers in order, each once, as they are stored.
pub(crate) fn each_once(mut tiers: Vec<Tier>) -> Vec<Tier> {
    tiers.sort_unstable();
    tiers.dedup();
    tiers
}

impl PatchServerBody {
    /// Notes what is wrong with the parts that are given.
    pub(super) fn check(&self, fields: &mut Fields) {
        fields.take_some("region", self.region.as_deref().map(fields::label));
        let mut check = |field: &str, ok: bool, message: &str| fields.check(field, ok, message);
        let host = self.host.as_deref().is_none_or(is_host);
        check("host", host, "must be a host name or an address, without a port");
        check("port", self.port != Some(0), "must be from 1 to 65535");
        let tiers = self.tiers.as_ref().is_none_or(|tiers| !tiers.is_empty());
        check("tiers", tiers, "must name at least one tier");
        let alone = self.tiers.as_ref().is_none_or(|tiers| is_instance_alone(tiers));
        check(
            "tiers",
            alone,
            "must be instance alone, or without it: such a server holds one tenant and no other",
        );
        let state = !matches!(self.state, Some(ServerState::Lost | ServerState::Hibernated));
        check("state", state, "must be active, cordoned or draining");
        let capacity = self.capacity.is_none_or(|capacity| capacity <= MAX_COUNT);
        check("capacity", capacity, "must be at most 2147483647");
        let connections = self.max_connections.is_none_or(|count| (1..=MAX_COUNT).contains(&count));
        check("maxConnections", connections, "must be from 1 to 2147483647");
        if let Some(user) = &self.admin_user {
            let fits = (1..=63).contains(&user.len()) && !user.chars().any(char::is_control);
            check("adminUser", fits, "must have 1 to 63 bytes without control characters");
        }
        if let Some(password) = &self.admin_password {
            let length = password.expose_secret().len();
            check("adminPassword", (1..=1024).contains(&length), "must have 1 to 1024 bytes");
        }
    }
}

/// Everything of a server: a change of all that may change.
impl From<ServerBody> for PatchServerBody {
    fn from(body: ServerBody) -> Self {
        Self {
            name: body.name,
            region: Some(body.region),
            host: Some(body.host),
            port: Some(body.port),
            ssl_mode: body.ssl_mode,
            ssl_root_cert: body.ssl_root_cert,
            admin_user: body.admin_user,
            admin_password: body.admin_password,
            shared_database: body.shared_database,
            state: Some(body.state),
            provider: Some(body.provider),
            tiers: Some(body.tiers),
            capacity: Some(body.capacity),
            max_connections: Some(body.max_connections),
        }
    }
}

impl ServerBody {
    /// The server, once nothing was found wrong.
    pub(super) fn server(
        self,
        id: ServerId,
        name: ServerName,
        tls: ServerTls,
        created_at: DateTime<Utc>,
    ) -> Server {
        Server {
            id,
            name,
            region: self.region.trim().to_owned(),
            host: self.host.to_ascii_lowercase(),
            port: self.port,
            tls,
            state: self.state,
            provider: self.provider,
            owner: None,
            class: None,
            tiers: each_once(self.tiers),
            capacity: self.capacity,
            tenants: 0,
            max_connections: self.max_connections,
            revision: 1,
            health: ServerHealth::default(),
            created_at,
        }
    }
}

impl From<ServerCreateError> for Refusal {
    fn from(error: ServerCreateError) -> Self {
        match error {
            ServerCreateError::NameTaken => {
                Self::taken("server_exists", "name", "there is a server of that name; PUT changes it")
            }
            ServerCreateError::AddressTaken => {
                Self::taken("server_address_taken", "host", "a server with this host and port is registered")
            }
            ServerCreateError::Registry(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_and_nothing_else() {
        for host in ["localhost", "db-1.internal.example.com", "10.0.0.5", "::1", "my_db"] {
            assert!(is_host(host), "{host}");
        }
        for host in
            ["", "a b", "a:5432", "[::1]", "a/b", "user@host", "a..b", "-a", "a?sslmode=disable", "/var/run"]
        {
            assert!(!is_host(host), "{host}");
        }
    }
}
