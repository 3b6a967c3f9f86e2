//! Table `operations`, what people do with one that is there: retry, cancel, abandon.

use chrono::{DateTime, Utc};
use tenantry_domain::{
    ids::OperationId,
    operation::{Operation, OperationInput, OperationKind, OperationState, Subject},
};

use crate::{
    OperationStartError, Registry, RegistryError,
    error::{Stored, broken_constraint, to_json},
    jobs,
};

/// An operation cannot be tried again.
#[derive(Debug, thiserror::Error)]
pub enum RetryError {
    /// There is none with that id.
    #[error("there is no such operation")]
    NotFound,
    /// It has not failed.
    #[error("only a failed, cancelled or stuck operation is tried again; this one is {0}")]
    NotFailed(OperationState),
    /// What it was asked to do cannot be read.
    #[error("the operation is {0}, and what it was asked to do cannot be read; start a new one")]
    Unreadable(OperationState),
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
    /// It is over, or stuck: retry or abandon it then.
    #[error("the operation is {0}")]
    Finished(OperationState),
    /// It is past its point of no return.
    #[error("the operation is past its point of no return")]
    PastNoReturn,
    /// The registry failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

/// An operation cannot be abandoned.
#[derive(Debug, thiserror::Error)]
pub enum AbandonError {
    /// There is none with that id.
    #[error("there is no such operation")]
    NotFound,
    /// It goes on by itself, or is over.
    #[error(
        "only an operation that is stuck, or waits for a server that is away, is abandoned; this one is {0}"
    )]
    NotStuck(OperationState),
    /// The registry failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

/// Something on a server that an abandoned operation may have left there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftBehind {
    /// `role`, `schema`, `database`, or `write_fence`: tables of the schema are closed to writes.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// The server's name.
    pub server: String,
}

impl Registry {
    /// Queues an operation again: one that failed or was cancelled from its first step, one that is stuck where
    /// it is.
    pub async fn operation_retry(
        &self,
        id: OperationId,
        now: DateTime<Utc>,
    ) -> Result<Operation, RetryError> {
        let operation =
            self.operation_get(id).await.map_err(OperationStartError::from)?.ok_or(RetryError::NotFound)?;
        let from_the_start = match operation.state {
            state @ (OperationState::Failed | OperationState::Cancelled) => {
                if matches!(operation.input, OperationInput::Unreadable(_)) {
                    return Err(RetryError::Unreadable(state));
                }
                true
            }
            OperationState::Stuck => false,
            state => return Err(RetryError::NotFailed(state)),
        };
        let (kind, mut input) = (operation.kind(), operation.input);
        let mut tx = self.begin().await.map_err(OperationStartError::from)?;
        if let (Subject::Tenant(tenant), true) = (operation.subject, from_the_start) {
            let status = Self::tenant_status_for_update(&mut tx, tenant).await?;
            status.admit(kind).map_err(OperationStartError::from)?;
            input = input.asked_when(status);
        }
        let queued = sqlx::query!(
            "WITH operation AS (
                 UPDATE operations SET state = 'queued', error = NULL, message = NULL, retries = 0, silent_ends = 0,
                     input = coalesce($3, input), lease_owner = NULL, lease_expires_at = NULL, waiting_for = NULL,
                     left_since = NULL, run_after = now(), enqueued_at = now(), finished_at = NULL,
                     step = CASE WHEN $4 THEN NULL ELSE step END, steps = CASE WHEN $4 THEN '{}' ELSE steps END,
                     steps_done = CASE WHEN $4 THEN 0 ELSE steps_done END,
                     durable_state = CASE WHEN $4 THEN '{}' ELSE durable_state END,
                     progress = CASE WHEN $4 THEN 0 ELSE progress END, undoing = undoing AND NOT $4,
                     cancellable = cancellable OR $4, cancel_requested = cancel_requested AND NOT $4
                 WHERE id = $1 AND state = $5 RETURNING id, tenant_id, kind
             ), tenant AS (
                 UPDATE tenants SET status = 'provisioning', updated_at = $2 FROM operation
                 WHERE $4 AND tenants.id = operation.tenant_id AND operation.kind = 'provision'
             )
             INSERT INTO operation_events (operation_id, kind, progress, message, at)
             SELECT id, 'queued', 0, 'to be tried again', $2 FROM operation",
            id.as_uuid(),
            now,
            from_the_start.then(|| to_json(&input)),
            from_the_start,
            operation.state.as_str(),
        )
        .execute(&mut *tx)
        .await;
        match queued {
            Ok(done) if done.rows_affected() == 1 => {}
            Ok(_) => return Err(RetryError::NotFailed(OperationState::Queued)),
            Err(error) if broken_constraint(&error) == Some("operations_one_unfinished") => {
                drop(tx);
                let busy = self.busy_with(operation.subject).await.map_err(OperationStartError::from)?;
                return Err(busy.into());
            }
            Err(error) => return Err(OperationStartError::Registry(error.into()).into()),
        }
        jobs::enqueue_in_tx(&mut tx, kind.lane(), &[id]).await.map_err(OperationStartError::from)?;
        tx.commit().await.map_err(|error| OperationStartError::Registry(error.into()))?;
        self.operation_get(id).await.map_err(OperationStartError::from)?.ok_or(RetryError::NotFound)
    }

    /// Asks the worker to stop an operation and undo it; it does so before its next step, or within one that
    /// listens.
    pub async fn operation_cancel(&self, id: OperationId) -> Result<Operation, CancelError> {
        let mut tx = self.begin().await?;
        let asked = sqlx::query_scalar!(
            "UPDATE operations SET cancel_requested = true, enqueued_at = now(), run_after = now()
             WHERE id = $1 AND cancellable AND state IN ('queued', 'running', 'waiting', 'undoing') RETURNING lane",
            id.as_uuid()
        )
        .fetch_optional(&mut *tx)
        .await
        .map_err(RegistryError::from)?;
        if let Some(lane) = &asked {
            let lane = lane.parse().stored("operations.lane")?;
            // A fresh job, for the case that it waits for the time of its next try.
            jobs::enqueue_in_tx(&mut tx, lane, &[id]).await?;
        }
        tx.commit().await.map_err(RegistryError::from)?;
        let operation = self.operation_get(id).await?.ok_or(CancelError::NotFound)?;
        match operation.state {
            _ if asked.is_some() => Ok(operation),
            state if state.is_at_rest() => Err(CancelError::Finished(state)),
            _ => Err(CancelError::PastNoReturn),
        }
    }

    /// Gives up an operation that can go neither forward nor back, so that its subject is free again, and
    /// answers what it may have left on servers. Its fence grows, so that no worker goes on with it.
    ///
    /// A tenant that was to be purged is purged as far as the registry goes, unless the purge was to be undone: then
    /// it has its status of before. One that was to be moved is served where it is served now; what it may have left there
    /// closed to writes another move opens. One that was to be made is `failed`, without a placement; any other keeps its
    /// status.
    pub async fn operation_abandon(
        &self,
        id: OperationId,
        reason: &str,
        now: DateTime<Utc>,
    ) -> Result<(Operation, Vec<LeftBehind>), AbandonError> {
        let operation = self.operation_get(id).await?.ok_or(AbandonError::NotFound)?;
        let mut tx = self.begin().await?;
        if let Some(tenant) = operation.subject.tenant() {
            Self::tenant_lock_in_tx(&mut tx, tenant).await?;
        }
        let abandoned = sqlx::query!(
            "UPDATE operations SET state = 'failed', error = $2, message = NULL, cancellable = false,
                 fence = fence + 1, lease_owner = NULL, lease_expires_at = NULL, waiting_for = NULL, finished_at = $3
             WHERE id = $1 AND (state = 'stuck' OR (state = 'waiting' AND waiting_for IS NOT NULL))
             RETURNING undoing, cancel_requested",
            id.as_uuid(),
            format!("abandoned: {reason}"),
            now,
        )
        .fetch_optional(&mut *tx)
        .await
        .map_err(RegistryError::from)?;
        let Some(abandoned) = abandoned else { return Err(AbandonError::NotStuck(operation.state)) };
        sqlx::query!(
            "INSERT INTO operation_events (operation_id, kind, step, progress, message, at)
             VALUES ($1, 'failed', $2, $3, $4, $5)",
            id.as_uuid(),
            operation.step,
            operation.progress,
            format!("abandoned: {reason}"),
            now,
        )
        .execute(&mut *tx)
        .await
        .map_err(RegistryError::from)?;
        let mut left = Vec::new();
        if let Some(tenant) = operation.subject.tenant() {
            let all = operation.kind() != OperationKind::Move;
            left = Self::placements_left_in_tx(&mut tx, tenant, all).await?;
            let own_logins = Self::own_logins_in_tx(&mut tx, tenant).await?;
            match (operation.kind(), operation.input) {
                (OperationKind::Provision, _) => {
                    Self::placements_forget_in_tx(&mut tx, tenant, "failed").await?;
                    // Never named, or left behind with its new name: nobody's, for good.
                    sqlx::query!("DELETE FROM warm_tenants WHERE operation_id = $1", id.as_uuid())
                        .execute(&mut *tx)
                        .await
                        .map_err(RegistryError::from)?;
                }
                (_, OperationInput::Purge { was, .. }) if abandoned.undoing || abandoned.cancel_requested => {
                    Self::tenant_status_set_in_tx(&mut tx, tenant, was).await?;
                }
                (OperationKind::Move, _) => Self::placements_keep_serving_in_tx(&mut tx, tenant).await?,
                (OperationKind::Purge, _) => Self::tenant_forget_in_tx(&mut tx, tenant).await?,
                _ => {}
            }
            Self::own_logins_forget_in_tx(&mut tx, own_logins).await?;
        }
        tx.commit().await.map_err(RegistryError::from)?;
        let operation = self.operation_get(id).await?.ok_or(AbandonError::NotFound)?;
        Ok((operation, left))
    }
}
