//! Forgets jobs that ended a day ago; the operations that they pointed at stay.

use super::Reconciled;
use crate::Resources;

/// Runs it once.
pub async fn run(resources: &Resources) -> Reconciled {
    let before = resources.clock.now() - chrono::Duration::hours(24);
    Ok(resources.registry.job_forget(before).await?)
}
