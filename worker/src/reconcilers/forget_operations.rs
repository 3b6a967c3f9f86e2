//! Forgets ended operations with their events, ended rollouts, and records of purged tenants, after a configured time.

use super::Reconciled;
use crate::Resources;

/// Rows of each in one round: a round stays within seconds, and the next one is near.
const ROUND: i64 = 5_000;

/// Runs it once.
pub async fn run(resources: &Resources) -> Reconciled {
    let (registry, retention) = (&resources.registry, resources.settings.retention);
    let operations = registry.operation_forget(retention.operations, ROUND).await?;
    let rollouts = registry.rollout_forget(retention.operations).await?;
    Ok(operations + rollouts + registry.tenant_forget_purged(retention.purged_tenants, ROUND).await?)
}
