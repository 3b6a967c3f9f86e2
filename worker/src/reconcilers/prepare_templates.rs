//! Keeps a template database of each app's newest version on every server that takes tenants of
//! tier `database`, so that the first sign-up after a push does not wait for one.

use tenantry_domain::{plan::Tier, server::ServerState};

use super::Reconciled;
use crate::Resources;

/// Runs it once.
pub async fn run(resources: &Resources) -> Reconciled {
    let registry = &resources.registry;
    let mut apps = Vec::new();
    for summary in registry.app_list().await? {
        apps.extend(resources.apps.get(&summary.name).await?.filter(|app| !app.migrations.is_empty()));
    }
    let servers = registry.server_list().await?;
    let takes_databases = servers
        .iter()
        .filter(|server| server.state == ServerState::Active && server.tiers.contains(&Tier::Database));
    for server in takes_databases {
        let admin = resources.servers.get(server.id).await?;
        for app in &apps {
            admin.admin.ensure_template(app, &resources.settings.label).await?;
        }
    }
    Ok(0)
}
