//! Forgets claims on custom domains that were not proven within a week, so that they are not looked for
//! for ever.

use chrono::TimeDelta;

use super::Reconciled;
use crate::Resources;

/// How long a tenant has to make the TXT record.
const TIME_TO_PROVE: TimeDelta = TimeDelta::days(7);

/// Runs it once.
pub async fn run(resources: &Resources) -> Reconciled {
    Ok(resources.registry.domain_forget_unproven(resources.registry.now().await? - TIME_TO_PROVE).await?)
}
