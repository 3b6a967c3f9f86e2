//! Table `operations`: starting, leasing, recording and ending them.
//!
//! The lease is the `attempts` number: it grows each time a worker takes an operation, and every
//! write of a worker is conditional on it ([`LeaseLost`] otherwise), so that a worker that lost its
//! lease can no longer write. Leases are measured by the registry's clock, the one that all share.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, postgres::types::PgInterval};
use tenantry_domain::{
    ids::{OperationId, TenantId},
    operation::{Operation, OperationKind, OperationState},
    tenant::{OperationRefused, TenantPhase, TenantStatus},
};
use uuid::Uuid;

use crate::{
    NewEvent, Page, Registry, RegistryError,
    error::{Stored, broken_constraint},
    jobs,
    operation_events::Columns,
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

/// Another worker has the operation, or it is over: stop writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the lease on the operation is lost")]
pub struct LeaseLost;

/// A worker's write failed.
#[derive(Debug, thiserror::Error)]
pub enum FencedError {
    /// Another worker has the operation.
    #[error(transparent)]
    LeaseLost(#[from] LeaseLost),
    /// The registry failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

/// The right to work on an operation, until it expires or another worker takes it.
#[derive(Debug, Clone)]
pub struct Lease {
    /// The operation as it was when it was taken.
    pub operation: Operation,
    /// How long a heartbeat or record extends the lease.
    pub duration: Duration,
}

impl Lease {
    pub(crate) fn fence(&self) -> i32 {
        i32::try_from(self.operation.attempts).unwrap_or(i32::MAX)
    }

    fn interval(&self) -> PgInterval {
        interval(self.duration)
    }
}

/// What a worker records of an operation's course.
#[derive(Debug, Clone)]
pub struct Record {
    /// Running its steps, or taking them back.
    pub undoing: bool,
    /// How many steps, from the first, are finished and not undone.
    pub steps_done: u16,
    /// The step that runs next.
    pub step: Option<&'static str>,
    /// Share that is done, 0 to 1.
    pub progress: f32,
    /// Before the point of no return.
    pub cancellable: bool,
    /// The last error, when a step failed.
    pub error: Option<String>,
    /// A step failed and is tried again.
    pub retried: bool,
    /// Lines of its story.
    pub events: Vec<NewEvent>,
}

/// How an operation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Done.
    Succeeded,
    /// Failed and undone.
    Failed {
        /// Why, for a person.
        error: String,
    },
    /// Cancelled and undone.
    Cancelled,
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

fn interval(duration: Duration) -> PgInterval {
    PgInterval { months: 0, days: 0, microseconds: i64::try_from(duration.as_micros()).unwrap_or(i64::MAX) }
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

struct OperationRow {
    id: Uuid,
    tenant_id: Uuid,
    kind: String,
    state: String,
    step: Option<String>,
    steps_done: i16,
    progress: f32,
    error: Option<String>,
    attempts: i32,
    retries: i32,
    cancel_requested: bool,
    input: Value,
    created_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
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
        tx: &mut PgConnection,
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
        tx: &mut PgConnection,
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

    /// Takes an operation that is due and that no worker has. `None`: nothing to do.
    pub async fn operation_lease(
        &self,
        id: OperationId,
        worker: &str,
        duration: Duration,
    ) -> Result<Option<Lease>, RegistryError> {
        let row = sqlx::query_as!(
            OperationRow,
            "UPDATE operations SET state = CASE state WHEN 'queued' THEN 'running' ELSE state END,
                 attempts = attempts + 1, lease_owner = $2, lease_expires_at = now() + $3,
                 started_at = coalesce(started_at, now())
             WHERE id = $1 AND state IN ('queued', 'running', 'undoing') AND run_after <= now()
                 AND (lease_expires_at IS NULL OR lease_expires_at <= now())
             RETURNING id, tenant_id, kind, state, step, steps_done, progress, error, attempts, retries,
                 cancel_requested, input, created_at, started_at, finished_at",
            id.as_uuid(),
            worker,
            interval(duration),
        )
        // Durable: the number is the fence, and must never be given twice.
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| Ok(Lease { operation: row.try_into()?, duration })).transpose()
    }

    /// Extends a lease; true if somebody asked to cancel.
    pub async fn operation_heartbeat(&self, lease: &Lease) -> Result<bool, FencedError> {
        sqlx::query_scalar!(
            "UPDATE operations SET lease_expires_at = now() + $3
             WHERE id = $1 AND attempts = $2 AND state IN ('running', 'undoing') RETURNING cancel_requested",
            lease.operation.id.as_uuid(),
            lease.fence(),
            lease.interval(),
        )
        .fetch_optional(&self.relaxed)
        .await
        .map_err(RegistryError::from)?
        .ok_or_else(|| LeaseLost.into())
    }

    /// Records an operation's course and extends the lease; true if somebody asked to cancel.
    /// Not durable, as a step whose record is lost in a crash of the registry is run again; but durable
    /// where it turns (undoing, or past the point of no return).
    pub async fn operation_record(&self, lease: &Lease, record: &Record) -> Result<bool, FencedError> {
        let events = Columns::of(&record.events);
        let turns = record.undoing || !record.cancellable;
        let cancel = sqlx::query_scalar!(
            r#"WITH operation AS (
                   UPDATE operations SET state = CASE WHEN $3 THEN 'undoing' ELSE 'running' END,
                       steps_done = $4, step = $5, progress = $6, cancellable = $7, error = coalesce($8, error),
                       retries = CASE WHEN steps_done = $4 THEN retries + $9 ELSE 0 END, lease_expires_at = now() + $10
                   WHERE id = $1 AND attempts = $2 AND state IN ('running', 'undoing')
                   RETURNING id, cancel_requested
               ), events AS (
                   INSERT INTO operation_events (operation_id, kind, step, progress, message, at)
                   SELECT id, event.kind, event.step, event.progress, event.message, clock_timestamp()
                   FROM operation, unnest($11::text[], $12::text[], $13::real[], $14::text[])
                       AS event (kind, step, progress, message)
               )
               SELECT cancel_requested FROM operation"#,
            lease.operation.id.as_uuid(),
            lease.fence(),
            record.undoing,
            record.steps_done.cast_signed(),
            record.step,
            record.progress,
            record.cancellable,
            record.error,
            i32::from(record.retried),
            lease.interval(),
            &events.kinds,
            &events.steps as &[Option<String>],
            &events.progress,
            &events.messages,
        )
        .fetch_optional(if turns { &self.pool } else { &self.relaxed })
        .await
        .map_err(RegistryError::from)?;
        cancel.ok_or_else(|| LeaseLost.into())
    }

    /// Gives an operation back, to be tried again after `delay`.
    pub async fn operation_release(&self, lease: &Lease, delay: Duration) -> Result<(), FencedError> {
        let done = sqlx::query!(
            "UPDATE operations SET state = CASE state WHEN 'running' THEN 'queued' ELSE state END,
                 lease_owner = NULL, lease_expires_at = NULL, run_after = now() + $3
             WHERE id = $1 AND attempts = $2 AND state IN ('running', 'undoing')",
            lease.operation.id.as_uuid(),
            lease.fence(),
            interval(delay),
        )
        .execute(&self.relaxed)
        .await
        .map_err(RegistryError::from)?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(LeaseLost.into()) }
    }

    /// Ends an operation, and with it sets the tenant's phase where that depends on the end. Durable.
    pub async fn operation_finish(
        &self,
        lease: &Lease,
        outcome: &Outcome,
        tenant: Option<TenantPhase>,
        events: &[NewEvent],
    ) -> Result<(), FencedError> {
        let (state, error) = match outcome {
            Outcome::Succeeded => (OperationState::Succeeded, None),
            Outcome::Failed { error } => (OperationState::Failed, Some(error.as_str())),
            Outcome::Cancelled => (OperationState::Cancelled, None),
        };
        let columns = Columns::of(events);
        let finished = sqlx::query_scalar!(
            r#"WITH operation AS (
                   UPDATE operations SET state = $3, error = $4, step = NULL, cancellable = false,
                       progress = CASE $3 WHEN 'succeeded' THEN 1 ELSE progress END,
                       lease_owner = NULL, lease_expires_at = NULL, finished_at = now()
                   WHERE id = $1 AND attempts = $2 AND state IN ('running', 'undoing')
                   RETURNING id, tenant_id
               ), tenant AS (
                   UPDATE tenants SET status = $5, purge_at = NULL, updated_at = now() FROM operation
                   WHERE tenants.id = operation.tenant_id AND $5::text IS NOT NULL
               ), events AS (
                   INSERT INTO operation_events (operation_id, kind, step, progress, message, at)
                   SELECT id, event.kind, event.step, event.progress, event.message, clock_timestamp()
                   FROM operation, unnest($6::text[], $7::text[], $8::real[], $9::text[])
                       AS event (kind, step, progress, message)
               )
               SELECT 1 AS "one!" FROM operation"#,
            lease.operation.id.as_uuid(),
            lease.fence(),
            state.as_str(),
            error,
            tenant.map(TenantPhase::as_str),
            &columns.kinds,
            &columns.steps as &[Option<String>],
            &columns.progress,
            &columns.messages,
        )
        .fetch_optional(&self.pool)
        .await
        .map_err(RegistryError::from)?;
        finished.map(|_| ()).ok_or_else(|| LeaseLost.into())
    }

    /// Queues a job for every operation that is due and has none that lives: its worker died, its
    /// next try has come, or its job got lost (nobody took it for `lost_after`). Answers which.
    pub async fn operation_requeue_stranded(
        &self,
        lost_after: Duration,
        limit: i64,
    ) -> Result<Vec<OperationId>, RegistryError> {
        let mut tx = self.begin().await?;
        let ids = sqlx::query_scalar!(
            "WITH stranded AS (
                 SELECT id FROM operations, LATERAL (
                     SELECT greatest(run_after, coalesce(lease_expires_at, run_after)) AS at) AS due
                 WHERE state IN ('queued', 'running', 'undoing') AND due.at <= now()
                     AND (enqueued_at < due.at OR enqueued_at < now() - $1::interval)
                 ORDER BY due.at LIMIT $2 FOR UPDATE OF operations SKIP LOCKED
             )
             UPDATE operations SET enqueued_at = now() FROM stranded WHERE operations.id = stranded.id
             RETURNING operations.id",
            interval(lost_after),
            limit,
        )
        .fetch_all(&mut *tx)
        .await?;
        let ids: Vec<OperationId> = ids.into_iter().map(OperationId::from_uuid).collect();
        if !ids.is_empty() {
            jobs::enqueue_in_tx(&mut tx, &ids).await?;
        }
        tx.commit().await?;
        Ok(ids)
    }

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

    /// Begins to serve a tenant: its latest placement serves, its status is active.
    pub async fn tenant_activate(&self, lease: &Lease) -> Result<(), FencedError> {
        let held = sqlx::query_scalar!(
            r#"WITH fence AS MATERIALIZED (SELECT tenant_id FROM operations WHERE id = $1 AND attempts = $2
                   AND state = 'running' FOR UPDATE),
                 placement AS (
                     UPDATE placements SET state = 'serving' FROM fence
                     WHERE placements.tenant_id = fence.tenant_id AND state <> 'serving' AND epoch = (
                         SELECT max(epoch) FROM placements AS latest WHERE latest.tenant_id = fence.tenant_id)),
                 tenant AS (
                     UPDATE tenants SET status = 'active', purge_at = NULL, updated_at = now() FROM fence
                     WHERE tenants.id = fence.tenant_id AND status <> 'active')
               SELECT count(*) AS "held!" FROM fence"#,
            lease.operation.id.as_uuid(),
            lease.fence(),
        )
        .fetch_one(&self.relaxed)
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
