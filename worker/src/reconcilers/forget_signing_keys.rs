//! Forgets keys that sign access tokens no more, once all that they have signed has ended by itself.

use chrono::TimeDelta;

use super::Reconciled;
use crate::Resources;

/// Longer than a token lasts, and than a data plane may take to hear of a newer key.
const LAST_TOKEN: TimeDelta = TimeDelta::minutes(20);

/// Runs it once.
pub async fn run(resources: &Resources) -> Reconciled {
    let registry = &resources.registry;
    Ok(registry.signing_key_forget_superseded(registry.now().await? - LAST_TOKEN).await?)
}
