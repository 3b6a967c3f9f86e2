//! Forgets events, with what became of them at webhooks, after a configured time; and one-time tokens that have expired.

use super::Reconciled;
use crate::Resources;

/// Events in one round: a round stays within seconds, and the next one is near.
const ROUND: i64 = 10_000;

/// Runs it once.
pub async fn run(resources: &Resources) -> Reconciled {
    let registry = &resources.registry;
    let secrets = registry.event_secrets_forget().await?;
    Ok(secrets + registry.events_forget(resources.settings.retention.events, ROUND).await?)
}
