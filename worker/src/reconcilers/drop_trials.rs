//! Drops scratch databases of versions that were tried by workers that died meanwhile.

use super::Reconciled;
use crate::Resources;

/// Runs it once.
pub async fn run(resources: &Resources) -> Reconciled {
    let mut dropped = 0;
    for server in resources.registry.server_list().await? {
        if server.health.unreachable.is_some() {
            continue;
        }
        let access = resources.servers.get(server.id, server.revision).await?;
        dropped += access.call(access.admin.drop_trials()).await? as u64;
    }
    Ok(dropped)
}
