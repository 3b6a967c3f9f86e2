//! Table `servers`, some of its columns: what operators change of a registered server.

use tenantry_domain::{
    ids::ServerId,
    plan::Tier,
    server::{Provider, ServerState},
    server_tls::ServerTls,
};

use crate::{
    Registry, RegistryError, ServerCreateError,
    error::broken_constraint,
    servers::{integer, tier_names},
};

/// What is to change on a server; what is none stays as it is, whoever changes it meanwhile.
#[derive(Debug, Clone, Default)]
pub struct ServerEdit {
    /// Where it runs.
    pub region: Option<String>,
    /// Host name or address.
    pub host: Option<String>,
    /// TCP port.
    pub port: Option<u16>,
    /// How connections to it are protected.
    pub tls: Option<ServerTls>,
    /// Whether it takes tenants.
    pub state: Option<ServerState>,
    /// Who makes it.
    pub provider: Option<Provider>,
    /// The tiers that it may hold.
    pub tiers: Option<Vec<Tier>>,
    /// How many tenants it may hold.
    pub capacity: Option<u32>,
    /// Connections that one data plane may open to it.
    pub max_connections: Option<u32>,
    /// The admin login.
    pub admin_user: Option<String>,
    /// Its sealed password.
    pub admin_password: Option<Vec<u8>>,
}

impl Registry {
    /// Changes a server; false if there is none with that id.
    pub async fn server_edit(&self, id: ServerId, edit: &ServerEdit) -> Result<bool, ServerCreateError> {
        let tiers: Option<Vec<String>> = edit.tiers.as_deref().map(tier_names);
        let edited = sqlx::query!(
            "UPDATE servers SET region = coalesce($2, region), host = coalesce($3, host), port = coalesce($4, port),
                 state = coalesce($5, state), provider = coalesce($6, provider), tiers = coalesce($7, tiers),
                 capacity = coalesce($8, capacity), max_connections = coalesce($9, max_connections),
                 admin_user = coalesce($10, admin_user), admin_password = coalesce($11, admin_password),
                 ssl_mode = coalesce($12, ssl_mode),
                 ssl_root_cert = CASE WHEN $12::text IS NULL THEN ssl_root_cert ELSE $13 END,
                 -- Connections of an earlier revision lead to where the server was, protected as they were, as who
                 -- administered it.
                 revision = revision + CASE WHEN coalesce($3, host) = host AND coalesce($4, port) = port
                     AND ($12::text IS NULL OR ($12 = ssl_mode AND $13::text IS NOT DISTINCT FROM ssl_root_cert))
                     AND $10::text IS NULL AND $11::bytea IS NULL THEN 0 ELSE 1 END,
                 unreachable_since = CASE WHEN coalesce($3, host) = host AND coalesce($4, port) = port
                     AND ($12::text IS NULL OR ($12 = ssl_mode AND $13::text IS NOT DISTINCT FROM ssl_root_cert))
                     THEN unreachable_since END,
                 unreachable_error = CASE WHEN coalesce($3, host) = host AND coalesce($4, port) = port
                     AND ($12::text IS NULL OR ($12 = ssl_mode AND $13::text IS NOT DISTINCT FROM ssl_root_cert))
                     THEN unreachable_error END
             WHERE id = $1 AND state NOT IN ('lost', 'hibernated')",
            id.as_uuid(),
            edit.region,
            edit.host,
            edit.port.map(i32::from),
            edit.state.map(ServerState::as_str),
            edit.provider.map(Provider::as_str),
            tiers.as_deref(),
            edit.capacity.map(integer),
            edit.max_connections.map(integer),
            edit.admin_user,
            edit.admin_password,
            edit.tls.as_ref().map(|tls| tls.mode().as_str()),
            edit.tls.as_ref().and_then(ServerTls::root_cert),
        )
        .execute(&self.pool)
        .await;
        match edited {
            Ok(done) => Ok(done.rows_affected() == 1),
            Err(error) if broken_constraint(&error) == Some("servers_host_port_key") => {
                Err(ServerCreateError::AddressTaken)
            }
            Err(error) => Err(RegistryError::from(error).into()),
        }
    }
}
