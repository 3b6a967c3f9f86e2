//! Table `placements`: where each tenant's data is, and choosing where it goes.

use tenantry_domain::{
    app::AppVersion,
    ids::{ServerId, TenantId},
    names::ObjectName,
    placement::{Epoch, Placement},
    plan::Tier,
};
use uuid::Uuid;

use crate::{
    Lease, LeaseLost, Registry, RegistryError,
    error::{Stored, broken_constraint},
    operation_leases::FencedError,
};

/// What a tenant's first placement needs to be chosen.
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
    /// Tenants that one login may hold.
    pub tenants_per_login: u32,
}

/// A tenant's first placement.
#[derive(Debug, Clone)]
pub enum Placed {
    /// Chosen now, with the given password.
    Now(Placement),
    /// Chosen by an earlier try, with a password of its own.
    Before(Placement),
}

/// No placement can be chosen.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// No active server has room for that tier.
    #[error("no active server has room for tier {0}; register one or raise a capacity")]
    NoRoom(Tier),
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
    /// Chooses the server with most room and records the tenant's first placement there; the caller
    /// knows that it has none. Durable before it returns: what is made on the server next must never
    /// be forgotten.
    pub async fn placement_choose(
        &self,
        lease: &Lease,
        request: &PlaceRequest,
    ) -> Result<Placed, PlaceError> {
        let tenant = lease.operation.tenant_id;
        let limit = i32::try_from(request.tenants_per_login).unwrap_or(i32::MAX);
        // The fullest login with room, so that few logins are in use, but none that an earlier tenant of
        // this slug had (see `tenants.retired_logins`); the emptiest server by share.
        let row = sqlx::query!(
            r#"WITH fence AS MATERIALIZED (
                   SELECT tenant_id FROM operations WHERE id = $1 AND attempts = $2
                   AND state IN ('running', 'undoing') FOR UPDATE
               ), server AS MATERIALIZED (
                   SELECT id, shared_database FROM servers
                   WHERE state = 'active' AND tenants < capacity AND $3 = ANY (tiers)
                     AND ($4::text IS NULL OR region = $4)
                   ORDER BY tenants::float8 / capacity, name LIMIT 1 FOR UPDATE
               ), login AS MATERIALIZED (
                   SELECT name FROM server_logins, server
                   WHERE server_id = server.id AND tenants < $5 AND name <> ALL (
                       SELECT unnest(before.retired_logins) FROM tenants AS before
                       JOIN tenants AS own ON own.slug = before.slug
                       JOIN fence ON fence.tenant_id = own.id)
                   ORDER BY tenants DESC, name LIMIT 1
               ), placed AS (
                   INSERT INTO placements (tenant_id, epoch, state, tier, server_id, database, schema, login,
                       role_password, created_at)
                   SELECT fence.tenant_id, 1, 'preparing', $3, server.id,
                       CASE $3 WHEN 'schema' THEN server.shared_database ELSE $6 END, $6, login.name, $7, now()
                   FROM fence, server, login
                   RETURNING epoch, state, tier, server_id, database, schema, login, schema_version
               )
               SELECT placed.epoch AS "epoch?", placed.state AS "state?", placed.tier AS "tier?",
                   placed.database AS "database?", placed.schema AS "schema?", placed.login AS "login?",
                   placed.schema_version AS "schema_version?",
                   (SELECT tenant_id FROM fence) AS "fence?", (SELECT id FROM server) AS "server?"
               FROM (VALUES (1)) AS one (row) LEFT JOIN placed ON true"#,
            lease.operation.id.as_uuid(),
            lease.fence(),
            request.tier.as_str(),
            request.region,
            limit,
            request.name.as_str(),
            request.role_password,
        )
        .fetch_one(&self.pool)
        .await;
        let row = match row {
            Ok(row) => row,
            // It was recorded by an earlier try whose answer got lost.
            Err(error) if broken_constraint(&error) == Some("placements_pkey") => {
                let placement = self.tenant_get(tenant).await?.and_then(|details| details.placement);
                return placement.map(Placed::Before).ok_or(PlaceError::LeaseLost(LeaseLost));
            }
            Err(error) => return Err(RegistryError::from(error).into()),
        };
        if row.fence.is_none() {
            return Err(LeaseLost.into());
        }
        let Some(server_id) = row.server else { return Err(PlaceError::NoRoom(request.tier)) };
        let (Some(epoch), Some(state), Some(tier), Some(database), Some(schema), Some(login)) =
            (row.epoch, row.state, row.tier, row.database, row.schema, row.login)
        else {
            return Err(PlaceError::NoLogin(ServerId::from_uuid(server_id)));
        };
        Ok(Placed::Now(read(
            tenant,
            epoch,
            &state,
            &tier,
            server_id,
            &database,
            &schema,
            &login,
            row.schema_version,
        )?))
    }

    /// A tenant's role password, sealed, as its latest placement has it.
    pub async fn placement_credentials(
        &self,
        tenant: TenantId,
    ) -> Result<Option<RoleCredentials>, RegistryError> {
        let row = sqlx::query!(
            "SELECT role_password, data_key FROM placements JOIN tenants ON tenants.id = tenant_id
             WHERE tenant_id = $1 ORDER BY epoch DESC LIMIT 1",
            tenant.as_uuid()
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|row| RoleCredentials { password: row.role_password, wrapped_data_key: row.data_key }))
    }

    /// Forgets a tenant's placements: nothing of them is left on any server.
    pub async fn placement_forget(&self, lease: &Lease) -> Result<(), FencedError> {
        let fenced = sqlx::query!(
            r#"WITH fence AS MATERIALIZED (SELECT tenant_id FROM operations WHERE id = $1 AND attempts = $2
                   AND state IN ('running', 'undoing') FOR UPDATE),
                 gone AS (DELETE FROM placements USING fence WHERE placements.tenant_id = fence.tenant_id)
               SELECT count(*) AS "held!" FROM fence"#,
            lease.operation.id.as_uuid(),
            lease.fence(),
        )
        .fetch_one(&self.pool)
        .await
        .map_err(RegistryError::from)?;
        if fenced.held == 1 { Ok(()) } else { Err(LeaseLost.into()) }
    }
}
