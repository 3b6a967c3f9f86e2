//! Forgets answers that were kept for repeated requests, after a day.

use super::Reconciled;
use crate::Resources;

/// Runs it once.
pub async fn run(resources: &Resources) -> Reconciled {
    let before = resources.clock.now() - chrono::Duration::hours(24);
    Ok(resources.registry.idempotency_forget(before).await?)
}
