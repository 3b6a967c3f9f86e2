//! Forgets jobs that ended a day ago, and inquiries that nobody waits for; the operations that the jobs pointed at
//! stay.

use super::Reconciled;
use crate::Resources;

/// Runs it once.
pub async fn run(resources: &Resources) -> Reconciled {
    let now = resources.registry.now().await?;
    let inquiries = resources.registry.inquiries_forget(now - chrono::Duration::minutes(10)).await?;
    Ok(inquiries + resources.registry.job_forget(now - chrono::Duration::hours(24)).await?)
}
