//! Forgets fences on tenant servers that nobody raised for a long time: no worker that was frozen when they
//! were may still wake up.

use tenantry_domain::server::Server;

use super::{Reconciled, on_each, reachable_servers};
use crate::{Resources, step_error::StepError};

/// Days that a fence outlives its last use.
const DAYS: u16 = 30;

/// Runs it once.
pub async fn run(resources: &Resources) -> Reconciled {
    let servers = reachable_servers(resources).await?;
    on_each(resources, &servers, "old fences are not forgotten", |server| forget(resources, server)).await
}

async fn forget(resources: &Resources, server: &Server) -> Reconciled {
    let access = resources.servers.unprepared(server.id, server.revision).await?;
    match access.call(access.admin.forget_fences(DAYS)).await {
        // No fence was ever taken there.
        Err(StepError::Unprepared { .. }) => Ok(0),
        forgotten => forgotten,
    }
}
