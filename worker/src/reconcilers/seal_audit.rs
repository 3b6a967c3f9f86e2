//! Seals rows of the audit log into blocks, each chained to the one before it, so that what is altered afterwards is found.

use super::Reconciled;
use crate::Resources;

/// Chains in one round: a round stays within seconds, and the next one is near.
const ROUND: i64 = 1_000;

/// Runs it once.
pub async fn run(resources: &Resources) -> Reconciled {
    let (registry, after) = (&resources.registry, resources.settings.seal_after);
    let mut sealed = 0;
    for chain in registry.audit_unsealed(after, ROUND).await? {
        sealed += registry.audit_seal(chain, after).await?;
    }
    Ok(sealed)
}
