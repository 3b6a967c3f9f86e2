//! Tenants that are moved off a server.

use tenantry_domain::{
    ids::{OperationId, ServerId, TenantId},
    operation::{OperationInput, OperationState, Subject},
    plan::Tier,
};
use uuid::Uuid;

use crate::{
    FencedError, Lease, LeaseLost, NewOperation, OperationStartError, Registry, RegistryError, error::Stored,
};

/// A move that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedMove {
    /// The operation.
    pub operation: OperationId,
    /// Its tenant.
    pub tenant: TenantId,
    /// Its slug.
    pub slug: String,
    /// How it ended.
    pub state: OperationState,
    /// Why it failed.
    pub error: Option<String>,
}

/// What a server holds, for one who moves tenants off it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TenantsOnServer {
    /// Tenants that are served from it, or would be.
    pub tenants: u32,
    /// Those of them that an operation is at work with.
    pub at_work: u32,
    /// Placements that tenants have left there.
    pub kept: u32,
}

impl Registry {
    /// Has the server take no new tenants.
    pub async fn server_drain(&self, lease: &Lease) -> Result<(), FencedError> {
        let held = sqlx::query_scalar!(
            r#"WITH fence AS MATERIALIZED (SELECT subject_id FROM operations WHERE id = $1 AND fence = $2
                   AND state IN ('running', 'undoing') FOR UPDATE),
                 draining AS (UPDATE servers SET state = 'draining' FROM fence
                   WHERE servers.id = fence.subject_id AND state NOT IN ('lost', 'hibernated'))
               SELECT count(*) AS "held!" FROM fence"#,
            lease.operation.id.as_uuid(),
            lease.fence(),
        )
        .fetch_one(&self.pool)
        .await
        .map_err(RegistryError::from)?;
        if held == 1 { Ok(()) } else { Err(LeaseLost.into()) }
    }

    /// What a server holds.
    pub async fn server_tenants(&self, server: ServerId) -> Result<TenantsOnServer, RegistryError> {
        let row = sqlx::query!(
            r#"SELECT count(*) AS "tenants!", count(*) FILTER (WHERE EXISTS (
                   SELECT FROM operations WHERE subject_kind = 'tenant' AND subject_id = placements.tenant_id
                       AND operations.state IN ('queued', 'running', 'waiting', 'undoing', 'stuck'))) AS "at_work!",
                   (SELECT count(*) FROM placements WHERE server_id = $1 AND state = 'fenced') AS "kept!"
               FROM placements WHERE server_id = $1 AND state IN ('serving', 'cutover')"#,
            server.as_uuid()
        )
        .fetch_one(&self.pool)
        .await?;
        let count = |count: i64| u32::try_from(count).unwrap_or(u32::MAX);
        Ok(TenantsOnServer {
            tenants: count(row.tenants),
            at_work: count(row.at_work),
            kept: count(row.kept),
        })
    }

    /// Which of some tenants are served from a server.
    pub async fn tenants_on(
        &self,
        server: ServerId,
        tenants: &[TenantId],
    ) -> Result<Vec<TenantId>, RegistryError> {
        let tenants: Vec<Uuid> = tenants.iter().map(|tenant| tenant.as_uuid()).collect();
        let there = sqlx::query_scalar!(
            "SELECT tenant_id FROM placements
             WHERE server_id = $1 AND tenant_id = ANY ($2) AND state IN ('serving', 'cutover')",
            server.as_uuid(),
            &tenants
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(there.into_iter().map(TenantId::from_uuid).collect())
    }

    /// How many tenants of each tier a server holds.
    pub async fn server_tiers(&self, server: ServerId) -> Result<Vec<(Tier, u32)>, RegistryError> {
        let rows = sqlx::query!(
            r#"SELECT tier, count(*) AS "tenants!" FROM placements
               WHERE server_id = $1 AND state IN ('serving', 'cutover') GROUP BY tier ORDER BY tier"#,
            server.as_uuid()
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok((
                    row.tier.parse().stored("placements.tier")?,
                    u32::try_from(row.tenants).unwrap_or(u32::MAX),
                ))
            })
            .collect()
    }

    /// Those of some operations that have ended.
    pub async fn moves_ended(&self, operations: &[OperationId]) -> Result<Vec<EndedMove>, RegistryError> {
        let ids: Vec<_> = operations.iter().map(|id| id.as_uuid()).collect();
        let rows = sqlx::query!(
            "SELECT id, subject_id, subject_name, state, error FROM operations
             WHERE id = ANY ($1) AND state IN ('succeeded', 'failed', 'cancelled', 'stuck')",
            &ids
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(EndedMove {
                    operation: OperationId::from_uuid(row.id),
                    tenant: TenantId::from_uuid(row.subject_id),
                    slug: row.subject_name,
                    state: row.state.parse().stored("operations.state")?,
                    error: row.error,
                })
            })
            .collect()
    }

    /// Starts moves of tenants that nobody is at work with, off the server of a lease, and stores the state that follows from
    /// those that were started. `new` makes an operation of a tenant, its slug and its tier; `follows` the state.
    pub async fn moves_start(
        &self,
        lease: &Lease,
        limit: u32,
        but: &[TenantId],
        mut new: impl FnMut(TenantId, String, Tier) -> NewOperation,
        follows: impl FnOnce(&[OperationId]) -> serde_json::Value,
    ) -> Result<(), FencedError> {
        let mut tx = self.begin().await?;
        let server = sqlx::query_scalar!(
            "SELECT subject_id FROM operations WHERE id = $1 AND fence = $2 AND state IN ('running', 'undoing')
             FOR UPDATE",
            lease.operation.id.as_uuid(),
            lease.fence(),
        )
        .fetch_optional(&mut *tx)
        .await
        .map_err(RegistryError::from)?
        .ok_or(LeaseLost)?;
        let but: Vec<_> = but.iter().map(|tenant| tenant.as_uuid()).collect();
        // Whoever starts an operation on a tenant locks its row first.
        let tenants = sqlx::query!(
            "SELECT tenants.id, slug, tier FROM tenants JOIN placements ON tenant_id = tenants.id
             WHERE server_id = $1 AND placements.state = 'serving' AND tenants.id <> ALL ($2) AND NOT EXISTS (
                 SELECT FROM operations WHERE subject_kind = 'tenant' AND subject_id = tenants.id
                     AND operations.state IN ('queued', 'running', 'waiting', 'undoing', 'stuck'))
             ORDER BY tenants.id LIMIT $3 FOR NO KEY UPDATE OF tenants SKIP LOCKED",
            server,
            &but,
            i64::from(limit),
        )
        .fetch_all(&mut *tx)
        .await
        .map_err(RegistryError::from)?;
        let mut started = Vec::new();
        for row in tenants {
            let tenant = TenantId::from_uuid(row.id);
            // Begun by somebody before the row was locked.
            let busy = sqlx::query_scalar!(
                r#"SELECT EXISTS (SELECT FROM operations WHERE subject_kind = 'tenant' AND subject_id = $1
                       AND state IN ('queued', 'running', 'waiting', 'undoing', 'stuck')) AS "busy!""#,
                row.id
            )
            .fetch_one(&mut *tx)
            .await
            .map_err(RegistryError::from)?;
            if busy {
                continue;
            }
            let tier = row.tier.parse().stored("placements.tier")?;
            let operation = new(tenant, row.slug, tier);
            let id = operation.id;
            debug_assert!(matches!(operation.input, OperationInput::Move { .. }), "moves only");
            debug_assert_eq!(operation.subject, Subject::Tenant(tenant), "its tenant");
            match Self::operation_start_in_tx(&mut tx, operation).await {
                Ok(_) => started.push(id),
                // Its status is one of those in which nothing can be moved; it goes by itself.
                Err(
                    OperationStartError::Refused(_)
                    | OperationStartError::Busy(_)
                    | OperationStartError::UnknownSubject(_),
                ) => {}
                Err(OperationStartError::Registry(error)) => return Err(error.into()),
            }
        }
        sqlx::query!(
            "UPDATE operations SET durable_state = $2 WHERE id = $1",
            lease.operation.id.as_uuid(),
            follows(&started),
        )
        .execute(&mut *tx)
        .await
        .map_err(RegistryError::from)?;
        tx.commit().await.map_err(RegistryError::from)?;
        Ok(())
    }
}
