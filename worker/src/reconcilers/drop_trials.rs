//! Drops scratch databases of versions that were tried by workers that died meanwhile.

use tenantry_domain::server::Server;

use super::{Reconciled, on_each, reachable_servers};
use crate::Resources;

/// Runs it once.
pub async fn run(resources: &Resources) -> Reconciled {
    let servers = reachable_servers(resources).await?;
    on_each(resources, &servers, "scratch databases are not dropped", |server| drop_on(resources, server))
        .await
}

async fn drop_on(resources: &Resources, server: &Server) -> Reconciled {
    let access = resources.servers.get(server.id, server.revision).await?;
    Ok(access.call(access.admin.drop_trials()).await? as u64)
}
