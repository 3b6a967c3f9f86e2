//! Table `storage_samples`: what tenants take on disk, hour by hour.

use chrono::{DateTime, Utc};
use tenantry_domain::{
    ids::{ServerId, TenantId},
    names::ObjectName,
    plan::Tier,
};
use uuid::Uuid;

use crate::{Registry, RegistryError, error::Stored};

/// A tenant whose storage is not known yet, and where its data is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsampledTenant {
    /// The tenant.
    pub tenant_id: TenantId,
    /// How its data is isolated: whether the schema or the whole database is its own.
    pub tier: Tier,
    /// The database.
    pub database: ObjectName,
    /// The schema in it.
    pub schema: ObjectName,
}

impl Registry {
    /// Tenants on a server that have no sample of an hour, those of one database next to each other.
    pub async fn storage_unsampled(
        &self,
        server: ServerId,
        hour: DateTime<Utc>,
        limit: i64,
    ) -> Result<Vec<UnsampledTenant>, RegistryError> {
        let rows = sqlx::query!(
            "SELECT tenant_id, tier, database, schema FROM placements
             WHERE server_id = $1 AND state IN ('serving', 'cutover') AND NOT EXISTS (
                 SELECT 1 FROM storage_samples
                 WHERE storage_samples.tenant_id = placements.tenant_id AND at = $2)
             ORDER BY database, tenant_id LIMIT $3",
            server.as_uuid(),
            hour,
            limit,
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(UnsampledTenant {
                    tenant_id: TenantId::from_uuid(row.tenant_id),
                    tier: row.tier.parse().stored("placements.tier")?,
                    database: ObjectName::parse(&row.database).stored("placements.database")?,
                    schema: ObjectName::parse(&row.schema).stored("placements.schema")?,
                })
            })
            .collect()
    }

    /// Adds samples (bytes) of an hour; answers how many were new.
    pub async fn storage_add(
        &self,
        hour: DateTime<Utc>,
        samples: &[(TenantId, u64)],
    ) -> Result<u64, RegistryError> {
        let (tenants, bytes): (Vec<Uuid>, Vec<i64>) = samples
            .iter()
            .map(|(tenant, bytes)| (tenant.as_uuid(), i64::try_from(*bytes).unwrap_or(i64::MAX)))
            .unzip();
        let added = sqlx::query!(
            "INSERT INTO storage_samples (tenant_id, at, bytes)
             SELECT tenant_id, $1, bytes FROM unnest($2::uuid[], $3::bigint[]) AS sample (tenant_id, bytes)
             WHERE EXISTS (SELECT 1 FROM tenants WHERE tenants.id = sample.tenant_id)
             ON CONFLICT DO NOTHING",
            hour,
            &tenants,
            &bytes,
        )
        .execute(&self.relaxed)
        .await?;
        Ok(added.rows_affected())
    }
}
