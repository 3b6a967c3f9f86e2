//! Drops scratch databases of versions that were tried by workers that died meanwhile.

use tenantry_domain::server::Server;

use super::{Reconciled, on_each, reachable_servers};
use crate::{Resources, step_error::StepError};

/// Runs it once.
pub async fn run(resources: &Resources) -> Reconciled {
    let servers = reachable_servers(resources).await?;
    on_each(resources, &servers, "scratch databases are not dropped", |server| drop_on(resources, server))
        .await
}

async fn drop_on(resources: &Resources, server: &Server) -> Reconciled {
    let access = resources.servers.unprepared(server.id, server.revision).await?;
    match access.call(access.admin.drop_trials()).await {
        // Nothing was ever tried there.
        Err(StepError::Unprepared { .. }) => Ok(0),
        dropped => Ok(dropped? as u64),
    }
}
