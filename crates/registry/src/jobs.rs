//! The queues, one per lane: job payloads, and putting them in within the business transaction.
//!
//! A job carries only the operation's id; the `operations` row is the truth.

use apalis::prelude::TaskBuilder;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tenantry_domain::{ids::OperationId, operation::Lane};

use crate::{Registry, RegistryError, TimedConnection};

/// The apalis queue of a lane.
pub const fn queue_of(lane: Lane) -> &'static str {
    match lane {
        Lane::Interactive => "tenantry-interactive",
        Lane::Long => "tenantry-long",
        Lane::Fleet => "tenantry-fleet",
        Lane::Idle => "tenantry-idle",
    }
}

/// "Run this operation": running it twice, or when it is done, does no harm.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct OperationJob {
    /// The operation to run.
    pub operation_id: OperationId,
}

/// Queues jobs on the caller's transaction; they become visible when it commits.
///
/// # Errors
/// The database refuses or is gone.
pub async fn enqueue_in_tx(
    conn: &mut TimedConnection,
    lane: Lane,
    operations: &[OperationId],
) -> Result<(), RegistryError> {
    let tasks = operations
        .iter()
        .map(|operation_id| {
            let job = OperationJob { operation_id: *operation_id };
            TaskBuilder::new(serde_json::to_vec(&job).expect("a job is plain data")).build()
        })
        .collect();
    apalis_postgres::queries::push_tasks(conn, queue_of(lane), tasks).await.map_err(RegistryError::Queue)
}

impl Registry {
    /// Forgets jobs that ended before a time; answers how many. The tables are apalis', made by its own migrations.
    pub async fn jobs_forget(&self, before: DateTime<Utc>) -> Result<u64, RegistryError> {
        let done = sqlx::query("DELETE FROM apalis.jobs WHERE done_at < $1")
            .bind(before)
            .execute(&self.housekeeping)
            .await?;
        Ok(done.rows_affected())
    }

    /// Forgets queue consumers without jobs that were last seen before a time.
    pub async fn consumers_forget(&self, before: DateTime<Utc>) -> Result<(), RegistryError> {
        sqlx::query(
            "DELETE FROM apalis.workers WHERE last_seen < $1
                 AND NOT EXISTS (SELECT 1 FROM apalis.jobs WHERE lock_by = workers.id)",
        )
        .bind(before)
        .execute(&self.housekeeping)
        .await?;
        Ok(())
    }

    /// When the queue last heard from a consumer, in seconds from now; none: it is not known.
    pub async fn consumer_silent_for(&self, consumer: &str) -> Result<Option<f64>, RegistryError> {
        let query = "SELECT extract(epoch FROM now() - last_seen)::float8 FROM apalis.workers WHERE id = $1";
        Ok(sqlx::query_scalar(query).bind(consumer).fetch_optional(&self.pool).await?)
    }
}
