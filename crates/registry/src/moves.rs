//! Tables `operations` and `placements`, for moves: what is known from those that have ended, and holding writes.

use chrono::{DateTime, Utc};
use tenantry_domain::{ids::TenantId, operation::MoveState, placement::Epoch};

use crate::{FencedError, Lease, LeaseLost, Registry, RegistryError, error::Stored};

/// A move that can be undone.
#[derive(Debug, Clone, PartialEq)]
pub struct LastMove {
    /// What it had written down.
    pub state: MoveState,
    /// Until when it can be undone.
    pub until: DateTime<Utc>,
}

impl Registry {
    /// The last move of a tenant that succeeded, if the time in which it can be undone is not over, by the registry's clock.
    pub async fn move_last(&self, tenant: TenantId) -> Result<Option<LastMove>, RegistryError> {
        let last = sqlx::query!(
            r#"SELECT durable_state, until AS "until!" FROM (
                   SELECT durable_state, finished_at + make_interval(secs => (input->>'undo_window_seconds')::float8) AS until
                   FROM operations
                   WHERE subject_kind = 'tenant' AND subject_id = $1 AND kind = 'move' AND state = 'succeeded'
                   ORDER BY finished_at DESC LIMIT 1) AS last
               WHERE until > now()"#,
            tenant.as_uuid(),
        )
        .fetch_optional(&self.pool)
        .await?;
        last.map(|last| {
            let state = serde_json::from_value(last.durable_state).stored("operations.durable_state")?;
            Ok(LastMove { state, until: last.until })
        })
        .transpose()
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
