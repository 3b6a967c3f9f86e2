//! Forgets fences on tenant servers that nobody raised for a long time: no worker that was frozen when they
//! were may still wake up.

use tenantry_domain::server::Server;

use super::{Reconciled, note_failure};
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
        match forget(resources, &server).await {
            Ok(count) => forgotten += count,
            Err(error) => note_failure(resources, &server, "old fences are not forgotten", &error).await,
        }
    }
    Ok(forgotten)
}

async fn forget(resources: &Resources, server: &Server) -> Reconciled {
    let access = resources.servers.get(server.id, server.revision).await?;
    access.call(access.admin.forget_fences(DAYS)).await
}
