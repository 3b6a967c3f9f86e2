//! What the registry knows of one server, all of it at once: to be compared with what the server holds.

use std::collections::{BTreeMap, BTreeSet};

use tenantry_domain::{
    ids::{ServerId, TenantId},
    names::ObjectName,
    plan::Tier,
};
use uuid::Uuid;

use crate::{Registry, RegistryError, error::Stored};

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KnownOnServer {
    /// Where tenants are, or were, or are being placed, by tenant.
    pub tenants: BTreeMap<TenantId, Vec<KnownPlacement>>,
    /// Tenants that have an unfinished operation.
    pub at_work: BTreeSet<TenantId>,
    /// Warm tenants, taken ones included: their schemas and roles.
    pub warm_tenants: BTreeSet<String>,
    /// Logins of the data plane, and whether a tenant that is served needs it.
    pub logins: BTreeMap<String, bool>,
}

/// One placement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownPlacement {
    /// The tenant's slug.
    pub slug: String,
    /// How it is isolated.
    pub tier: Tier,
    /// Whether it serves, so that everything must be there.
    pub serving: bool,
    /// Its database.
    pub database: ObjectName,
    /// The name of its schema and role.
    pub schema: ObjectName,
}

/// A registry's database: no tenants may live in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryIdentity {
    /// The number that PostgreSQL gave its cluster; the same on its standbys.
    pub system_identifier: String,
    /// The database.
    pub database: String,
}

impl Registry {
    /// Which database this is.
    pub async fn identity(&self) -> Result<RegistryIdentity, RegistryError> {
        let row = sqlx::query!(
            r#"SELECT system_identifier::text AS "system_identifier!", current_database()::text AS "database!"
               FROM pg_control_system()"#
        )
        .fetch_one(&self.relaxed)
        .await?;
        Ok(RegistryIdentity { system_identifier: row.system_identifier, database: row.database })
    }

    /// All that the registry knows of a server.
    pub async fn known_on_server(&self, server: ServerId) -> Result<KnownOnServer, RegistryError> {
        let mut known = KnownOnServer::default();
        let rows = sqlx::query!(
            r#"SELECT tenant_id, slug, tier, state IN ('serving', 'cutover') AND status <> 'purging' AS "serving!",
                   database, schema,
                   EXISTS (SELECT FROM operations WHERE subject_kind = 'tenant' AND subject_id = tenant_id
                       AND operations.state IN ('queued', 'running', 'waiting', 'undoing', 'stuck')) AS "at_work!"
               FROM placements JOIN tenants ON tenants.id = tenant_id WHERE server_id = $1"#,
            server.as_uuid()
        )
        .fetch_all(&self.housekeeping)
        .await?;
        for row in rows {
            let tenant = TenantId::from_uuid(row.tenant_id);
            if row.at_work {
                known.at_work.insert(tenant);
            }
            known.tenants.entry(tenant).or_default().push(KnownPlacement {
                slug: row.slug,
                tier: row.tier.parse().stored("placements.tier")?,
                serving: row.serving,
                database: ObjectName::parse(&row.database).stored("placements.database")?,
                schema: ObjectName::parse(&row.schema).stored("placements.schema")?,
            });
        }
        let logins = sqlx::query!(
            r#"SELECT name, for_users OR EXISTS (SELECT FROM placements WHERE placements.server_id = $1 AND login = name
                   AND state IN ('serving', 'cutover')) AS "needed!"
               FROM server_logins WHERE server_id = $1"#,
            server.as_uuid()
        )
        .fetch_all(&self.housekeeping)
        .await?;
        known.logins = logins.into_iter().map(|row| (row.name, row.needed)).collect();
        let warm = self.warm_names(server).await?;
        known.warm_tenants = warm.into_iter().map(|name| name.to_string()).collect();
        Ok(known)
    }

    /// Those of some tenants that have an unfinished operation, or that a rollout migrates now, wherever they are placed.
    pub async fn tenants_at_work(&self, tenants: &[TenantId]) -> Result<BTreeSet<TenantId>, RegistryError> {
        let ids: Vec<Uuid> = tenants.iter().map(|tenant| tenant.as_uuid()).collect();
        let rows = sqlx::query_scalar!(
            r#"SELECT subject_id AS "id!" FROM operations WHERE subject_kind = 'tenant' AND subject_id = ANY ($1)
                   AND state IN ('queued', 'running', 'waiting', 'undoing', 'stuck')
               UNION
               SELECT tenant_id FROM rollout_tenants WHERE tenant_id = ANY ($1) AND state = 'migrating'"#,
            &ids
        )
        .fetch_all(&self.housekeeping)
        .await?;
        Ok(rows.into_iter().map(TenantId::from_uuid).collect())
    }
}
