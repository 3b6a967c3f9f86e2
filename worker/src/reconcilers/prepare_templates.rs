//! Keeps a template database of each app's newest version on every server that takes tenants of
//! tier `database`, so that the first sign-up after a push does not wait for one.

use std::time::{Duration, Instant};

use tenantry_domain::{plan::Tier, server::ServerState};

use super::Reconciled;
use crate::Resources;

/// After this an app whose template could not be made is tried again, if nobody pushed a version before.
const PAUSE: Duration = Duration::from_mins(5);

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
            let template = (server.id, app.name.clone(), app.version());
            if resources.failed_templates.is_recent(&template, PAUSE) {
                continue;
            }
            // One app's bad SQL must not keep the others from their templates.
            if let Err(error) = admin.admin.ensure_template(app, &resources.settings.label).await {
                tracing::warn!(
                    app = %app.name, server.name = %server.name, %error,
                    "app {} gets no template on server {}: {error}", app.name, server.name
                );
                resources.failed_templates.note(template, Instant::now());
            }
        }
    }
    Ok(0)
}
