//! Metrics of the lanes: how many operations are in each, and how long the oldest one that is due waits. On
//! every worker, so that they are there whichever of them is asked.

use std::{sync::Arc, time::Duration};

use tenantry_domain::operation::{Lane, OperationState};
use tenantry_registry::RegistryError;
use tokio_util::sync::CancellationToken;

use crate::Resources;

/// How often the registry is asked.
const EVERY: Duration = Duration::from_secs(5);

/// Measures until `stop`.
pub(crate) async fn measure(resources: Arc<Resources>, stop: CancellationToken) {
    loop {
        if let Err(error) = measure_once(&resources).await {
            tracing::debug!(%error, "the lanes cannot be measured");
        }
        if stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_none() {
            return;
        }
    }
}

async fn measure_once(resources: &Resources) -> Result<(), RegistryError> {
    let depths = resources.registry.operation_depths().await?;
    for lane in Lane::ALL {
        let mut oldest = 0.0_f64;
        for state in OperationState::ALL.iter().filter(|state| !state.is_finished()) {
            let depth =
                depths.iter().find(|depth| depth.lane == lane.as_str() && depth.state == state.as_str());
            #[expect(clippy::cast_precision_loss, reason = "a count of operations")]
            let count = depth.map_or(0.0, |depth| depth.count as f64);
            metrics::gauge!("tenantry_lane_operations", "lane" => lane.as_str(), "state" => state.as_str())
                .set(count);
            oldest = oldest.max(depth.and_then(|depth| depth.oldest_due_seconds).unwrap_or(0.0));
        }
        metrics::gauge!("tenantry_lane_oldest_due_seconds", "lane" => lane.as_str()).set(oldest);
    }
    Ok(())
}
