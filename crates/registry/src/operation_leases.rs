//! Table `operations`, the workers' side: taking operations, recording their course, ending them.
//!
//! The lease is the `attempts` number: it grows each time a worker takes an operation, and every
//! write of a worker is conditional on it ([`LeaseLost`] otherwise), so that a worker that lost its
//! lease can no longer write. Leases are measured by the registry's clock, the one that all share.

use std::time::Duration;

use sqlx::postgres::types::PgInterval;
use tenantry_domain::{
    app::AppVersion,
    ids::OperationId,
    operation::{Operation, OperationState},
    tenant::TenantPhase,
};

use crate::{NewEvent, Registry, RegistryError, jobs, operation_events::Columns, operations::OperationRow};

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
    /// The version that the tenant's tables have, if a step has brought them to one.
    pub schema_version: Option<AppVersion>,
    /// Lines of its story.
    pub events: Vec<NewEvent>,
}

/// The end of an operation.
#[derive(Debug, Clone)]
pub struct Ending {
    /// How it ended.
    pub outcome: Outcome,
    /// The tenant's phase where that depends on the end. One that becomes active is served from its
    /// latest placement.
    pub tenant: Option<TenantPhase>,
    /// The version that the tenant's tables have, if a step has brought them to one.
    pub schema_version: Option<AppVersion>,
    /// The last lines of its story.
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

fn interval(duration: Duration) -> PgInterval {
    PgInterval { months: 0, days: 0, microseconds: i64::try_from(duration.as_micros()).unwrap_or(i64::MAX) }
}

impl Registry {
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
                       retries = CASE WHEN steps_done = $4 THEN retries ELSE 0 END + $9, lease_expires_at = now() + $10
                   WHERE id = $1 AND attempts = $2 AND state IN ('running', 'undoing')
                   RETURNING id, tenant_id, cancel_requested
               ), events AS (
                   INSERT INTO operation_events (operation_id, kind, step, progress, message, at)
                   SELECT id, event.kind, event.step, event.progress, event.message, clock_timestamp()
                   FROM operation, unnest($11::text[], $12::text[], $13::real[], $14::text[])
                       AS event (kind, step, progress, message)
               ), placement AS (
                   UPDATE placements SET schema_version = $15 FROM operation
                   WHERE $15::bigint IS NOT NULL AND placements.tenant_id = operation.tenant_id AND epoch = (
                       SELECT max(epoch) FROM placements AS latest WHERE latest.tenant_id = operation.tenant_id)
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
            record.schema_version.map(AppVersion::number),
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

    /// Ends an operation, and in the same transaction does what comes with its end. Durable.
    ///
    /// False, and nothing is written, if it went well but somebody asked to cancel it before its point of
    /// no return.
    pub async fn operation_finish(&self, lease: &Lease, ending: &Ending) -> Result<bool, FencedError> {
        let (state, error) = match &ending.outcome {
            Outcome::Succeeded => (OperationState::Succeeded, None),
            Outcome::Failed { error } => (OperationState::Failed, Some(error.as_str())),
            Outcome::Cancelled => (OperationState::Cancelled, None),
        };
        let columns = Columns::of(&ending.events);
        let finished = sqlx::query_scalar!(
            r#"WITH held AS MATERIALIZED (
                   SELECT id, NOT ($3 = 'succeeded' AND cancellable AND cancel_requested) AS ends FROM operations
                   WHERE id = $1 AND attempts = $2 AND state IN ('running', 'undoing') FOR UPDATE
               ), operation AS (
                   UPDATE operations SET state = $3, error = $4, step = NULL, cancellable = false,
                       progress = CASE $3 WHEN 'succeeded' THEN 1 ELSE progress END,
                       lease_owner = NULL, lease_expires_at = NULL, finished_at = now()
                   FROM held WHERE operations.id = held.id AND held.ends
                   RETURNING operations.id, tenant_id
               ), tenant AS (
                   UPDATE tenants SET status = $5, purge_at = NULL, updated_at = now() FROM operation
                   WHERE tenants.id = operation.tenant_id AND $5::text IS NOT NULL
               ), placement AS (
                   UPDATE placements SET state = CASE $5 WHEN 'active' THEN 'serving' ELSE placements.state END,
                       schema_version = coalesce($10, schema_version)
                   FROM operation
                   WHERE ($5 = 'active' AND placements.state <> 'serving' OR $10::bigint IS NOT NULL)
                       AND placements.tenant_id = operation.tenant_id AND epoch = (
                           SELECT max(epoch) FROM placements AS latest
                           WHERE latest.tenant_id = operation.tenant_id)
               ), events AS (
                   INSERT INTO operation_events (operation_id, kind, step, progress, message, at)
                   SELECT id, event.kind, event.step, event.progress, event.message, clock_timestamp()
                   FROM operation, unnest($6::text[], $7::text[], $8::real[], $9::text[])
                       AS event (kind, step, progress, message)
               )
               SELECT ends AS "ends!" FROM held"#,
            lease.operation.id.as_uuid(),
            lease.fence(),
            state.as_str(),
            error,
            ending.tenant.map(TenantPhase::as_str),
            &columns.kinds,
            &columns.steps as &[Option<String>],
            &columns.progress,
            &columns.messages,
            ending.schema_version.map(AppVersion::number),
        )
        .fetch_optional(&self.pool)
        .await
        .map_err(RegistryError::from)?;
        finished.ok_or_else(|| LeaseLost.into())
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
}
