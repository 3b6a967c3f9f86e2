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
    /// Whether its app has users.
    pub has_users: bool,
}

/// What a tenant takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StorageSample {
    /// The tenant.
    pub tenant_id: TenantId,
    /// On disk.
    pub bytes: u64,
    /// Users that it has; none where its app has none.
    pub users: Option<u64>,
}

struct UnsampledRow {
    tenant_id: Uuid,
    tier: String,
    database: String,
    schema: String,
    has_users: bool,
}

impl TryFrom<UnsampledRow> for UnsampledTenant {
    type Error = RegistryError;

    fn try_from(row: UnsampledRow) -> Result<Self, RegistryError> {
        Ok(Self {
            tenant_id: TenantId::from_uuid(row.tenant_id),
            tier: row.tier.parse().stored("placements.tier")?,
            database: ObjectName::parse(&row.database).stored("placements.database")?,
            schema: ObjectName::parse(&row.schema).stored("placements.schema")?,
            has_users: row.has_users,
        })
    }
}

impl Registry {
    /// Tenants on a server that have no sample of an hour, those of one database next to each other.
    pub async fn storage_unsampled(
        &self,
        server: ServerId,
        hour: DateTime<Utc>,
        limit: i64,
    ) -> Result<Vec<UnsampledTenant>, RegistryError> {
        let rows = sqlx::query_as!(
            UnsampledRow,
            r#"SELECT tenant_id, placements.tier, database, schema, manifest ->> 'registration' IS NOT NULL AS "has_users!"
             FROM placements JOIN tenants ON tenants.id = tenant_id JOIN apps ON apps.name = app
             WHERE server_id = $1 AND state IN ('serving', 'cutover') AND NOT EXISTS (
                 SELECT 1 FROM storage_samples
                 WHERE storage_samples.tenant_id = placements.tenant_id AND at = $2)
             ORDER BY database, tenant_id LIMIT $3"#,
            server.as_uuid(),
            hour,
            limit,
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(UnsampledTenant::try_from).collect()
    }

    /// Tenants on a server whose data took nearly as much as it may, or more, when it was last looked at, which was before a
    /// time; those of one database next to each other.
    pub async fn storage_near_limit(
        &self,
        server: ServerId,
        before: DateTime<Utc>,
        limit: i64,
    ) -> Result<Vec<UnsampledTenant>, RegistryError> {
        let rows = sqlx::query_as!(
            UnsampledRow,
            r#"SELECT placements.tenant_id, placements.tier, database, schema,
                 manifest ->> 'registration' IS NOT NULL AS "has_users!"
             FROM tenant_storage
             JOIN placements ON placements.tenant_id = tenant_storage.tenant_id
                 AND placements.state IN ('serving', 'cutover')
             JOIN tenants ON tenants.id = tenant_storage.tenant_id
             JOIN plans ON plans.name = plan
             JOIN apps ON apps.name = app
             WHERE server_id = $1 AND sampled_at < $2 AND bytes >= max_storage(tenants.limits, plans.limits) * 0.8
             ORDER BY database, placements.tenant_id LIMIT $3"#,
            server.as_uuid(),
            before,
            limit,
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(UnsampledTenant::try_from).collect()
    }

    /// Adds samples; one for each tenant and hour is kept, and the last of each tenant. Answers how many tenants there are
    /// samples of.
    pub async fn storage_add(
        &self,
        at: DateTime<Utc>,
        hour: DateTime<Utc>,
        samples: &[StorageSample],
    ) -> Result<u64, RegistryError> {
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let tenants: Vec<Uuid> = samples.iter().map(|sample| sample.tenant_id.as_uuid()).collect();
        let bytes: Vec<i64> = samples.iter().map(|sample| number(sample.bytes)).collect();
        let users: Vec<Option<i64>> = samples.iter().map(|sample| sample.users.map(number)).collect();
        let added = sqlx::query!(
            "WITH sample AS (
                 SELECT tenant_id, bytes, users
                 FROM unnest($3::uuid[], $4::bigint[], $5::bigint[]) AS sample (tenant_id, bytes, users)
                 WHERE EXISTS (SELECT 1 FROM tenants WHERE tenants.id = sample.tenant_id)
             ), hourly AS (
                 INSERT INTO storage_samples (tenant_id, at, bytes) SELECT tenant_id, $2, bytes FROM sample
                 ON CONFLICT DO NOTHING
             )
             INSERT INTO tenant_storage (tenant_id, bytes, users, sampled_at)
             SELECT tenant_id, bytes, users, $1 FROM sample ORDER BY tenant_id
             ON CONFLICT (tenant_id) DO UPDATE SET bytes = EXCLUDED.bytes, users = EXCLUDED.users, sampled_at = EXCLUDED.sampled_at
             WHERE tenant_storage.sampled_at <= EXCLUDED.sampled_at",
            at,
            hour,
            &tenants,
            &bytes,
            &users as &[Option<i64>],
        )
        .execute(&self.relaxed)
        .await?;
        Ok(added.rows_affected())
    }
}
