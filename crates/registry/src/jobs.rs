//! The queue: job payloads, and putting them in within the business transaction.
//!
//! A job carries only the operation's id; the `operations` row is the truth.

use apalis::prelude::TaskBuilder;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tenantry_domain::ids::OperationId;

use crate::{Registry, RegistryError, TimedConnection};

/// The apalis queue that workers consume.
pub const OPERATIONS_QUEUE: &str = "tenantry-operations";

/// "Look at this operation": running it twice, or when it is done, does no harm.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct OperationJob {
    /// The operation to look at.
    pub operation_id: OperationId,
}

/// Queues jobs on the caller's transaction; they become visible when it commits.
///
/// # Errors
/// The database refuses or is gone.
pub async fn enqueue_in_tx(
    conn: &mut TimedConnection,
    operations: &[OperationId],
) -> Result<(), RegistryError> {
    let tasks = operations
        .iter()
        .map(|operation_id| {
            let job = OperationJob { operation_id: *operation_id };
            TaskBuilder::new(serde_json::to_vec(&job).expect("a job is plain data")).build()
        })
        .collect();
    apalis_postgres::queries::push_tasks(conn, OPERATIONS_QUEUE, tasks).await.map_err(RegistryError::Queue)
}

impl Registry {
    /// Forgets jobs that ended before a time, and queue consumers that were last seen before it.
    /// Answers how many jobs. The tables are apalis', made by its own migrations.
    pub async fn job_forget(&self, before: DateTime<Utc>) -> Result<u64, RegistryError> {
        let done = sqlx::query(
            "DELETE FROM apalis.jobs WHERE status IN ('Done', 'Failed', 'Killed') AND done_at < $1",
        )
        .bind(before)
        .execute(&self.housekeeping)
        .await?;
        sqlx::query(
            "DELETE FROM apalis.workers WHERE last_seen < $1
                 AND NOT EXISTS (SELECT 1 FROM apalis.jobs WHERE lock_by = workers.id)",
        )
        .bind(before)
        .execute(&self.housekeeping)
        .await?;
        Ok(done.rows_affected())
    }
}
