//! Forgets jobs that ended a moment ago, consumers of queues that were last seen a day ago, and inquiries that nobody
//! waits for. The operations that the jobs pointed at stay. Jobs of a day would slow every sign-up down: what the queue
//! does with one takes longer the more there are.

use chrono::Duration;

use super::Reconciled;
use crate::Resources;

/// Runs it once.
pub async fn run(resources: &Resources) -> Reconciled {
    let now = resources.registry.now().await?;
    let inquiries = resources.registry.inquiries_forget(now - Duration::minutes(10)).await?;
    let jobs = resources.registry.jobs_forget(now - Duration::minutes(1)).await?;
    resources.registry.consumers_forget(now - Duration::days(1)).await?;
    Ok(inquiries + jobs)
}
