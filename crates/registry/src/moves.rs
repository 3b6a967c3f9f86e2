//! Tables `operations` and `placements`, for moves: what is known from those that have ended, and holding writes.

use std::time::Duration;

use tenantry_domain::{ids::TenantId, operation::MoveState, placement::Epoch};

use crate::{FencedError, Lease, LeaseLost, Registry, RegistryError, error::Stored};

impl Registry {
    /// What the last move of a tenant that succeeded had written down, if that was within a time, by the registry's clock.
    pub async fn move_last(
        &self,
        tenant: TenantId,
        within: Duration,
    ) -> Result<Option<MoveState>, RegistryError> {
        let state = sqlx::query_scalar!(
            "SELECT durable_state FROM operations
             WHERE subject_kind = 'tenant' AND subject_id = $1 AND kind = 'move' AND state = 'succeeded'
                 AND finished_at > now() - make_interval(secs => $2)
             ORDER BY finished_at DESC LIMIT 1",
            tenant.as_uuid(),
            within.as_secs_f64(),
        )
        .fetch_optional(&self.pool)
        .await?;
        state.map(|state| serde_json::from_value(state).stored("operations.durable_state")).transpose()
    }

    /// Announces that a tenant's writes wait: the placement that serves is about to be left. Again it changes nothing.
    pub async fn placement_hold_writes(&self, lease: &Lease, epoch: Epoch) -> Result<(), FencedError> {
        let held = sqlx::query_scalar!(
            r#"WITH fence AS MATERIALIZED (
                   SELECT tenant_id FROM operations WHERE id = $1 AND fence = $2
                   AND state IN ('running', 'undoing') FOR UPDATE
               ), held AS (
                   UPDATE placements SET state = 'cutover' FROM fence
                   WHERE placements.tenant_id = fence.tenant_id AND epoch = $3 AND state = 'serving'
               )
               SELECT count(*) AS "held!" FROM fence"#,
            lease.operation.id.as_uuid(),
            lease.fence(),
            epoch.number(),
        )
        .fetch_one(&self.pool)
        .await
        .map_err(RegistryError::from)?;
        if held == 1 { Ok(()) } else { Err(LeaseLost.into()) }
    }

    /// Bytes per second of the last moves of tenants that were not small, from beginning to end; none: there was none.
    pub async fn move_speed(&self) -> Result<Option<f64>, RegistryError> {
        let speed = sqlx::query_scalar!(
            r#"SELECT sum(bytes) / nullif(sum(seconds), 0) FROM (
                   SELECT (durable_state->>'bytes')::float8 AS bytes,
                       extract(epoch FROM finished_at - started_at)::float8 AS seconds
                   FROM operations WHERE kind = 'move' AND state = 'succeeded'
                       AND (durable_state->>'bytes')::float8 > 1e8
                   ORDER BY finished_at DESC LIMIT 20) AS last"#
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(speed)
    }
}
