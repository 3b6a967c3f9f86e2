//! Table `tenants`, the workers' side: a tenant's status, as the steps of an operation set it. All
//! under the operation's fence, see [`crate::Lease`].

use tenantry_domain::tenant::TenantStatus;

use crate::{FencedError, Lease, LeaseLost, Registry, RegistryError};

impl Registry {
    /// Sets a tenant's status from within an operation. Durable: what a step does to the tenant's
    /// data next must never find the status of before.
    pub async fn tenant_set_status(&self, lease: &Lease, status: TenantStatus) -> Result<(), FencedError> {
        let purge_at =
            if let TenantStatus::Deactivated { purge_at } = status { Some(purge_at) } else { None };
        let held = sqlx::query_scalar!(
            r#"WITH fence AS MATERIALIZED (SELECT tenant_id FROM operations WHERE id = $1 AND attempts = $2
                   AND state IN ('running', 'undoing') FOR UPDATE),
                 tenant AS (
                     UPDATE tenants SET status = $3, purge_at = $4, updated_at = now() FROM fence
                     WHERE tenants.id = fence.tenant_id AND (status, purge_at) IS DISTINCT FROM ($3, $4))
               SELECT count(*) AS "held!" FROM fence"#,
            lease.operation.id.as_uuid(),
            lease.fence(),
            status.as_str(),
            purge_at,
        )
        .fetch_one(&self.pool)
        .await
        .map_err(RegistryError::from)?;
        if held == 1 { Ok(()) } else { Err(LeaseLost.into()) }
    }

    /// Forgets what a purged tenant had (placements, keys, domains, labels); its record stays, its slug is free.
    pub async fn tenant_forget(&self, lease: &Lease) -> Result<(), FencedError> {
        let held = sqlx::query_scalar!(
            r#"WITH fence AS MATERIALIZED (SELECT tenant_id FROM operations WHERE id = $1 AND attempts = $2
                   AND state IN ('running', 'undoing') FOR UPDATE),
                 placement AS (DELETE FROM placements USING fence WHERE placements.tenant_id = fence.tenant_id),
                 keys AS (DELETE FROM api_keys USING fence WHERE api_keys.tenant_id = fence.tenant_id),
                 domain AS (DELETE FROM domains USING fence WHERE domains.tenant_id = fence.tenant_id),
                 label AS (DELETE FROM tenant_labels USING fence WHERE tenant_labels.tenant_id = fence.tenant_id),
                 tenant AS (
                     UPDATE tenants SET status = 'purged', purge_at = NULL, updated_at = now(),
                         -- Run again, there are no placements any more.
                         retired_logins = retired_logins || ARRAY(
                             SELECT login FROM placements WHERE placements.tenant_id = tenants.id)
                     FROM fence WHERE tenants.id = fence.tenant_id)
               SELECT count(*) AS "held!" FROM fence"#,
            lease.operation.id.as_uuid(),
            lease.fence(),
        )
        .fetch_one(&self.relaxed)
        .await
        .map_err(RegistryError::from)?;
        if held == 1 { Ok(()) } else { Err(LeaseLost.into()) }
    }
}
