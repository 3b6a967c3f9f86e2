//! Table `operations`, the API's side: starting and listing them. What people do with one that is there is
//! in [`crate::operation_control`], what workers do in [`crate::operation_leases`].

use chrono::{DateTime, Utc};
use tenantry_domain::{
    ids::{OperationId, TenantId},
    operation::{Operation, OperationInput, OperationKind, OperationState, Subject},
    tenant::{OperationRefused, TenantPhase, TenantStatus},
};

use crate::{
    Page, Registry, RegistryError,
    error::{Stored, broken_constraint, to_json},
    jobs,
    operation_rows::OperationRow,
    timed::TimedConnection,
};

/// An operation to start.
#[derive(Debug, Clone)]
pub struct NewOperation {
    /// Its id.
    pub id: OperationId,
    /// What it works on.
    pub subject: Subject,
    /// The subject's name for people: a slug or a server's name.
    pub subject_name: String,
    /// What it is to do.
    pub input: OperationInput,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
}

impl NewOperation {
    pub(crate) fn operation(self) -> Operation {
        Operation {
            id: self.id,
            subject: self.subject,
            subject_name: self.subject_name,
            input: self.input,
            state: OperationState::Queued,
            undoing: false,
            step: None,
            steps: Vec::new(),
            steps_done: 0,
            durable_state: serde_json::json!({}),
            progress: 0.0,
            message: None,
            error: None,
            attempts: 0,
            fence: 0,
            retries: 0,
            cancel_requested: false,
            created_at: self.created_at,
            started_at: None,
            finished_at: None,
        }
    }
}

/// An operation cannot be started; nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum OperationStartError {
    /// There is no such tenant or server.
    #[error("there is no such {0}")]
    UnknownSubject(&'static str),
    /// It does not apply to the tenant as it is.
    #[error(transparent)]
    Refused(#[from] OperationRefused),
    /// Another operation on the subject is unfinished.
    #[error("operation {0} on it is not finished")]
    Busy(OperationId),
    /// The registry failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

/// How many unfinished operations a lane has in a state.
#[derive(Debug, Clone, PartialEq)]
pub struct LaneDepth {
    /// The lane's name.
    pub lane: String,
    /// The state's name.
    pub state: String,
    /// How many.
    pub count: i64,
    /// How long the oldest waits that is due and that no worker has.
    pub oldest_due_seconds: Option<f64>,
}

/// Which operations to list.
#[derive(Debug, Clone, Default)]
pub struct OperationFilter {
    /// On this subject.
    pub subject: Option<Subject>,
    /// In this state.
    pub state: Option<OperationState>,
    /// Of this kind.
    pub kind: Option<OperationKind>,
}

impl Registry {
    /// One operation.
    pub async fn operation_get(&self, id: OperationId) -> Result<Option<Operation>, RegistryError> {
        let row = sqlx::query_as!(
            OperationRow,
            "SELECT id, subject_kind, subject_id, subject_name, kind, input, state, undoing, step, steps, steps_done,
                 durable_state, progress, message, error, attempts, fence, retries, cancel_requested,
                 created_at, started_at, finished_at
             FROM operations WHERE id = $1",
            id.as_uuid()
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(Operation::try_from).transpose()
    }

    /// The unfinished operation on a subject; there is one at most. A stuck one is not finished.
    pub async fn operation_unfinished(&self, subject: Subject) -> Result<Option<Operation>, RegistryError> {
        let row = sqlx::query_as!(
            OperationRow,
            "SELECT id, subject_kind, subject_id, subject_name, kind, input, state, undoing, step, steps, steps_done,
                 durable_state, progress, message, error, attempts, fence, retries, cancel_requested,
                 created_at, started_at, finished_at
             FROM operations
             WHERE subject_kind = $1 AND subject_id = $2
                 AND state IN ('queued', 'running', 'waiting', 'undoing', 'stuck')",
            subject.kind().as_str(),
            subject.as_uuid()
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(Operation::try_from).transpose()
    }

    /// The last operation on a subject.
    pub async fn operation_last(&self, subject: Subject) -> Result<Option<Operation>, RegistryError> {
        let filter = OperationFilter { subject: Some(subject), ..OperationFilter::default() };
        Ok(self.operation_list(&filter, Page { after: None, limit: 1 }).await?.pop())
    }

    /// Operations, newest first.
    pub async fn operation_list(
        &self,
        filter: &OperationFilter,
        page: Page,
    ) -> Result<Vec<Operation>, RegistryError> {
        let rows = sqlx::query_as!(
            OperationRow,
            "SELECT id, subject_kind, subject_id, subject_name, kind, input, state, undoing, step, steps, steps_done,
                 durable_state, progress, message, error, attempts, fence, retries, cancel_requested,
                 created_at, started_at, finished_at
             FROM operations
             WHERE ($1::uuid IS NULL OR id < $1)
                 AND ($2::text IS NULL OR (subject_kind = $2 AND subject_id = $3))
                 AND ($4::text IS NULL OR state = $4) AND ($5::text IS NULL OR kind = $5)
             ORDER BY id DESC LIMIT $6",
            page.after,
            filter.subject.map(|subject| subject.kind().as_str()),
            filter.subject.map(Subject::as_uuid),
            filter.state.map(OperationState::as_str),
            filter.kind.map(OperationKind::as_str),
            page.sql_limit(),
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(Operation::try_from).collect()
    }

    /// Starts an operation: row, event and job in one transaction.
    pub async fn operation_start(&self, new: NewOperation) -> Result<Operation, OperationStartError> {
        let mut tx = self.begin().await?;
        let subject = new.subject;
        let started = Self::operation_start_in_tx(&mut tx, new).await;
        if let Err(OperationStartError::Registry(RegistryError::Database(error))) = &started
            && broken_constraint(error) == Some("operations_one_unfinished")
        {
            drop(tx);
            return Err(self.busy_with(subject).await?);
        }
        let operation = started?;
        tx.commit().await.map_err(RegistryError::from)?;
        Ok(operation)
    }

    /// As [`Registry::operation_start`], on the caller's transaction.
    pub async fn operation_start_in_tx(
        tx: &mut TimedConnection,
        mut new: NewOperation,
    ) -> Result<Operation, OperationStartError> {
        if let Subject::Tenant(tenant) = new.subject {
            let status = Self::tenant_status_for_update(tx, tenant).await?;
            status.admit(new.input.kind())?;
            new.input = new.input.asked_when(status);
        }
        let operation = new.operation();
        sqlx::query!(
            "WITH operation AS (
                 INSERT INTO operations (id, subject_kind, subject_id, subject_name, kind, lane, state, input, run_after,
                     created_at)
                 VALUES ($1, $2, $3, $4, $5, $6, 'queued', $7, now(), $8)
             )
             INSERT INTO operation_events (operation_id, kind, progress, message, at)
             VALUES ($1, 'queued', 0, 'waiting for a worker', $8)",
            operation.id.as_uuid(),
            operation.subject.kind().as_str(),
            operation.subject.as_uuid(),
            operation.subject_name,
            operation.kind().as_str(),
            operation.kind().lane().as_str(),
            to_json(&operation.input),
            operation.created_at,
        )
        .execute(&mut *tx)
        .await
        .map_err(RegistryError::from)?;
        jobs::enqueue_in_tx(tx, operation.kind().lane(), &[operation.id]).await?;
        Ok(operation)
    }

    /// Unfinished operations by lane and state.
    pub async fn operation_depths(&self) -> Result<Vec<LaneDepth>, RegistryError> {
        let depths = sqlx::query_as!(
            LaneDepth,
            r#"SELECT lane, state, count(*) AS "count!",
                   extract(epoch FROM now() - min(run_after) FILTER (
                       WHERE state IN ('queued', 'waiting') AND run_after <= now()))::float8 AS oldest_due_seconds
               FROM operations WHERE state IN ('queued', 'running', 'waiting', 'undoing', 'stuck')
               GROUP BY lane, state"#
        )
        .fetch_all(&self.relaxed)
        .await?;
        Ok(depths)
    }

    /// Forgets operations that ended some days ago, with their events; answers how many, at most `limit`.
    pub async fn operation_forget(&self, days: u16, limit: i64) -> Result<u64, RegistryError> {
        let forgotten = sqlx::query!(
            "DELETE FROM operations WHERE id IN (
                 SELECT id FROM operations WHERE finished_at < now() - make_interval(days => $1) LIMIT $2)",
            i32::from(days),
            limit,
        )
        .execute(&self.relaxed)
        .await?;
        Ok(forgotten.rows_affected())
    }

    /// A tenant's status, which nobody else changes until the transaction ends.
    pub(crate) async fn tenant_status_for_update(
        tx: &mut TimedConnection,
        id: TenantId,
    ) -> Result<TenantStatus, OperationStartError> {
        let row = sqlx::query!(
            "SELECT status, purge_at FROM tenants WHERE id = $1 FOR NO KEY UPDATE",
            id.as_uuid()
        )
        .fetch_optional(tx)
        .await
        .map_err(RegistryError::from)?
        .ok_or(OperationStartError::UnknownSubject("tenant"))?;
        let phase: TenantPhase = row.status.parse().stored("tenants.status")?;
        Ok(phase.with(row.purge_at).stored("tenants.purge_at")?)
    }

    /// The refusal that names the unfinished operation on a subject, or the last one if it has just ended.
    pub(crate) async fn busy_with(&self, subject: Subject) -> Result<OperationStartError, RegistryError> {
        let id = sqlx::query_scalar!(
            "SELECT id FROM operations WHERE subject_kind = $1 AND subject_id = $2
             ORDER BY finished_at IS NULL DESC, id DESC LIMIT 1",
            subject.kind().as_str(),
            subject.as_uuid()
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(OperationStartError::Busy(OperationId::from_uuid(id)))
    }
}
