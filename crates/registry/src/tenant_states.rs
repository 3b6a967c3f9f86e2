//! Table `tenants`, the workers' side: what a purge leaves of a tenant. Its status changes with the records of
//! an operation, see [`crate::Record`].

use tenantry_domain::{ids::TenantId, tenant::TenantStatus};

use crate::{FencedError, Lease, LeaseLost, Registry, RegistryError, TimedConnection};

/// Rows of the audit log that are removed at once.
const AUDIT_ROWS: i64 = 50_000;

impl Registry {
    /// Whether a tenant that was deleted is to be purged now, by the registry's clock.
    pub async fn tenant_purge_is_due(&self, tenant: TenantId) -> Result<bool, RegistryError> {
        let due = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM tenants WHERE id = $1 AND (status = 'purging'
                   OR (status = 'deactivated' AND purge_at <= now()))) AS "due!""#,
            tenant.as_uuid()
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(due)
    }

    /// Forgets what a purged tenant had (placements, keys, domains, labels, its audit log); its record stays, its slug is free.
    /// Durable: who takes the slug next must not find the placement again.
    pub async fn tenant_forget(&self, lease: &Lease) -> Result<(), FencedError> {
        let mut tx = self.begin().await?;
        if let Some(tenant) = lease.operation.subject.tenant() {
            Self::tenant_lock_in_tx(&mut tx, tenant).await?;
        }
        let held = sqlx::query_scalar!(
            "SELECT tenant_id FROM operations WHERE id = $1 AND fence = $2 AND state IN ('running', 'undoing')
             FOR UPDATE",
            lease.operation.id.as_uuid(),
            lease.fence(),
        )
        .fetch_optional(&mut *tx)
        .await
        .map_err(RegistryError::from)?;
        let tenant = held.flatten().map(TenantId::from_uuid).ok_or(LeaseLost)?;
        Self::tenant_forget_in_tx(&mut tx, tenant).await?;
        tx.commit().await.map_err(RegistryError::from)?;
        Ok(())
    }

    /// Removes some rows of the audit log of a tenant that is being purged; whether none is left. [`Registry::tenant_forget`] does
    /// the rest, in one transaction.
    pub async fn tenant_purge_audit(&self, tenant: TenantId) -> Result<bool, RegistryError> {
        let is_over =
            sqlx::query_scalar!(r#"SELECT purge_audit($1, $2) AS "is_over!""#, tenant.as_uuid(), AUDIT_ROWS)
                .fetch_one(&self.housekeeping)
                .await?;
        Ok(is_over)
    }

    /// Locks a tenant's row, which comes before that of its operation.
    pub(crate) async fn tenant_lock_in_tx(
        tx: &mut TimedConnection,
        tenant: TenantId,
    ) -> Result<(), RegistryError> {
        sqlx::query!("SELECT FROM tenants WHERE id = $1 FOR NO KEY UPDATE", tenant.as_uuid())
            .execute(tx)
            .await?;
        Ok(())
    }

    /// Gives a tenant a status that it had before.
    pub(crate) async fn tenant_status_set_in_tx(
        tx: &mut TimedConnection,
        tenant: TenantId,
        status: TenantStatus,
    ) -> Result<(), RegistryError> {
        let purge_at = match status {
            TenantStatus::Deactivated { purge_at } => Some(purge_at),
            _ => None,
        };
        sqlx::query!(
            "UPDATE tenants SET status = $2, purge_at = $3, updated_at = now() WHERE id = $1",
            tenant.as_uuid(),
            status.phase().as_str(),
            purge_at,
        )
        .execute(tx)
        .await?;
        Ok(())
    }

    /// As [`Registry::tenant_forget`], on the caller's transaction. Run again it changes nothing.
    pub(crate) async fn tenant_forget_in_tx(
        tx: &mut TimedConnection,
        tenant: TenantId,
    ) -> Result<(), RegistryError> {
        Self::placements_forget_in_tx(tx, tenant, "purged").await?;
        sqlx::query!(
            "WITH keys AS (DELETE FROM api_keys WHERE tenant_id = $1),
                 signing AS (DELETE FROM signing_keys WHERE tenant_id = $1),
                 config AS (DELETE FROM tenant_config WHERE tenant_id = $1),
                 domain AS (DELETE FROM domains WHERE tenant_id = $1)
             DELETE FROM tenant_labels WHERE tenant_id = $1",
            tenant.as_uuid(),
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!("SELECT purge_audit($1, $2)", tenant.as_uuid(), i64::MAX).fetch_one(tx).await?;
        Ok(())
    }
}
