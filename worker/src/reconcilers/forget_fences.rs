//! Forgets fences on tenant servers that nobody raised for a long time: no worker that was frozen when they
//! were may still wake up.

use super::Reconciled;
use crate::Resources;

/// Days that a fence outlives its last use.
const DAYS: u16 = 30;

/// Runs it once.
pub async fn run(resources: &Resources) -> Reconciled {
    let mut forgotten = 0;
    for server in resources.registry.server_list().await? {
        if server.health.unreachable.is_some() {
            continue;
        }
        let access = resources.servers.get(server.id, server.revision).await?;
        forgotten += access.call(access.admin.forget_fences(DAYS)).await?;
    }
    Ok(forgotten)
}
