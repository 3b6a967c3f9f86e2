//! Forgets answers that were kept for repeated requests, and who asked for public sign-ups, after a day.

use super::Reconciled;
use crate::Resources;

/// Runs it once.
pub async fn run(resources: &Resources) -> Reconciled {
    let before = resources.registry.now().await? - chrono::Duration::hours(24);
    let answers = resources.registry.idempotency_forget(before).await?;
    Ok(answers + resources.registry.public_signup_forget(before).await?)
}
