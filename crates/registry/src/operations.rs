//! Table `operations`, the API's side: starting, listing, retrying and cancelling them. What workers do
//! with them is in [`crate::operation_leases`].

use chrono::{DateTime, Utc};
use serde_json::Value;
use tenantry_domain::{
    ids::{OperationId, TenantId},
    operation::{Operation, OperationKind, OperationState},
    tenant::{OperationRefused, TenantPhase, TenantStatus},
};
use uuid::Uuid;

use crate::{
    Page, Registry, RegistryError,
    error::{Stored, broken_constraint},
    jobs,
    timed::TimedConnection,
};

/// An operation to start.
#[derive(Debug, Clone)]
pub struct NewOperation {
    /// Its id.
    pub id: OperationId,
    /// The tenant.
    pub tenant_id: TenantId,
    /// What it does.
    pub kind: OperationKind,
    /// What the caller gave.
    pub input: Value,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
}

impl NewOperation {
    pub(crate) fn provision(id: OperationId, tenant_id: TenantId, created_at: DateTime<Utc>) -> Self {
        Self {
            id,
            tenant_id,
            kind: OperationKind::Provision,
            input: Value::Object(serde_json::Map::new()),
            created_at,
        }
    }

    pub(crate) fn operation(self) -> Operation {
        Operation {
            id: self.id,
            tenant_id: self.tenant_id,
            kind: self.kind,
            state: OperationState::Queued,
            step: None,
            steps_done: 0,
            progress: 0.0,
            error: None,
            attempts: 0,
            retries: 0,
            cancel_requested: false,
            input: self.input,
            created_at: self.created_at,
            started_at: None,
            finished_at: None,
        }
    }
}

/// An operation cannot be started; nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum OperationStartError {
    /// There is no such tenant.
    #[error("there is no such tenant")]
    UnknownTenant,
    /// It does not apply to the tenant as it is.
    #[error(transparent)]
    Refused(#[from] OperationRefused),
    /// Another operation of the tenant is unfinished.
    #[error("operation {0} of this tenant is not finished")]
    Busy(OperationId),
    /// The registry failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

/// An operation cannot be tried again.
#[derive(Debug, thiserror::Error)]
pub enum RetryError {
    /// There is none with that id.
    #[error("there is no such operation")]
    NotFound,
    /// It has not failed.
    #[error("only a failed or cancelled operation is tried again; this one is {0}")]
    NotFailed(OperationState),
    /// As starting one.
    #[error(transparent)]
    Start(#[from] OperationStartError),
}

/// An operation cannot be cancelled.
#[derive(Debug, thiserror::Error)]
pub enum CancelError {
    /// There is none with that id.
    #[error("there is no such operation")]
    NotFound,
    /// It is over.
    #[error("the operation is {0}")]
    Finished(OperationState),
    /// It is past its point of no return.
    #[error("the operation is past its point of no return")]
    PastNoReturn,
    /// The registry failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}
/// Which operations to list.
#[derive(Debug, Clone, Default)]
pub struct OperationFilter {
    /// Of this tenant.
    pub tenant_id: Option<TenantId>,
    /// In this state.
    pub state: Option<OperationState>,
    /// Of this kind.
    pub kind: Option<OperationKind>,
}

/// Notes what undoing goes back to: the tenant's row itself changes with the first step.
fn stamp(input: &mut Value, status: TenantStatus) {
    if let Value::Object(input) = input {
        input.insert("from".into(), status.as_str().into());
        input.remove("fromPurgeAt");
        if let TenantStatus::Deactivated { purge_at } = status {
            input.insert("fromPurgeAt".into(), purge_at.to_rfc3339().into());
        }
    }
}

/// The input of an operation that begins anew: what it goes back to is the tenant as it is now, and a
/// time of purge is as far off as it was when the operation was first asked for.
fn restamp(operation: &mut Operation, status: TenantStatus, now: DateTime<Utc>) {
    stamp(&mut operation.input, status);
    if let Value::Object(input) = &mut operation.input {
        let purge_at =
            input.get("purgeAt").and_then(Value::as_str).and_then(|at| at.parse::<DateTime<Utc>>().ok());
        if let Some(purge_at) = purge_at {
            let retention = purge_at - operation.created_at;
            input.insert("purgeAt".into(), (now + retention).to_rfc3339().into());
        }
    }
}

pub(crate) struct OperationRow {
    pub(crate) id: Uuid,
    pub(crate) tenant_id: Uuid,
    pub(crate) kind: String,
    pub(crate) state: String,
    pub(crate) step: Option<String>,
    pub(crate) steps_done: i16,
    pub(crate) progress: f32,
    pub(crate) error: Option<String>,
    pub(crate) attempts: i32,
    pub(crate) retries: i32,
    pub(crate) cancel_requested: bool,
    pub(crate) input: Value,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) started_at: Option<DateTime<Utc>>,
    pub(crate) finished_at: Option<DateTime<Utc>>,
}

impl TryFrom<OperationRow> for Operation {
    type Error = RegistryError;

    fn try_from(row: OperationRow) -> Result<Self, RegistryError> {
        Ok(Self {
            id: OperationId::from_uuid(row.id),
            tenant_id: TenantId::from_uuid(row.tenant_id),
            kind: row.kind.parse().stored("operations.kind")?,
            state: row.state.parse().stored("operations.state")?,
            step: row.step,
            steps_done: u16::try_from(row.steps_done).stored("operations.steps_done")?,
            progress: row.progress,
            error: row.error,
            attempts: u32::try_from(row.attempts).stored("operations.attempts")?,
            retries: u32::try_from(row.retries).stored("operations.retries")?,
            cancel_requested: row.cancel_requested,
            input: row.input,
            created_at: row.created_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
        })
    }
}

impl Registry {
    /// One operation.
    pub async fn operation_get(&self, id: OperationId) -> Result<Option<Operation>, RegistryError> {
        let row = sqlx::query_as!(
            OperationRow,
            "SELECT id, tenant_id, kind, state, step, steps_done, progress, error, attempts, retries,
                 cancel_requested, input, created_at, started_at, finished_at FROM operations WHERE id = $1",
            id.as_uuid()
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(Operation::try_from).transpose()
    }

    /// Operations, newest first.
    pub async fn operation_list(
        &self,
        filter: &OperationFilter,
        page: Page,
    ) -> Result<Vec<Operation>, RegistryError> {
        let rows = sqlx::query_as!(
            OperationRow,
            "SELECT id, tenant_id, kind, state, step, steps_done, progress, error, attempts, retries,
                 cancel_requested, input, created_at, started_at, finished_at FROM operations
             WHERE ($1::uuid IS NULL OR id < $1) AND ($2::uuid IS NULL OR tenant_id = $2)
                 AND ($3::text IS NULL OR state = $3) AND ($4::text IS NULL OR kind = $4)
             ORDER BY id DESC LIMIT $5",
            page.after,
            filter.tenant_id.map(TenantId::as_uuid),
            filter.state.map(OperationState::as_str),
            filter.kind.map(OperationKind::as_str),
            page.sql_limit(),
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(Operation::try_from).collect()
    }

    /// Starts an operation on a tenant: row, event and job in one transaction.
    pub async fn operation_start(&self, new: NewOperation) -> Result<Operation, OperationStartError> {
        let mut tx = self.begin().await?;
        let started = Self::operation_start_in_tx(&mut tx, new.clone()).await;
        if let Err(OperationStartError::Registry(RegistryError::Database(error))) = &started
            && broken_constraint(error) == Some("operations_one_unfinished")
        {
            drop(tx);
            return Err(self.busy_with(new.tenant_id).await?);
        }
        let operation = started?;
        tx.commit().await.map_err(RegistryError::from)?;
        Ok(operation)
    }

    async fn operation_start_in_tx(
        tx: &mut TimedConnection,
        new: NewOperation,
    ) -> Result<Operation, OperationStartError> {
        let status = Self::tenant_status_for_update(tx, new.tenant_id).await?;
        status.admit(new.kind)?;
        let mut operation = new.operation();
        stamp(&mut operation.input, status);
        sqlx::query!(
            "WITH operation AS (
                 INSERT INTO operations (id, tenant_id, kind, state, input, run_after, created_at)
                 VALUES ($1, $2, $3, 'queued', $4, now(), $5)
             )
             INSERT INTO operation_events (operation_id, kind, progress, message, at)
             VALUES ($1, 'queued', 0, 'waiting for a worker', $5)",
            operation.id.as_uuid(),
            operation.tenant_id.as_uuid(),
            operation.kind.as_str(),
            operation.input,
            operation.created_at,
        )
        .execute(&mut *tx)
        .await
        .map_err(RegistryError::from)?;
        jobs::enqueue_in_tx(tx, &[operation.id]).await?;
        Ok(operation)
    }

    async fn tenant_status_for_update(
        tx: &mut TimedConnection,
        id: TenantId,
    ) -> Result<TenantStatus, OperationStartError> {
        let row = sqlx::query!("SELECT status, purge_at FROM tenants WHERE id = $1 FOR UPDATE", id.as_uuid())
            .fetch_optional(tx)
            .await
            .map_err(RegistryError::from)?
            .ok_or(OperationStartError::UnknownTenant)?;
        let phase: TenantPhase = row.status.parse().stored("tenants.status")?;
        Ok(phase.with(row.purge_at).stored("tenants.purge_at")?)
    }

    async fn busy_with(&self, tenant: TenantId) -> Result<OperationStartError, RegistryError> {
        let id = sqlx::query_scalar!(
            "SELECT id FROM operations WHERE tenant_id = $1
             ORDER BY state IN ('queued', 'running', 'undoing') DESC, id DESC LIMIT 1",
            tenant.as_uuid()
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(OperationStartError::Busy(OperationId::from_uuid(id)))
    }

    /// Queues a failed or cancelled operation again, from its first step.
    pub async fn operation_retry(
        &self,
        id: OperationId,
        now: DateTime<Utc>,
    ) -> Result<Operation, RetryError> {
        let mut operation =
            self.operation_get(id).await.map_err(OperationStartError::from)?.ok_or(RetryError::NotFound)?;
        if !matches!(operation.state, OperationState::Failed | OperationState::Cancelled) {
            return Err(RetryError::NotFailed(operation.state));
        }
        let mut tx = self.begin().await.map_err(OperationStartError::from)?;
        let status = Self::tenant_status_for_update(&mut tx, operation.tenant_id).await?;
        status.admit(operation.kind).map_err(OperationStartError::from)?;
        restamp(&mut operation, status, now);
        let queued = sqlx::query!(
            "WITH operation AS (
                 UPDATE operations SET state = 'queued', step = NULL, steps_done = 0, progress = 0, error = NULL,
                     retries = 0, cancellable = true, cancel_requested = false, input = $3, lease_owner = NULL,
                     lease_expires_at = NULL, run_after = now(), enqueued_at = now(), finished_at = NULL
                 WHERE id = $1 AND state IN ('failed', 'cancelled') RETURNING id, tenant_id, kind
             ), tenant AS (
                 UPDATE tenants SET status = 'provisioning', updated_at = $2 FROM operation
                 WHERE tenants.id = operation.tenant_id AND operation.kind = 'provision'
             )
             INSERT INTO operation_events (operation_id, kind, progress, message, at)
             SELECT id, 'queued', 0, 'to be tried again', $2 FROM operation",
            id.as_uuid(),
            now,
            operation.input,
        )
        .execute(&mut *tx)
        .await;
        match queued {
            Ok(done) if done.rows_affected() == 1 => {}
            Ok(_) => return Err(RetryError::NotFailed(OperationState::Queued)),
            Err(error) if broken_constraint(&error) == Some("operations_one_unfinished") => {
                drop(tx);
                return Err(self
                    .busy_with(operation.tenant_id)
                    .await
                    .map_err(OperationStartError::from)?
                    .into());
            }
            Err(error) => return Err(OperationStartError::Registry(error.into()).into()),
        }
        jobs::enqueue_in_tx(&mut tx, &[id]).await.map_err(OperationStartError::from)?;
        tx.commit().await.map_err(|error| OperationStartError::Registry(error.into()))?;
        operation.state = OperationState::Queued;
        operation.step = None;
        operation.steps_done = 0;
        operation.progress = 0.0;
        operation.error = None;
        operation.retries = 0;
        operation.cancel_requested = false;
        operation.finished_at = None;
        Ok(operation)
    }

    /// Asks the worker to stop an operation and undo it; it does so before its next step.
    pub async fn operation_cancel(&self, id: OperationId) -> Result<Operation, CancelError> {
        let mut tx = self.begin().await?;
        let asked = sqlx::query!(
            "UPDATE operations SET cancel_requested = true, enqueued_at = now(), run_after = now()
             WHERE id = $1 AND cancellable AND state IN ('queued', 'running', 'undoing')",
            id.as_uuid()
        )
        .execute(&mut *tx)
        .await
        .map_err(RegistryError::from)?;
        if asked.rows_affected() == 1 {
            // A fresh job, for the case that it waits for the time of its next try.
            jobs::enqueue_in_tx(&mut tx, &[id]).await?;
        }
        tx.commit().await.map_err(RegistryError::from)?;
        let operation = self.operation_get(id).await?.ok_or(CancelError::NotFound)?;
        match operation.state {
            _ if asked.rows_affected() == 1 => Ok(operation),
            state if state.is_finished() => Err(CancelError::Finished(state)),
            _ => Err(CancelError::PastNoReturn),
        }
    }
}
