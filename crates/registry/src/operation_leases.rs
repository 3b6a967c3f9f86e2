//! Table `operations`, the workers' side: taking operations, recording their course, ending them.
//!
//! A lease carries a fencing token that grows with every lease on the subject. Every write of a worker is
//! conditional on it ([`LeaseLost`] otherwise), here and on tenant servers, so that a worker that lost its
//! lease can no longer write. Leases are measured by the registry's clock, the one that all share.
//!
//! Who changes both a tenant and an operation locks the tenant first, here and where operations are started: one
//! that starts waits, with the tenant locked, for one that ends.

use std::time::Duration;

use serde_json::Value;
use sqlx::postgres::types::PgInterval;
use tenantry_domain::{
    app::AppVersion,
    ids::{OperationId, ServerId},
    operation::{Lane, Operation, OperationKind, OperationState},
    placement::{Epoch, PlacementState, PlacementTransition},
    plan::PlanName,
    tenant::TenantPhase,
};

use crate::{
    NewEvent, Registry, RegistryError,
    error::Stored,
    jobs,
    operation_events::Columns,
    operation_rows::{OperationRow, readable},
};

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
    /// The fencing token.
    pub fn fence(&self) -> i64 {
        self.operation.fence
    }

    fn interval(&self) -> PgInterval {
        interval(self.duration)
    }
}

/// Where an operation goes with a [`Record`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transition {
    /// Its worker goes on, running steps or undoing them.
    Running,
    /// It is given back, to be taken up after a time.
    Queued(Duration),
    /// It waits for something outside, and is looked at again after a time, or when the server is back.
    Waiting(Duration, Option<ServerId>),
    /// It can go on only with a person's help.
    Stuck,
    /// Done. Not accepted if somebody asked to cancel before its point of no return.
    Succeeded,
    /// Failed and undone.
    Failed,
    /// Cancelled and undone.
    Cancelled,
}

impl Transition {
    fn state(&self, undoing: bool) -> OperationState {
        match self {
            Self::Running if undoing => OperationState::Undoing,
            Self::Running => OperationState::Running,
            Self::Queued(_) => OperationState::Queued,
            Self::Waiting(..) => OperationState::Waiting,
            Self::Stuck => OperationState::Stuck,
            Self::Succeeded => OperationState::Succeeded,
            Self::Failed => OperationState::Failed,
            Self::Cancelled => OperationState::Cancelled,
        }
    }
}

/// A tenant's next status. Retention is counted by the registry's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusChange {
    /// One without data.
    To(TenantPhase),
    /// Deleted, to be purged after some days.
    DeactivatedForDays(u16),
    /// Deleted, as it was before: to be purged at that time.
    DeactivatedUntil(chrono::DateTime<chrono::Utc>),
}

/// What changes with a [`Record`], in its transaction. Nothing by default.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Changes {
    /// The tenant's status.
    pub status: Option<StatusChange>,
    /// The tenant's plan.
    pub plan: Option<PlanName>,
    /// Placements of the tenant, each once. One that stops serving does so before another one begins.
    pub placements: Vec<PlacementChange>,
    /// What steps have written down for later ones.
    pub durable_state: Option<Value>,
}

impl Changes {
    /// Adds what changes on a placement; what the change does not say stays as it was said before.
    pub fn change_placement(&mut self, change: PlacementChange) {
        match self.placements.iter_mut().find(|known| known.epoch == change.epoch) {
            Some(known) => {
                known.transition = change.transition.or(known.transition);
                known.schema_version = change.schema_version.or(known.schema_version);
                known.has_users |= change.has_users;
            }
            None => self.placements.push(change),
        }
    }
}

/// What changes on a placement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlacementChange {
    /// Which.
    pub epoch: Epoch,
    /// Its change of state.
    pub transition: Option<PlacementTransition>,
    /// The version that its tables have now.
    pub schema_version: Option<AppVersion>,
    /// It has the tables of users, too. What is not said stays as it was.
    pub has_users: bool,
}

/// What a worker records of an operation's course.
#[derive(Debug, Clone)]
pub struct Record<'a> {
    /// Where it goes.
    pub transition: Transition,
    /// Whether it undoes its steps.
    pub undoing: bool,
    /// The names of its steps, where they differ from those that are stored.
    pub steps: Option<&'a [&'static str]>,
    /// How many of them, from the first, are finished and not undone.
    pub steps_done: u16,
    /// The step that runs next.
    pub step: Option<&'static str>,
    /// Share that is done, 0 to 1.
    pub progress: f32,
    /// Before the point of no return.
    pub cancellable: bool,
    /// The last error, when something failed.
    pub error: Option<String>,
    /// What it does now, or waits for.
    pub message: Option<String>,
    /// A step failed and is tried again.
    pub retried: bool,
    /// What changes with it.
    pub changes: Changes,
    /// Lines of its story.
    pub events: Vec<NewEvent>,
}

impl Record<'_> {
    /// Whether a crash of the registry must not lose it: what is done on a server next must never be
    /// forgotten, where an operation turns least of all. A lost record of a step is a step that runs again.
    fn is_durable(&self) -> bool {
        let turns = self.undoing || !self.cancellable;
        turns
            || self.changes != Changes::default()
            || !matches!(self.transition, Transition::Running | Transition::Queued(_))
    }
}

/// What a record found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recorded {
    /// Somebody asked to cancel.
    pub cancel_requested: bool,
    /// False, and nothing is written, for a success that somebody asked to cancel before its point of no return.
    pub accepted: bool,
}

pub(crate) fn interval(duration: Duration) -> PgInterval {
    PgInterval { months: 0, days: 0, microseconds: i64::try_from(duration.as_micros()).unwrap_or(i64::MAX) }
}

impl Registry {
    /// Takes an operation that is due and that no worker has, if it is of one of these kinds: others are left
    /// to a worker that knows them. `None`: nothing to do, or a rollout is at the tenant.
    ///
    /// One whose last `silent_limit` leases ended without a word (its worker died in it each time, or could
    /// not read it) is stuck from then on.
    pub async fn operation_lease(
        &self,
        id: OperationId,
        worker: &str,
        duration: Duration,
        kinds: &[OperationKind],
        silent_limit: u16,
    ) -> Result<Option<Lease>, RegistryError> {
        let kinds: Vec<String> = kinds.iter().map(ToString::to_string).collect();
        // The token is the registry's clock, or more where an earlier token of the subject is not less: so it
        // grows also after the registry was restored from a backup, and a lease that a crash of the registry
        // loses is not given out again. The commit need not wait for the disk.
        let row = sqlx::query_as!(
            OperationRow,
            r#"WITH leased AS (
                   UPDATE operations AS operation SET
                       state = CASE WHEN silent_ends >= $4 THEN 'stuck' WHEN undoing THEN 'undoing' ELSE 'running' END,
                       error = CASE WHEN silent_ends >= $4 THEN
                           format('its worker ended %s times in a row in step %s: %s', silent_ends, coalesce(step, '1'),
                               coalesce(message, 'it did not say why, see the workers'' logs')) ELSE error END,
                       attempts = attempts + 1, silent_ends = silent_ends + 1, waiting_for = NULL,
                       fence = greatest((extract(epoch FROM clock_timestamp()) * 1000000)::bigint, fence + 1, (
                           SELECT max(other.fence) + 1 FROM operations AS other
                           WHERE other.subject_kind = operation.subject_kind
                               AND other.subject_id = operation.subject_id),
                           (SELECT max(batch) + 1 FROM rollout_tenants WHERE tenant_id = operation.tenant_id)),
                       lease_owner = $2, lease_expires_at = CASE WHEN silent_ends >= $4 THEN NULL ELSE now() + $3 END,
                       started_at = coalesce(started_at, now())
                   WHERE id = $1 AND state IN ('queued', 'running', 'waiting', 'undoing') AND run_after <= now()
                       AND kind = ANY ($5) AND (lease_expires_at IS NULL OR lease_expires_at <= now())
                       AND NOT EXISTS (SELECT FROM rollout_tenants
                           WHERE tenant_id = operation.tenant_id AND rollout_tenants.state = 'migrating'
                               -- What takes a tenant away need not wait until it is read how far it came.
                               AND (session IS DISTINCT FROM 0 OR kind NOT IN ('suspend', 'deactivate', 'purge'))
                               AND NOT (cancel_requested AND started_at IS NULL))
                   RETURNING *
               ), told AS (
                   INSERT INTO operation_events (operation_id, kind, step, progress, message, at)
                   SELECT id, 'stuck', step, progress, error, now() FROM leased WHERE state = 'stuck'
               )
               SELECT id AS "id!", subject_kind AS "subject_kind!", subject_id AS "subject_id!",
                   subject_name AS "subject_name!", kind AS "kind!", input AS "input!", state AS "state!",
                   undoing AS "undoing!", step, steps AS "steps!", steps_done AS "steps_done!",
                   durable_state AS "durable_state!", progress AS "progress!", message, error, attempts AS "attempts!",
                   fence AS "fence!", retries AS "retries!", cancel_requested AS "cancel_requested!",
                   created_at AS "created_at!", started_at, finished_at
               FROM leased WHERE state <> 'stuck'"#,
            id.as_uuid(),
            worker,
            interval(duration),
            i16::try_from(silent_limit).unwrap_or(i16::MAX),
            &kinds,
        )
        .fetch_optional(&self.relaxed)
        .await?;
        let Some(row) = row else {
            self.operation_put_off(id).await?;
            return Ok(None);
        };
        let (fence, stored) = (row.fence, Operation::try_from(row));
        match stored.and_then(readable) {
            Ok(operation) => Ok(Some(Lease { operation, duration })),
            Err(error) => {
                self.operation_give_back(id, fence, &error.to_string(), duration).await?;
                Err(error)
            }
        }
    }

    /// Has an operation tried again soon whose tenant is being migrated by a rollout.
    async fn operation_put_off(&self, id: OperationId) -> Result<(), RegistryError> {
        sqlx::query!(
            "UPDATE operations SET run_after = now() + interval '100 milliseconds', message = 'waits for the rollout that is at it'
             WHERE id = $1 AND state IN ('queued', 'waiting') AND run_after <= now()
                 AND EXISTS (SELECT FROM rollout_tenants
                     WHERE tenant_id = operations.tenant_id AND rollout_tenants.state = 'migrating'
                         AND (session IS DISTINCT FROM 0 OR kind NOT IN ('suspend', 'deactivate', 'purge'))
                         AND NOT (cancel_requested AND started_at IS NULL))",
            id.as_uuid()
        )
        .execute(&self.relaxed)
        .await?;
        Ok(())
    }

    /// Gives a leased operation back that could not be begun, to be tried again after a time. It is stuck when that
    /// has happened too often in a row.
    pub async fn operation_give_back(
        &self,
        id: OperationId,
        fence: i64,
        why: &str,
        after: Duration,
    ) -> Result<(), RegistryError> {
        self.give_back(id, fence, why, after, None).await.map(drop)
    }

    /// Leaves a leased operation to a worker that knows its steps. Nothing else of it changes: this worker knows
    /// neither what its steps are called nor which of them can be undone. Stuck, if it was left again and again
    /// for `limit`: no worker knows them. Answers whether it is.
    pub async fn operation_leave(
        &self,
        lease: &Lease,
        why: &str,
        after: Duration,
        limit: Duration,
    ) -> Result<bool, FencedError> {
        let left = self.give_back(lease.operation.id, lease.fence(), why, after, Some(limit)).await?;
        left.ok_or(LeaseLost.into())
    }

    /// `left`: it counts as left, and is stuck after that long, and not as an end without a word. Answers whether it
    /// is stuck; none: the lease is lost.
    async fn give_back(
        &self,
        id: OperationId,
        fence: i64,
        why: &str,
        after: Duration,
        left: Option<Duration>,
    ) -> Result<Option<bool>, RegistryError> {
        let stuck = sqlx::query_scalar!(
            r#"WITH back AS (
                   UPDATE operations SET
                       state = CASE WHEN left_since <= now() - $5::interval THEN 'stuck' ELSE 'queued' END,
                       error = CASE WHEN left_since <= now() - $5::interval THEN $3 ELSE error END,
                       lease_owner = NULL, lease_expires_at = NULL, message = $3, run_after = now() + $4,
                       left_since = CASE WHEN $5::interval IS NULL THEN left_since ELSE coalesce(left_since, now()) END,
                       silent_ends = CASE WHEN $5::interval IS NULL THEN silent_ends
                           ELSE greatest(silent_ends - 1, 0) END
                   WHERE id = $1 AND fence = $2 AND state IN ('running', 'undoing')
                   RETURNING id, state, step, progress
               ), told AS (
                   INSERT INTO operation_events (operation_id, kind, step, progress, message, at)
                   SELECT id, 'stuck', step, progress, $3, now() FROM back WHERE state = 'stuck'
               )
               SELECT state = 'stuck' AS "stuck!" FROM back"#,
            id.as_uuid(),
            fence,
            why,
            interval(after),
            left.map(interval),
        )
        .fetch_optional(&self.relaxed)
        .await?;
        Ok(stuck)
    }

    /// Extends a lease; true if somebody asked to cancel. A message, with its progress, replaces the one before.
    pub async fn operation_heartbeat(
        &self,
        lease: &Lease,
        message: Option<(f32, &str)>,
    ) -> Result<bool, FencedError> {
        let (progress, message) = message.unzip();
        sqlx::query_scalar!(
            "WITH held AS (
                 UPDATE operations SET lease_expires_at = now() + $3, message = coalesce($4, message),
                     progress = coalesce($5, progress)
                 WHERE id = $1 AND fence = $2 AND state IN ('running', 'undoing') RETURNING id, cancel_requested
             ), told AS MATERIALIZED (
                 SELECT pg_notify('tenantry_operations', id || ' progress') FROM held WHERE $4::text IS NOT NULL
             )
             SELECT cancel_requested FROM held LEFT JOIN told ON true",
            lease.operation.id.as_uuid(),
            lease.fence(),
            lease.interval(),
            message,
            progress,
        )
        .fetch_optional(&self.relaxed)
        .await
        .map_err(RegistryError::from)?
        .ok_or_else(|| LeaseLost.into())
    }

    /// Records an operation's course and what changes with it, in one transaction; extends the lease while it
    /// goes on. Nothing is recorded if a placement is not what it changes from: somebody else changed it, and the step is
    /// to be run again on what is there. But for [`Registry::placement_hold_writes`] the one way in which a worker changes
    /// a tenant's status or a placement's state.
    pub async fn operation_record(
        &self,
        lease: &Lease,
        record: &Record<'_>,
    ) -> Result<Recorded, FencedError> {
        let events = Columns::of(&record.events);
        let state = record.transition.state(record.undoing);
        let (delay, server) = match record.transition {
            Transition::Queued(delay) => (delay, None),
            Transition::Waiting(delay, server) => (delay, server),
            _ => (Duration::ZERO, None),
        };
        let (status, retention, purge_at) = match record.changes.status {
            None => (None, None, None),
            Some(StatusChange::To(phase)) => (Some(phase.as_str()), None, None),
            Some(StatusChange::DeactivatedForDays(days)) => {
                (Some("deactivated"), Some(i32::from(days)), None)
            }
            Some(StatusChange::DeactivatedUntil(at)) => (Some("deactivated"), None, Some(at)),
        };
        let placements = &record.changes.placements;
        let epochs: Vec<i32> = placements.iter().map(|change| change.epoch.number()).collect();
        let ends = |end: fn(PlacementTransition) -> PlacementState| -> Vec<Option<String>> {
            placements.iter().map(|change| change.transition.map(|made| end(made).to_string())).collect()
        };
        let (from_states, to_states) = (ends(PlacementTransition::from), ends(PlacementTransition::to));
        let versions: Vec<Option<i64>> =
            placements.iter().map(|change| change.schema_version.map(AppVersion::number)).collect();
        let have_users: Vec<bool> = placements.iter().map(|change| change.has_users).collect();
        let steps: Option<Vec<String>> =
            record.steps.map(|steps| steps.iter().map(|step| (*step).to_owned()).collect());
        let pool = if record.is_durable() { &self.pool } else { &self.relaxed };
        let recorded = sqlx::query!(
            r#"WITH tenant_first AS MATERIALIZED (
                   SELECT FROM tenants WHERE ($17::text IS NOT NULL OR $28::text IS NOT NULL)
                       AND id = (SELECT tenant_id FROM operations WHERE id = $1) FOR NO KEY UPDATE
               ), misplaced AS MATERIALIZED (
                   SELECT FROM unnest($20::integer[], $21::text[], $22::text[]) AS change (epoch, from_state, state)
                       LEFT JOIN placements ON placements.epoch = change.epoch
                           AND placements.tenant_id = (SELECT tenant_id FROM operations WHERE id = $1)
                   -- Recorded before, and the answer was lost.
                   WHERE change.state IS NOT NULL AND (placements.state IS NULL
                       OR placements.state NOT IN (change.from_state, change.state))
               ), held AS MATERIALIZED (
                   SELECT id, cancel_requested, NOT (cancellable AND cancel_requested AND (
                       $3 = 'succeeded' OR (NOT $9 AND $3 IN ('queued', 'running', 'waiting')))) AS accepted
                   FROM operations WHERE id = $1 AND fence = $2 AND state IN ('running', 'undoing')
                       AND (SELECT count(*) FROM tenant_first) >= 0 AND NOT EXISTS (SELECT FROM misplaced) FOR UPDATE
               ), operation AS (
                   UPDATE operations SET state = $3, undoing = $4, steps = coalesce($5, steps), steps_done = $6,
                       step = $7, progress = $8, cancellable = $9, message = $11,
                       error = CASE WHEN $3 IN ('succeeded', 'cancelled') THEN NULL ELSE coalesce($10, error) END,
                       retries = CASE WHEN steps_done = $6 THEN retries ELSE 0 END + $12,
                       silent_ends = CASE WHEN $3 IN ('running', 'undoing') AND steps_done = $6 AND $12 = 0
                           AND undoing = $4 THEN silent_ends ELSE 0 END,
                       durable_state = coalesce($13, durable_state), waiting_for = $14, left_since = NULL,
                       -- Somebody who asked to cancel does not wait for the next look.
                       run_after = now() + CASE WHEN $3 = 'waiting' AND $9 AND held.cancel_requested
                           THEN interval '0'
                       -- The server came back before this was written.
                       WHEN $3 = 'waiting' AND EXISTS (
                           SELECT FROM servers WHERE servers.id = $14 AND unreachable_since IS NULL)
                           THEN least($15, interval '1 second') ELSE $15 END,
                       lease_owner = CASE WHEN $3 IN ('running', 'undoing') THEN lease_owner END,
                       lease_expires_at = CASE WHEN $3 IN ('running', 'undoing') THEN now() + $16 END,
                       finished_at = CASE WHEN $3 IN ('succeeded', 'failed', 'cancelled') THEN now() END
                   FROM held WHERE operations.id = held.id AND held.accepted
                   RETURNING operations.id, tenant_id
               ), tenant AS (
                   UPDATE tenants SET status = coalesce($17, status), plan = coalesce($28, plan), updated_at = now(),
                       -- Back to what it still is: a time that was moved meanwhile stays.
                       purge_at = CASE WHEN $17::text IS NULL OR (status = 'deactivated' AND $18::timestamptz IS NOT NULL)
                           THEN purge_at ELSE coalesce($18, now() + make_interval(days => $19)) END
                   FROM operation
                   WHERE tenants.id = operation.tenant_id
                       AND (status <> $17 OR $17 = 'deactivated' OR plan <> $28)
               ), change AS (
                   SELECT operation.tenant_id, change.*
                   FROM operation, unnest($20::integer[], $21::text[], $22::text[], $23::bigint[], $29::boolean[])
                       AS change (epoch, from_state, state, schema_version, has_users)
               ), closed AS (
                   UPDATE placements SET state = coalesce(change.state, placements.state),
                       schema_version = coalesce(change.schema_version, placements.schema_version),
                       has_users = placements.has_users OR change.has_users
                   FROM change WHERE placements.tenant_id = change.tenant_id AND placements.epoch = change.epoch
                       AND change.state IS DISTINCT FROM 'serving'
                       AND (change.state IS NULL OR placements.state = change.from_state)
                   RETURNING 1
               ), opened AS (
                   UPDATE placements SET state = change.state,
                       schema_version = coalesce(change.schema_version, placements.schema_version),
                       has_users = placements.has_users OR change.has_users
                   FROM change WHERE placements.tenant_id = change.tenant_id AND placements.epoch = change.epoch
                       AND change.state = 'serving' AND placements.state = change.from_state
                       AND (SELECT count(*) FROM closed) >= 0
               ), warm AS (
                   DELETE FROM warm_tenants USING operation
                   WHERE operation_id = operation.id AND $3 IN ('succeeded', 'failed', 'cancelled')
               ), events AS (
                   INSERT INTO operation_events (operation_id, kind, step, progress, message, at)
                   SELECT id, event.kind, event.step, event.progress, event.message, clock_timestamp()
                   FROM operation, unnest($24::text[], $25::text[], $26::real[], $27::text[])
                       AS event (kind, step, progress, message)
               )
               SELECT cancel_requested, accepted AS "accepted!" FROM held"#,
            lease.operation.id.as_uuid(),
            lease.fence(),
            state.as_str(),
            record.undoing,
            steps.as_deref(),
            record.steps_done.cast_signed(),
            record.step,
            record.progress,
            record.cancellable,
            record.error,
            record.message,
            i32::from(record.retried),
            record.changes.durable_state,
            server.map(ServerId::as_uuid),
            interval(delay),
            lease.interval(),
            status,
            purge_at,
            retention,
            &epochs,
            &from_states as &[Option<String>],
            &to_states as &[Option<String>],
            &versions as &[Option<i64>],
            &events.kinds,
            &events.steps as &[Option<String>],
            &events.progress,
            &events.messages,
            record.changes.plan.as_ref().map(PlanName::as_str),
            &have_users,
        )
        .fetch_optional(pool)
        .await
        .map_err(RegistryError::from)?
        .ok_or(LeaseLost)?;
        Ok(Recorded { cancel_requested: recorded.cancel_requested, accepted: recorded.accepted })
    }

    /// The lanes in which an operation is due, whether a job for it lives or not.
    pub async fn operation_lanes_due(&self) -> Result<Vec<Lane>, RegistryError> {
        let lanes = sqlx::query_scalar!(
            "SELECT DISTINCT lane FROM operations
             WHERE state IN ('queued', 'running', 'waiting', 'undoing') AND run_after <= now()
                 AND (lease_expires_at IS NULL OR lease_expires_at <= now())"
        )
        .fetch_all(&self.relaxed)
        .await?;
        lanes.iter().map(|lane| lane.parse()).collect::<Result<_, _>>().stored("operations.lane")
    }

    /// Queues a job for an operation that has waited and is due. Answers whether: somebody else may have done so, or have
    /// it at work.
    pub async fn operation_requeue(&self, id: OperationId) -> Result<bool, RegistryError> {
        let mut tx = self.begin().await?;
        let lane = sqlx::query_scalar!(
            "UPDATE operations SET enqueued_at = now()
             WHERE id = $1 AND state = 'waiting' AND run_after <= now() AND enqueued_at < run_after
                 AND NOT EXISTS (SELECT FROM servers WHERE id = waiting_for AND unreachable_since IS NOT NULL)
             RETURNING lane",
            id.as_uuid(),
        )
        .fetch_optional(&mut *tx)
        .await?;
        let Some(lane) = lane else { return Ok(false) };
        jobs::enqueue_in_tx(&mut tx, lane.parse().stored("operations.lane")?, &[id]).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Queues a job for every operation that is due and has none that lives: its worker died, its next try
    /// has come, or its job got lost. A job counts as lost when nobody took it for `lost_after` although the
    /// lane has no older one waiting, give or take as much again: jobs carry the time of whoever queued them, whose
    /// clock may be ahead of the registry's. Answers which.
    pub async fn operation_requeue_stranded(
        &self,
        lane: Lane,
        lost_after: Duration,
        limit: i64,
    ) -> Result<Vec<OperationId>, RegistryError> {
        // apalis' own table, which the queries that are checked at compile time do not know. Its times are
        // whole seconds.
        let oldest = sqlx::query_scalar::<_, Option<chrono::DateTime<chrono::Utc>>>(
            "SELECT min(run_at) FROM apalis.jobs WHERE job_type = $1 AND status = 'Pending'",
        )
        .bind(jobs::queue_of(lane))
        .fetch_one(&self.relaxed)
        .await?;
        let mut tx = self.begin().await?;
        let ids = sqlx::query_scalar!(
            "WITH stranded AS (
                 SELECT id FROM operations, LATERAL (
                     SELECT greatest(run_after, coalesce(lease_expires_at, run_after)) AS at) AS due
                 WHERE state IN ('queued', 'running', 'waiting', 'undoing') AND lane = $4 AND due.at <= now()
                     -- What waits for a server that is away is due when that is back.
                     AND NOT EXISTS (SELECT FROM servers WHERE id = waiting_for AND unreachable_since IS NOT NULL)
                     AND (enqueued_at < due.at OR (enqueued_at < now() - $1::interval
                         AND enqueued_at < coalesce($3::timestamptz - $1::interval, now())))
                 ORDER BY due.at LIMIT $2 FOR UPDATE OF operations SKIP LOCKED
             )
             UPDATE operations SET enqueued_at = now() FROM stranded WHERE operations.id = stranded.id
             RETURNING operations.id",
            interval(lost_after),
            limit,
            oldest,
            lane.as_str(),
        )
        .fetch_all(&mut *tx)
        .await?;
        let ids: Vec<OperationId> = ids.into_iter().map(OperationId::from_uuid).collect();
        if !ids.is_empty() {
            jobs::enqueue_in_tx(&mut tx, lane, &ids).await?;
        }
        tx.commit().await?;
        Ok(ids)
    }
}
