//! Queues a job for every operation that is due and has no live one: its worker died, its next try
//! has come, or its job got lost.

use super::Reconciled;
use crate::Resources;

/// Operations queued again in one round.
const BATCH: i64 = 500;

/// Runs it once.
pub async fn run(resources: &Resources) -> Reconciled {
    let mut requeued = 0;
    for lane in resources.registry.operation_lanes_due().await? {
        let lost_after = resources.settings.job_lost_after;
        let stranded = resources.registry.operation_requeue_stranded(lane, lost_after, BATCH).await?;
        for id in &stranded {
            tracing::debug!(operation.id = %id, "operation {id} is due and is queued again");
        }
        requeued += stranded.len() as u64;
    }
    Ok(requeued)
}
