//! Forgets log-ins that were revoked, once their access tokens have ended by themselves.

use super::Reconciled;
use crate::Resources;

/// Runs it once.
pub async fn run(resources: &Resources) -> Reconciled {
    Ok(resources.registry.sessions_forget_revoked().await?)
}
