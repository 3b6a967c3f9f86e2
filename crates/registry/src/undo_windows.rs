//! Table `undo_windows`: placements that tenants have left and that are kept up to date, so that they can go back.

use std::time::Duration;

use tenantry_domain::{
    ids::{OperationId, TenantId},
    placement::Epoch,
};
use uuid::Uuid;

use crate::{FencedError, Lease, LeaseLost, Registry, RegistryError};

/// A placement that is kept up to date after a move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndoWindow {
    /// Whose.
    pub tenant: TenantId,
    /// The move.
    pub operation: OperationId,
    /// The placement that the tenant has left.
    pub kept: Epoch,
    /// The one that serves.
    pub serving: Epoch,
    /// The replication slot there.
    pub slot: String,
    /// Its time is over.
    pub over: bool,
    /// The kept placement is being dropped.
    pub closing: bool,
}

/// What changes are kept by that this registry knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownReplication {
    /// Of the tenant, or of the move.
    pub id: u128,
    /// Nobody needs them any more.
    pub abandoned: bool,
}

struct Row {
    tenant_id: Uuid,
    operation_id: Uuid,
    kept_epoch: i32,
    serving_epoch: i32,
    slot: String,
    over: bool,
    closing: bool,
}

impl From<Row> for UndoWindow {
    fn from(row: Row) -> Self {
        Self {
            tenant: TenantId::from_uuid(row.tenant_id),
            operation: OperationId::from_uuid(row.operation_id),
            kept: Epoch::from_stored(row.kept_epoch),
            serving: Epoch::from_stored(row.serving_epoch),
            slot: row.slot,
            over: row.over,
            closing: row.closing,
        }
    }
}

impl Registry {
    /// Opens the undo window of a move, for some time from now on; on a server that is to be empty for none. Again it changes
    /// nothing.
    pub async fn undo_window_open(
        &self,
        lease: &Lease,
        kept: Epoch,
        serving: Epoch,
        slot: &str,
        length: Duration,
    ) -> Result<(), FencedError> {
        let held = sqlx::query_scalar!(
            r#"WITH fence AS MATERIALIZED (
                   SELECT id, tenant_id FROM operations WHERE id = $1 AND fence = $2
                   AND state IN ('running', 'undoing') FOR UPDATE
               ), opened AS (
                   INSERT INTO undo_windows (tenant_id, operation_id, kept_epoch, serving_epoch, slot, closes_at)
                   SELECT tenant_id, id, $3, $4, $5, now() + CASE WHEN EXISTS (
                       SELECT FROM placements JOIN servers ON servers.id = server_id
                       WHERE placements.tenant_id = fence.tenant_id AND epoch = $3 AND servers.state = 'draining')
                       THEN interval '0' ELSE make_interval(secs => $6) END FROM fence
                   ON CONFLICT DO NOTHING
               )
               SELECT count(*) AS "held!" FROM fence"#,
            lease.operation.id.as_uuid(),
            lease.fence(),
            kept.number(),
            serving.number(),
            slot,
            length.as_secs_f64(),
        )
        .fetch_one(&self.pool)
        .await
        .map_err(RegistryError::from)?;
        if held == 1 { Ok(()) } else { Err(LeaseLost.into()) }
    }

    /// The undo window of a tenant's last move, if it has one.
    pub async fn undo_window_get(&self, tenant: TenantId) -> Result<Option<UndoWindow>, RegistryError> {
        let row = sqlx::query_as!(
            Row,
            r#"SELECT tenant_id, operation_id, kept_epoch, serving_epoch, slot, closes_at <= now() AS "over!", closing
               FROM undo_windows WHERE tenant_id = $1"#,
            tenant.as_uuid(),
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(Into::into))
    }

    /// All undo windows.
    pub async fn undo_window_list(&self) -> Result<Vec<UndoWindow>, RegistryError> {
        let rows = sqlx::query_as!(
            Row,
            r#"SELECT tenant_id, operation_id, kept_epoch, serving_epoch, slot, closes_at <= now() AS "over!", closing
               FROM undo_windows ORDER BY closes_at"#,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(Into::into).collect())
    }

    /// Ends the time of those whose kept placement is on the server of a lease: nothing is to be left there.
    pub async fn undo_window_end_on(&self, lease: &Lease) -> Result<(), RegistryError> {
        sqlx::query!(
            "UPDATE undo_windows SET closes_at = now() FROM placements, operations
             WHERE operations.id = $1 AND fence = $2 AND operations.state IN ('running', 'undoing')
                 AND placements.tenant_id = undo_windows.tenant_id AND epoch = kept_epoch AND server_id = subject_id
                 AND closes_at > now()",
            lease.operation.id.as_uuid(),
            lease.fence(),
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Nobody follows it or goes back by it any more; whoever holds the lease drops what was kept.
    pub async fn undo_window_set_closing(
        &self,
        lease: &Lease,
        window: &UndoWindow,
    ) -> Result<(), FencedError> {
        let held = sqlx::query_scalar!(
            r#"WITH fence AS MATERIALIZED (
                   SELECT id, tenant_id FROM operations WHERE id = $1 AND fence = $2
                   AND state IN ('running', 'undoing') FOR UPDATE
               ), closing AS (
                   UPDATE undo_windows SET closing = true FROM fence
                   WHERE undo_windows.tenant_id = fence.tenant_id AND operation_id = $3
               )
               SELECT count(*) AS "held!" FROM fence"#,
            lease.operation.id.as_uuid(),
            lease.fence(),
            window.operation.as_uuid(),
        )
        .fetch_one(&self.pool)
        .await
        .map_err(RegistryError::from)?;
        if held == 1 { Ok(()) } else { Err(LeaseLost.into()) }
    }

    /// Takes a window for the move that goes back by it, and notes what that move knows with it. The kept placement gets the
    /// tenant's next epoch, by which whoever heard nothing knows that it is newer; it is noted as `to`, and answered.
    /// None: the window is closed, or about to be.
    pub async fn undo_window_take(
        &self,
        lease: &Lease,
        window: &UndoWindow,
        durable_state: &serde_json::Value,
    ) -> Result<Option<Epoch>, FencedError> {
        let row = sqlx::query!(
            r#"WITH fence AS MATERIALIZED (
                   SELECT id, tenant_id FROM operations WHERE id = $1 AND fence = $2
                   AND state IN ('running', 'undoing') FOR UPDATE
               ), taken AS (
                   DELETE FROM undo_windows USING fence
                   WHERE undo_windows.tenant_id = fence.tenant_id AND operation_id = $3 AND NOT closing
                       AND closes_at > now()
                   RETURNING undo_windows.tenant_id, kept_epoch
               ), tenant AS (
                   UPDATE tenants SET last_epoch = last_epoch + 1 FROM taken WHERE tenants.id = taken.tenant_id
                   RETURNING tenants.id, last_epoch
               ), kept AS (
                   UPDATE placements SET epoch = last_epoch FROM tenant, taken
                   WHERE placements.tenant_id = tenant.id AND epoch = kept_epoch RETURNING epoch
               ), noted AS (
                   UPDATE operations SET durable_state = $4 || jsonb_build_object('to', kept.epoch)
                   FROM kept WHERE operations.id = $1
               )
               SELECT (SELECT count(*) FROM fence) AS "held!", (SELECT epoch FROM kept) AS epoch"#,
            lease.operation.id.as_uuid(),
            lease.fence(),
            window.operation.as_uuid(),
            durable_state,
        )
        .fetch_one(&self.pool)
        .await
        .map_err(RegistryError::from)?;
        if row.held == 1 { Ok(row.epoch.map(Epoch::from_stored)) } else { Err(LeaseLost.into()) }
    }

    /// Begins to close a window, so that nobody goes back by it any more; answers the fencing token for that. None: an
    /// operation is at work on the tenant, or there is no such window. Operations that begin later have higher tokens. `why` it
    /// ends before its time is noted with its move.
    pub async fn undo_window_close(
        &self,
        window: &UndoWindow,
        why: Option<&str>,
    ) -> Result<Option<i64>, RegistryError> {
        let mut tx = self.begin().await?;
        Self::tenant_lock_in_tx(&mut tx, window.tenant).await?;
        let token = sqlx::query_scalar!(
            r#"UPDATE undo_windows SET closing = true
               WHERE tenant_id = $1 AND operation_id = $2 AND NOT EXISTS (
                   SELECT FROM operations WHERE subject_kind = 'tenant' AND subject_id = $1 AND finished_at IS NULL)
               RETURNING greatest((extract(epoch FROM clock_timestamp()) * 1000000)::bigint, (
                   SELECT max(fence) + 1 FROM operations WHERE subject_kind = 'tenant' AND subject_id = $1)) AS "token!""#,
            window.tenant.as_uuid(),
            window.operation.as_uuid(),
        )
        .fetch_optional(&mut *tx)
        .await?;
        if let Some(token) = token {
            // Later leases are higher, whatever the clock says then.
            sqlx::query!(
                "UPDATE operations SET fence = $2,
                     durable_state = durable_state || jsonb_strip_nulls(jsonb_build_object('no_undo_window', $3::text))
                 WHERE id = $1",
                window.operation.as_uuid(),
                token,
                why,
            )
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await?;
        Ok(token)
    }

    /// Forgets a window and the placement that was kept: nothing of it is left on its server.
    pub async fn undo_window_closed(&self, window: &UndoWindow) -> Result<(), RegistryError> {
        sqlx::query!(
            "WITH closed AS (
                 DELETE FROM undo_windows WHERE tenant_id = $1 AND operation_id = $2 RETURNING kept_epoch
             )
             DELETE FROM placements USING closed WHERE tenant_id = $1 AND epoch = kept_epoch AND state = 'fenced'",
            window.tenant.as_uuid(),
            window.operation.as_uuid(),
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Those of the ids that changes are kept by (of tenants, and of moves for their undo windows) that this registry knows.
    pub async fn replication_known(&self, ids: &[u128]) -> Result<Vec<KnownReplication>, RegistryError> {
        let ids: Vec<Uuid> = ids.iter().map(|id| Uuid::from_u128(*id)).collect();
        let known = sqlx::query!(
            r#"SELECT asked.id AS "id!", NOT EXISTS (SELECT FROM operations WHERE subject_kind = 'tenant'
                       AND subject_id = tenants.id AND finished_at IS NULL)
                   AND NOT EXISTS (SELECT FROM undo_windows WHERE operation_id = asked.id) AS "abandoned!"
               FROM unnest($1::uuid[]) AS asked (id) LEFT JOIN operations AS of_move ON of_move.id = asked.id
               JOIN tenants ON tenants.id = coalesce(of_move.subject_id, asked.id)"#,
            &ids,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(known
            .into_iter()
            .map(|row| KnownReplication { id: row.id.as_u128(), abandoned: row.abandoned })
            .collect())
    }
}
