//! Table `servers`.

use chrono::{DateTime, Utc};
use tenantry_domain::{
    ids::{ServerId, TenantId},
    inquiry::{Sealed, ServerToCheck},
    names::ObjectName,
    plan::Tier,
    server::{Server, ServerHealth, ServerName, Unreachable},
    server_class::ServerClassName,
    server_tls::{ServerTls, TrustedRoots},
};
use uuid::Uuid;

use crate::{
    FencedError, Lease, LeaseLost, Registry, RegistryError,
    error::{Stored, broken_constraint},
};

/// A server to register.
#[derive(Debug, Clone)]
pub struct NewServer {
    /// What operators see; `tenants` is ignored.
    pub server: Server,
    /// The login with which workers administer it.
    pub admin_user: String,
    /// Its password, sealed.
    pub admin_password: Vec<u8>,
    /// The database that tenants of tier `schema` share.
    pub shared_database: ObjectName,
}

/// How a worker reaches a server.
#[derive(Debug, Clone)]
pub struct ServerAccess {
    /// The server.
    pub server: Server,
    /// The admin login.
    pub admin_user: String,
    /// Its password, sealed.
    pub admin_password: Vec<u8>,
    /// The database that tenants of tier `schema` share.
    pub shared_database: ObjectName,
}

impl From<NewServer> for ServerAccess {
    fn from(new: NewServer) -> Self {
        let NewServer { server, admin_user, admin_password, shared_database } = new;
        Self { server, admin_user, admin_password, shared_database }
    }
}

/// Whether it can hold tenants is to be found out.
impl From<ServerAccess> for ServerToCheck {
    fn from(access: ServerAccess) -> Self {
        Self {
            id: access.server.id,
            host: access.server.host,
            port: access.server.port,
            tls: access.server.tls,
            admin_user: access.admin_user,
            admin_password: Sealed(access.admin_password),
            shared_database: access.shared_database,
            max_connections: access.server.max_connections,
        }
    }
}

/// A server cannot be registered or changed.
#[derive(Debug, thiserror::Error)]
pub enum ServerCreateError {
    /// A server has the name.
    #[error("the name is taken")]
    NameTaken,
    /// A server has the host and port.
    #[error("the address is registered")]
    AddressTaken,
    /// The registry failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

/// A server cannot be deleted.
#[derive(Debug, thiserror::Error)]
pub enum ServerDeleteError {
    /// There is none of that name.
    #[error("there is no such server")]
    NotFound,
    /// It holds tenants.
    #[error("the server holds tenants")]
    InUse,
    /// The registry failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

struct ServerRow {
    id: Uuid,
    name: String,
    region: String,
    host: String,
    port: i32,
    ssl_mode: String,
    ssl_root_cert: Option<String>,
    admin_user: String,
    admin_password: Vec<u8>,
    shared_database: String,
    state: String,
    provider: String,
    owner_id: Option<Uuid>,
    class: Option<String>,
    tiers: Vec<String>,
    capacity: i32,
    tenants: i32,
    max_connections: i32,
    revision: i64,
    unreachable_since: Option<DateTime<Utc>>,
    unreachable_error: Option<String>,
    checked_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
}

impl TryFrom<ServerRow> for ServerAccess {
    type Error = RegistryError;

    fn try_from(row: ServerRow) -> Result<Self, RegistryError> {
        let tiers: Vec<Tier> =
            row.tiers.iter().map(|tier| tier.parse()).collect::<Result<_, _>>().stored("servers.tiers")?;
        Ok(Self {
            server: Server {
                id: ServerId::from_uuid(row.id),
                name: ServerName::parse(&row.name).stored("servers.name")?,
                region: row.region,
                host: row.host,
                port: u16::try_from(row.port).stored("servers.port")?,
                tls: tls_of(&row.ssl_mode, row.ssl_root_cert.as_deref())?,
                state: row.state.parse().stored("servers.state")?,
                provider: row.provider.parse().stored("servers.provider")?,
                owner: row.owner_id.map(TenantId::from_uuid),
                class: row
                    .class
                    .as_deref()
                    .map(ServerClassName::parse)
                    .transpose()
                    .stored("servers.class")?,
                tiers,
                capacity: u32::try_from(row.capacity).stored("servers.capacity")?,
                tenants: u32::try_from(row.tenants).stored("servers.tenants")?,
                max_connections: u32::try_from(row.max_connections).stored("servers.max_connections")?,
                revision: row.revision,
                health: ServerHealth {
                    unreachable: row
                        .unreachable_since
                        .zip(row.unreachable_error)
                        .map(|(since, error)| Unreachable { since, error }),
                    checked_at: row.checked_at,
                },
                created_at: row.created_at,
            },
            admin_user: row.admin_user,
            admin_password: row.admin_password,
            shared_database: ObjectName::parse(&row.shared_database).stored("servers.shared_database")?,
        })
    }
}

/// The columns as what they mean.
pub(crate) fn tls_of(mode: &str, root_cert: Option<&str>) -> Result<ServerTls, RegistryError> {
    let roots: Option<TrustedRoots> =
        root_cert.map(str::parse).transpose().stored("servers.ssl_root_cert")?;
    ServerTls::new(mode.parse().stored("servers.ssl_mode")?, roots).stored("servers.ssl_root_cert")
}

/// A count as PostgreSQL's `integer`, the largest one at most.
pub(crate) fn integer(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// Tiers as they are stored.
pub(crate) fn tier_names(tiers: &[Tier]) -> Vec<String> {
    tiers.iter().map(ToString::to_string).collect()
}

fn refusal(error: sqlx::Error) -> ServerCreateError {
    match broken_constraint(&error) {
        Some("servers_name_key") => ServerCreateError::NameTaken,
        Some("servers_host_port_key") => ServerCreateError::AddressTaken,
        _ => ServerCreateError::Registry(error.into()),
    }
}

impl Registry {
    /// Registers a server.
    pub async fn server_create(&self, new: &NewServer) -> Result<(), ServerCreateError> {
        let server = &new.server;
        sqlx::query!(
            "INSERT INTO servers (id, name, region, host, port, admin_user, admin_password, shared_database, state,
                 provider, tiers, capacity, max_connections, created_at, ssl_mode, ssl_root_cert)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
            server.id.as_uuid(),
            server.name.as_str(),
            server.region,
            server.host,
            i32::from(server.port),
            new.admin_user,
            new.admin_password,
            new.shared_database.as_str(),
            server.state.as_str(),
            server.provider.as_str(),
            &tier_names(&server.tiers),
            integer(server.capacity),
            integer(server.max_connections),
            server.created_at,
            server.tls.mode().as_str(),
            server.tls.root_cert(),
        )
        .execute(&self.pool)
        .await
        .map_err(refusal)?;
        Ok(())
    }

    /// All servers, by name.
    pub async fn server_list(&self) -> Result<Vec<Server>, RegistryError> {
        let rows = sqlx::query_as!(
            ServerRow,
            "SELECT id, name, region, host, port, ssl_mode, ssl_root_cert, admin_user, admin_password, shared_database, state,
                 provider, owner_id, class, tiers, capacity, tenants, max_connections, revision, unreachable_since, unreachable_error,
                 checked_at, created_at FROM servers ORDER BY name"
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(|row| ServerAccess::try_from(row).map(|access| access.server)).collect()
    }

    /// One server by name, with its sealed admin login.
    pub async fn server_find(&self, name: &ServerName) -> Result<Option<ServerAccess>, RegistryError> {
        let row = sqlx::query_as!(
            ServerRow,
            "SELECT id, name, region, host, port, ssl_mode, ssl_root_cert, admin_user, admin_password, shared_database, state,
                 provider, owner_id, class, tiers, capacity, tenants, max_connections, revision, unreachable_since, unreachable_error,
                 checked_at, created_at FROM servers WHERE name = $1",
            name.as_str()
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(ServerAccess::try_from).transpose()
    }

    /// One server by id, with its sealed admin login.
    pub async fn server_get(&self, id: ServerId) -> Result<Option<ServerAccess>, RegistryError> {
        let row = sqlx::query_as!(
            ServerRow,
            "SELECT id, name, region, host, port, ssl_mode, ssl_root_cert, admin_user, admin_password, shared_database, state,
                 provider, owner_id, class, tiers, capacity, tenants, max_connections, revision, unreachable_since, unreachable_error,
                 checked_at, created_at FROM servers WHERE id = $1",
            id.as_uuid()
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(ServerAccess::try_from).transpose()
    }

    /// Forgets a server that holds no tenant.
    pub async fn server_delete(&self, name: &ServerName) -> Result<(), ServerDeleteError> {
        let deleted = sqlx::query_scalar!(
            r#"WITH known AS (SELECT id, owner_id FROM servers WHERE name = $1), gone AS (
                   -- One that was made for a tenant goes with that.
                   DELETE FROM servers USING known WHERE servers.id = known.id AND known.owner_id IS NULL)
               SELECT owner_id IS NULL AS "deleted!" FROM known"#,
            name.as_str()
        )
        .fetch_optional(&self.pool)
        .await;
        match deleted {
            Ok(None) => Err(ServerDeleteError::NotFound),
            Ok(Some(true)) => Ok(()),
            Ok(Some(false)) => Err(ServerDeleteError::InUse),
            Err(error) if broken_constraint(&error).is_some_and(|name| name.starts_with("placements_")) => {
                Err(ServerDeleteError::InUse)
            }
            Err(error) => Err(ServerDeleteError::Registry(error.into())),
        }
    }

    /// Notes that a server cannot be reached, and why; true if that is news. Placement passes over it from then
    /// on, and work on it waits. What an operation met is no look: those that fail one after the other must not
    /// put off the look that finds the server back.
    pub async fn server_unreachable(
        &self,
        id: ServerId,
        error: &str,
        looked: bool,
    ) -> Result<bool, RegistryError> {
        let news = sqlx::query_scalar!(
            r#"WITH before AS (SELECT id, unreachable_since FROM servers
                   -- That one that is hibernated does not answer is no news.
                   WHERE id = $1 AND state <> 'hibernated' FOR UPDATE)
               UPDATE servers SET unreachable_since = coalesce(servers.unreachable_since, now()), unreachable_error = $2,
                   checked_at = CASE WHEN $3 OR before.unreachable_since IS NULL THEN now() ELSE checked_at END
               FROM before WHERE servers.id = before.id
               RETURNING before.unreachable_since IS NULL AS "news!""#,
            id.as_uuid(),
            error,
            looked,
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(news.unwrap_or(false))
    }

    /// Notes that a server answers, as it was registered at this revision: of another address that says nothing. True if that is
    /// news. What waited for it is due at once, and so are sign-ups that waited for any server.
    pub async fn server_reachable(&self, id: ServerId, revision: i64) -> Result<bool, RegistryError> {
        let news = sqlx::query_scalar!(
            r#"WITH before AS (
                   SELECT id, unreachable_since IS NOT NULL AS away FROM servers
                   WHERE id = $1 AND revision = $2 AND state <> 'hibernated' FOR UPDATE
               ), due AS (
                   UPDATE operations SET run_after = now() FROM before
                   WHERE before.away AND operations.state = 'waiting'
                       AND (waiting_for = before.id OR (waiting_for IS NULL AND kind = 'provision'))
               )
               UPDATE servers SET unreachable_since = NULL, unreachable_error = NULL, checked_at = now()
               FROM before WHERE servers.id = before.id RETURNING before.away AS "news!""#,
            id.as_uuid(),
            revision,
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(news.unwrap_or(false))
    }

    /// Marks a server as lost for good: nothing is placed on it, nothing is tried on it again.
    pub async fn server_lose(&self, lease: &Lease) -> Result<(), FencedError> {
        let held = sqlx::query_scalar!(
            r#"WITH fence AS MATERIALIZED (SELECT subject_id FROM operations WHERE id = $1 AND fence = $2
                   AND state IN ('running', 'undoing') FOR UPDATE),
                 lost AS (UPDATE servers SET state = 'lost' FROM fence WHERE servers.id = fence.subject_id)
               SELECT count(*) AS "held!" FROM fence"#,
            lease.operation.id.as_uuid(),
            lease.fence(),
        )
        .fetch_one(&self.pool)
        .await
        .map_err(RegistryError::from)?;
        if held == 1 { Ok(()) } else { Err(LeaseLost.into()) }
    }

    /// Gives up tenants of a lost server, at most `limit` at a time: their unfinished operations end, and they are
    /// purged as far as the registry goes. Answers how many; none: all are done. A tenant that is served from
    /// elsewhere only loses the placement that it has there.
    pub async fn server_give_up_tenants(&self, lease: &Lease, limit: i64) -> Result<u64, FencedError> {
        let mut tx = self.begin().await?;
        let held = sqlx::query_scalar!(
            "SELECT subject_id FROM operations WHERE id = $1 AND fence = $2 AND state IN ('running', 'undoing')
             FOR UPDATE",
            lease.operation.id.as_uuid(),
            lease.fence(),
        )
        .fetch_optional(&mut *tx)
        .await
        .map_err(RegistryError::from)?
        .ok_or(LeaseLost)?;
        // Tenants and operations first, so that nothing about them changes from here on.
        let tenants = sqlx::query_scalar!(
            "SELECT id FROM tenants WHERE id IN (SELECT tenant_id FROM placements WHERE server_id = $1)
             ORDER BY id LIMIT $2 FOR NO KEY UPDATE",
            held,
            limit
        )
        .fetch_all(&mut *tx)
        .await
        .map_err(RegistryError::from)?;
        // Whoever is at work on them finds out that a placement is gone.
        sqlx::query!(
            "UPDATE operations SET fence = fence + 1, lease_owner = NULL, lease_expires_at = NULL, waiting_for = NULL,
                 run_after = now()
             WHERE subject_kind = 'tenant' AND subject_id = ANY ($1)
                 AND state IN ('queued', 'running', 'waiting', 'undoing')",
            &tenants,
        )
        .execute(&mut *tx)
        .await
        .map_err(RegistryError::from)?;
        sqlx::query!(
            "DELETE FROM placements WHERE server_id = $1 AND tenant_id = ANY ($2) AND state NOT IN ('serving', 'cutover')
                 AND EXISTS (SELECT FROM placements AS other WHERE other.tenant_id = placements.tenant_id
                     AND other.server_id <> $1 AND other.state IN ('serving', 'cutover'))",
            held,
            &tenants,
        )
        .execute(&mut *tx)
        .await
        .map_err(RegistryError::from)?;
        let lost = sqlx::query_scalar!(
            "SELECT DISTINCT tenant_id FROM placements WHERE server_id = $1 AND tenant_id = ANY ($2)",
            held,
            &tenants,
        )
        .fetch_all(&mut *tx)
        .await
        .map_err(RegistryError::from)?;
        sqlx::query!(
            "WITH ended AS (
                 UPDATE operations SET state = 'failed', error = 'the server of its tenant is lost', message = NULL,
                     cancellable = false, fence = fence + 1, lease_owner = NULL, lease_expires_at = NULL,
                     waiting_for = NULL, finished_at = now()
                 WHERE subject_kind = 'tenant' AND subject_id = ANY ($1)
                     AND state IN ('queued', 'running', 'waiting', 'undoing', 'stuck')
                 RETURNING id, progress
             )
             INSERT INTO operation_events (operation_id, kind, progress, message, at)
             SELECT id, 'failed', progress, 'the server of its tenant is lost', now() FROM ended",
            &lost,
        )
        .execute(&mut *tx)
        .await
        .map_err(RegistryError::from)?;
        for tenant in &lost {
            let tenant = TenantId::from_uuid(*tenant);
            // A move may have made one on a server that is not lost.
            let own_logins = Self::own_logins_in_tx(&mut tx, tenant).await?;
            Self::tenant_forget_in_tx(&mut tx, tenant).await?;
            Self::own_logins_forget_in_tx(&mut tx, own_logins).await?;
        }
        tx.commit().await.map_err(RegistryError::from)?;
        Ok(tenants.len() as u64)
    }

    /// Forgets a lost server that holds no tenant any more.
    pub async fn server_forget(&self, lease: &Lease) -> Result<(), FencedError> {
        let held = sqlx::query_scalar!(
            r#"WITH fence AS MATERIALIZED (SELECT subject_id FROM operations WHERE id = $1 AND fence = $2
                   AND state IN ('running', 'undoing') FOR UPDATE),
                 gone AS (DELETE FROM servers USING fence WHERE servers.id = fence.subject_id)
               SELECT count(*) AS "held!" FROM fence"#,
            lease.operation.id.as_uuid(),
            lease.fence(),
        )
        .fetch_one(&self.pool)
        .await
        .map_err(RegistryError::from)?;
        if held == 1 { Ok(()) } else { Err(LeaseLost.into()) }
    }
}
