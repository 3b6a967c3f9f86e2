//! Table `placements`: where each tenant's data is, and choosing where it goes.

use chrono::{DateTime, Utc};
use tenantry_domain::{
    app::AppVersion,
    connection::Connection,
    ids::{ServerId, TenantId},
    names::ObjectName,
    placement::{Epoch, Placement},
    plan::{PlanName, Tier},
    server::ServerName,
    server_class::ServerClassName,
};
use uuid::Uuid;

use crate::{
    Lease, LeaseLost, LeftBehind, Registry, RegistryError, TimedConnection,
    error::{Stored, broken_constraint},
    operation_leases::FencedError,
};

/// A tenant's role on a server.
#[derive(Debug, Clone)]
pub struct TenantRole {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The role's name.
    pub name: ObjectName,
    /// The tenant's plan.
    pub plan: PlanName,
}

/// What a tenant's next placement needs to be chosen.
#[derive(Debug, Clone)]
pub struct PlaceRequest {
    /// How the data is to be isolated.
    pub tier: Tier,
    /// The name of schema and role, and of the database in tier `database`.
    pub name: ObjectName,
    /// The role's password, sealed with the tenant's data key.
    pub role_password: Vec<u8>,
    /// Only in this region, if given.
    pub region: Option<String>,
    /// As whom the data plane is to log in.
    pub connection: Connection,
    /// Tenants that a shared login may hold.
    pub tenants_per_login: u32,
    /// The server and login of the warm tenant that is to become this one.
    pub warm: Option<(ServerId, ObjectName)>,
    /// On this server and no other.
    pub server: Option<ServerId>,
    /// On any other server than this one.
    pub not_server: Option<ServerId>,
    /// On one that was made from this class.
    pub class: Option<ServerClassName>,
    /// What the operation's later steps are to know, written together with the placement.
    pub durable_state: serde_json::Value,
}

/// A tenant's next placement.
#[derive(Debug, Clone)]
pub enum Placed {
    /// Chosen now, with the given password; and the revision of its server.
    Now(Placement, i64),
    /// Chosen by an earlier try, with a password of its own; and the revision of its server.
    Before(Placement, i64),
}

/// No placement can be chosen.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// No active server has room for that tier.
    #[error("no active server has room for tier {0}; register one or raise a capacity")]
    NoRoom(Tier),
    /// Servers have room, but none of them can be reached.
    #[error("no server with room for tier {0} can be reached: {1}")]
    Unreachable(Tier, String),
    /// The chosen server has no login with room: add one and try again.
    #[error("server {0} has no data-plane login with room")]
    NoLogin(ServerId),
    /// Another worker has the operation.
    #[error(transparent)]
    LeaseLost(#[from] LeaseLost),
    /// The registry failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

/// A placement with what is known of its server.
#[derive(Debug, Clone)]
pub struct PlacementWithServer {
    /// The placement.
    pub placement: Placement,
    /// The role's password, sealed with the tenant's data key.
    pub role_password: Vec<u8>,
    /// The revision of its server.
    pub server_revision: i64,
    /// Why nobody reaches that server, if it is known to be away.
    pub server_unreachable: Option<String>,
}

/// A tenant's role and its sealed password.
#[derive(Debug, Clone)]
pub struct RoleCredentials {
    /// The role's password, sealed with the tenant's data key.
    pub password: Vec<u8>,
    /// The tenant's data key, wrapped.
    pub wrapped_data_key: Vec<u8>,
}

#[expect(clippy::too_many_arguments, reason = "one argument per column of two different row types")]
pub(crate) fn read(
    tenant_id: TenantId,
    epoch: i32,
    state: &str,
    tier: &str,
    server_id: Uuid,
    database: &str,
    schema: &str,
    login: &str,
    schema_version: Option<i64>,
) -> Result<Placement, RegistryError> {
    Ok(Placement {
        tenant_id,
        epoch: Epoch::from_stored(epoch),
        state: state.parse().stored("placements.state")?,
        tier: tier.parse().stored("placements.tier")?,
        server_id: ServerId::from_uuid(server_id),
        database: ObjectName::parse(database).stored("placements.database")?,
        schema: ObjectName::parse(schema).stored("placements.schema")?,
        login: ObjectName::parse(login).stored("placements.login")?,
        schema_version: schema_version
            .map(AppVersion::try_from)
            .transpose()
            .stored("placements.schema_version")?,
    })
}

impl Registry {
    /// The roles of tenants that a server serves, by tenant, after one of them.
    pub async fn placement_roles(
        &self,
        server: ServerId,
        after: Option<TenantId>,
        limit: i64,
    ) -> Result<Vec<TenantRole>, RegistryError> {
        let rows = sqlx::query!(
            "SELECT tenant_id, schema, plan FROM placements JOIN tenants ON tenants.id = tenant_id
             WHERE server_id = $1 AND placements.state IN ('serving', 'cutover')
                 AND ($2::uuid IS NULL OR tenant_id > $2)
             ORDER BY tenant_id LIMIT $3",
            server.as_uuid(),
            after.map(TenantId::as_uuid),
            limit,
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(TenantRole {
                    tenant_id: TenantId::from_uuid(row.tenant_id),
                    name: ObjectName::parse(&row.schema).stored("placements.schema")?,
                    plan: PlanName::parse(&row.plan).stored("tenants.plan")?,
                })
            })
            .collect()
    }

    /// Chooses the server with most room among those that can be reached, or the given one, and records the
    /// tenant's placement there. Durable before it returns: what is made on the server next must never be
    /// forgotten.
    pub async fn placement_choose(
        &self,
        lease: &Lease,
        request: &PlaceRequest,
    ) -> Result<Placed, PlaceError> {
        let tenant = lease.operation.subject.tenant().ok_or(LeaseLost)?;
        let own = request.connection == Connection::Own;
        let limit = if own { 1 } else { i32::try_from(request.tenants_per_login).unwrap_or(i32::MAX) };
        let (warm_server, warm_login) =
            request.warm.as_ref().map(|(server, login)| (server.as_uuid(), login.as_str())).unzip();
        let only_server = warm_server.or(request.server.map(ServerId::as_uuid));
        // The fullest login with room, so that few logins are in use, but none that an earlier tenant of
        // this slug had (see `tenants.retired_logins`); the emptiest server by share.
        let row = sqlx::query!(
            r#"WITH tenant_first AS MATERIALIZED (
                   SELECT FROM tenants WHERE id = (SELECT tenant_id FROM operations WHERE id = $1) FOR NO KEY UPDATE
               ), fence AS MATERIALIZED (
                   SELECT tenant_id FROM operations WHERE id = $1 AND fence = $2
                       AND state IN ('running', 'undoing') AND (SELECT count(*) FROM tenant_first) >= 0 FOR UPDATE
               ), roomy AS (
                   SELECT id, name, unreachable_error, tenants::float8 / capacity AS share FROM servers
                   WHERE state = 'active' AND tenants < capacity AND $3 = ANY (tiers)
                     AND ($4::text IS NULL OR region = $4) AND ($8::uuid IS NULL OR id = $8)
                     AND (owner_id IS NULL OR owner_id = (SELECT tenant_id FROM fence))
                     -- Of a tenant's own is what holds no other.
                     AND ($3 <> 'instance' OR tenants = 0)
                     AND id IS DISTINCT FROM $11::uuid AND ($13::text IS NULL OR class = $13)
               ), server AS MATERIALIZED (
                   SELECT servers.id, shared_database, revision FROM servers JOIN roomy ON roomy.id = servers.id
                   -- Once more, of the row that is locked: it may have changed while another had it.
                   WHERE servers.unreachable_since IS NULL AND servers.state = 'active'
                       AND servers.tenants < servers.capacity AND ($3 <> 'instance' OR servers.tenants = 0)
                   ORDER BY share, roomy.name LIMIT 1 FOR UPDATE OF servers
               ), login AS MATERIALIZED (
                   SELECT name FROM server_logins, server
                   WHERE server_id = server.id AND CASE WHEN $9::text IS NULL THEN
                       tenants < $5 AND own = $12 AND NOT for_users AND name <> ALL (
                           SELECT unnest(before.retired_logins) FROM tenants AS before
                           JOIN tenants AS own ON own.slug = before.slug
                           JOIN fence ON fence.tenant_id = own.id)
                       ELSE name = $9 END
                   -- One that another placement filled while this statement waited for the server is full by now: this
                   -- looks at what is there when it is locked.
                   ORDER BY tenants DESC, name LIMIT 1 FOR NO KEY UPDATE OF server_logins
               ), tenant AS (
                   UPDATE tenants SET last_epoch = last_epoch + 1 FROM fence, login
                   WHERE tenants.id = fence.tenant_id RETURNING tenants.id, last_epoch
               ), placed AS (
                   INSERT INTO placements (tenant_id, epoch, state, tier, server_id, database, schema, login,
                       role_password, created_at)
                   SELECT tenant.id, tenant.last_epoch, 'preparing', $3, server.id,
                       CASE $3 WHEN 'schema' THEN server.shared_database ELSE $6 END, $6, login.name, $7, now()
                   FROM tenant, server, login
                   RETURNING epoch, state, tier, server_id, database, schema, login, schema_version
               ), kept AS (
                   UPDATE operations SET durable_state = $10 FROM placed WHERE operations.id = $1
               )
               SELECT placed.epoch AS "epoch?", placed.state AS "state?", placed.tier AS "tier?",
                   placed.database AS "database?", placed.schema AS "schema?", placed.login AS "login?",
                   placed.schema_version AS "schema_version?",
                   (SELECT tenant_id FROM fence) AS "fence?", (SELECT id FROM server) AS "server?",
                   (SELECT revision FROM server) AS revision,
                   (SELECT min(unreachable_error) FROM roomy) AS unreachable
               FROM (VALUES (1)) AS one (row) LEFT JOIN placed ON true"#,
            lease.operation.id.as_uuid(),
            lease.fence(),
            request.tier.as_str(),
            request.region,
            limit,
            request.name.as_str(),
            request.role_password,
            only_server,
            warm_login,
            request.durable_state,
            request.not_server.map(ServerId::as_uuid),
            own,
            request.class.as_ref().map(ServerClassName::as_str),
        )
        .fetch_one(&self.pool)
        .await;
        let row = match row {
            Ok(row) => row,
            Err(error) if broken_constraint(&error) == Some("placements_one_preparing") => {
                return self.placed_before(lease).await?.ok_or(PlaceError::LeaseLost(LeaseLost));
            }
            Err(error) => return Err(RegistryError::from(error).into()),
        };
        if row.fence.is_none() {
            return Err(LeaseLost.into());
        }
        let Some(server_id) = row.server else {
            // There is no room any more, perhaps because an earlier try has it.
            if let Some(before) = self.placed_before(lease).await? {
                return Ok(before);
            }
            return Err(match row.unreachable {
                Some(error) => PlaceError::Unreachable(request.tier, error),
                None => PlaceError::NoRoom(request.tier),
            });
        };
        let (Some(epoch), Some(state), Some(tier), Some(database), Some(schema), Some(login)) =
            (row.epoch, row.state, row.tier, row.database, row.schema, row.login)
        else {
            return Err(PlaceError::NoLogin(ServerId::from_uuid(server_id)));
        };
        let placement =
            read(tenant, epoch, &state, &tier, server_id, &database, &schema, &login, row.schema_version)?;
        Ok(Placed::Now(placement, row.revision.unwrap_or_default()))
    }

    /// The server that would be chosen for a tenant now, by name, without a look at logins.
    pub async fn placement_preview(
        &self,
        tenant: TenantId,
        tier: Tier,
        server: Option<ServerId>,
        not_server: Option<ServerId>,
        class: Option<&ServerClassName>,
    ) -> Result<Option<ServerName>, RegistryError> {
        let name = sqlx::query_scalar!(
            "SELECT name FROM servers
             WHERE state = 'active' AND tenants < capacity AND $2 = ANY (tiers) AND unreachable_since IS NULL
                 AND ($3::uuid IS NULL OR id = $3) AND id IS DISTINCT FROM $4::uuid
                 AND (owner_id IS NULL OR owner_id = $1) AND ($2 <> 'instance' OR tenants = 0)
                 AND ($5::text IS NULL OR class = $5)
             ORDER BY tenants::float8 / capacity, name LIMIT 1",
            tenant.as_uuid(),
            tier.as_str(),
            server.map(ServerId::as_uuid),
            not_server.map(ServerId::as_uuid),
            class.map(ServerClassName::as_str),
        )
        .fetch_optional(&self.pool)
        .await?;
        name.map(|name| ServerName::parse(&name).stored("servers.name")).transpose()
    }

    /// What an earlier try of the lease recorded whose answer got lost.
    async fn placed_before(&self, lease: &Lease) -> Result<Option<Placed>, RegistryError> {
        let Some(tenant) = lease.operation.subject.tenant() else { return Ok(None) };
        let Some(epoch) = self.placement_preparing(tenant).await? else { return Ok(None) };
        let placement = self.placement_get(tenant, epoch).await?;
        Ok(placement.map(|known| Placed::Before(known.placement, known.server_revision)))
    }

    /// The placement that is being made for a tenant, if there is one.
    pub async fn placement_preparing(&self, tenant: TenantId) -> Result<Option<Epoch>, RegistryError> {
        let epoch = sqlx::query_scalar!(
            "SELECT epoch FROM placements WHERE tenant_id = $1 AND state = 'preparing'",
            tenant.as_uuid(),
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(epoch.map(Epoch::from_stored))
    }

    /// A placement of a tenant, and what is known of its server.
    pub async fn placement_get(
        &self,
        tenant: TenantId,
        epoch: Epoch,
    ) -> Result<Option<PlacementWithServer>, RegistryError> {
        let row = sqlx::query!(
            "SELECT epoch, placements.state, tier, server_id, database, schema, login, schema_version, role_password,
                 revision, unreachable_error
             FROM placements JOIN servers ON servers.id = server_id WHERE tenant_id = $1 AND epoch = $2",
            tenant.as_uuid(),
            epoch.number(),
        )
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let placement = read(
            tenant,
            row.epoch,
            &row.state,
            &row.tier,
            row.server_id,
            &row.database,
            &row.schema,
            &row.login,
            row.schema_version,
        )?;
        Ok(Some(PlacementWithServer {
            placement,
            role_password: row.role_password,
            server_revision: row.revision,
            server_unreachable: row.unreachable_error,
        }))
    }

    /// Forgets a placement that a tenant has left: nothing of it is there any more.
    pub async fn placement_left(&self, lease: &Lease, epoch: Epoch) -> Result<(), FencedError> {
        let fenced = sqlx::query!(
            r#"WITH fence AS MATERIALIZED (
                   SELECT tenant_id FROM operations WHERE id = $1 AND fence = $2
                   AND state IN ('running', 'undoing') FOR UPDATE
               ), gone AS (
                   DELETE FROM placements USING fence
                   WHERE placements.tenant_id = fence.tenant_id AND epoch = $3 AND state IN ('fenced', 'retired')
               )
               SELECT count(*) AS "held!" FROM fence"#,
            lease.operation.id.as_uuid(),
            lease.fence(),
            epoch.number(),
        )
        .fetch_one(&self.pool)
        .await
        .map_err(RegistryError::from)?;
        if fenced.held == 1 { Ok(()) } else { Err(LeaseLost.into()) }
    }

    /// When the newest placement of a tier on a server was made, if there is one.
    pub async fn placement_newest(
        &self,
        server: ServerId,
        tier: Tier,
    ) -> Result<Option<DateTime<Utc>>, RegistryError> {
        let newest = sqlx::query_scalar!(
            "SELECT max(created_at) FROM placements WHERE server_id = $1 AND tier = $2",
            server.as_uuid(),
            tier.as_str(),
        )
        .fetch_one(&self.relaxed)
        .await?;
        Ok(newest)
    }

    /// A tenant's role password, sealed, as a placement has it.
    pub async fn placement_credentials(
        &self,
        tenant: TenantId,
        epoch: Epoch,
    ) -> Result<Option<RoleCredentials>, RegistryError> {
        let row = sqlx::query!(
            "SELECT role_password, data_key FROM placements JOIN tenants ON tenants.id = tenant_id
             WHERE tenant_id = $1 AND epoch = $2",
            tenant.as_uuid(),
            epoch.number(),
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|row| RoleCredentials { password: row.role_password, wrapped_data_key: row.data_key }))
    }

    /// Forgets a placement of a tenant that never served: nothing of it is left on its server. What the
    /// operation knows without it is `durable_state`. A warm tenant that it took and did not touch is free again.
    pub async fn placement_forget(
        &self,
        lease: &Lease,
        epoch: Epoch,
        untouched: bool,
        durable_state: &serde_json::Value,
    ) -> Result<(), FencedError> {
        let fenced = sqlx::query!(
            r#"WITH fence AS MATERIALIZED (
                   SELECT id, tenant_id FROM operations WHERE id = $1 AND fence = $2
                   AND state IN ('running', 'undoing') FOR UPDATE
               ), gone AS (
                   DELETE FROM placements USING fence
                   WHERE placements.tenant_id = fence.tenant_id AND epoch = $3 AND state = 'preparing'
               ), warm AS (
                   DELETE FROM warm_tenants USING fence WHERE operation_id = fence.id AND NOT $4
               ), free AS (
                   UPDATE warm_tenants SET operation_id = NULL FROM fence WHERE operation_id = fence.id AND $4
               ), kept AS (
                   UPDATE operations SET durable_state = $5 FROM fence WHERE operations.id = fence.id
               )
               SELECT count(*) AS "held!" FROM fence"#,
            lease.operation.id.as_uuid(),
            lease.fence(),
            epoch.number(),
            untouched,
            durable_state,
        )
        .fetch_one(&self.pool)
        .await
        .map_err(RegistryError::from)?;
        if fenced.held == 1 { Ok(()) } else { Err(LeaseLost.into()) }
    }

    /// What a tenant's placements have on their servers; or those of them that do not serve, if `all` is false.
    pub(crate) async fn placements_left_in_tx(
        tx: &mut TimedConnection,
        tenant: TenantId,
        all: bool,
    ) -> Result<Vec<LeftBehind>, RegistryError> {
        let rows = sqlx::query!(
            r#"SELECT tier, database, schema, servers.name AS server, placements.state = 'cutover' AS "closed!", NOT $2 AND EXISTS (
                   SELECT FROM placements AS other WHERE other.tenant_id = $1 AND other.state IN ('serving', 'cutover')
                       AND other.server_id = placements.server_id) AS "keeps_role!"
               FROM placements JOIN servers ON servers.id = server_id
               WHERE tenant_id = $1 AND ($2 OR placements.state <> 'serving') ORDER BY epoch"#,
            tenant.as_uuid(),
            all,
        )
        .fetch_all(tx)
        .await?;
        Ok(rows
            .into_iter()
            .flat_map(|row| {
                if row.closed && !all {
                    let closed = LeftBehind { kind: "write_fence", name: row.schema, server: row.server };
                    return vec![closed];
                }
                let data = if row.tier == "schema" {
                    ("schema", row.schema.clone())
                } else {
                    ("database", row.database)
                };
                let role = (!row.keeps_role).then_some(("role", row.schema));
                let server = row.server;
                let left = [Some(data), role].into_iter().flatten();
                left.map(|(kind, name)| LeftBehind { kind, name, server: server.clone() }).collect()
            })
            .collect())
    }

    /// Forgets the placements of a tenant whose move is given up but for the one that serves, where writes are held no
    /// longer.
    pub(crate) async fn placements_keep_serving_in_tx(
        tx: &mut TimedConnection,
        tenant: TenantId,
    ) -> Result<(), RegistryError> {
        sqlx::query!(
            "WITH gone AS (
                 DELETE FROM placements WHERE tenant_id = $1 AND state NOT IN ('serving', 'cutover')
             )
             UPDATE placements SET state = 'serving' WHERE tenant_id = $1 AND state = 'cutover'",
            tenant.as_uuid(),
        )
        .execute(tx)
        .await?;
        Ok(())
    }

    /// Forgets all placements of a tenant that is given up, and sets its status.
    pub(crate) async fn placements_forget_in_tx(
        tx: &mut TimedConnection,
        tenant: TenantId,
        status: &str,
    ) -> Result<(), RegistryError> {
        sqlx::query!(
            "WITH gone AS (DELETE FROM placements WHERE tenant_id = $1 RETURNING login)
             UPDATE tenants SET status = $2, purge_at = NULL, updated_at = now(),
                 retired_logins = retired_logins || ARRAY(SELECT login FROM gone)
             WHERE id = $1",
            tenant.as_uuid(),
            status,
        )
        .execute(tx)
        .await?;
        Ok(())
    }
}
