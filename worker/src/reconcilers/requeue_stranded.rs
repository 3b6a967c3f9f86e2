//! Queues a job for every operation that is due and has no live one: its worker died, its next try
//! has come, or its job got lost.

use super::Reconciled;
use crate::Resources;

/// Operations queued again in one round.
const BATCH: i64 = 500;

/// Runs it once.
pub async fn run(resources: &Resources) -> Reconciled {
    let stranded =
        resources.registry.operation_requeue_stranded(resources.settings.job_lost_after, BATCH).await?;
    for id in &stranded {
        tracing::info!(operation.id = %id, "operation {id} was stranded and is queued again");
    }
    Ok(stranded.len() as u64)
}
