//! Keeps, on every server that takes tenants of tier `database`, a template of each app's newest
//! version and some warm copies of it, so that signing up waits for neither; drops those of older
//! versions.

use std::time::{Duration, Instant};

use tenantry_domain::{plan::Tier, server::ServerState};
use tenantry_postgres::admin::Template;

use super::Reconciled;
use crate::Resources;

/// After this an app whose template could not be made is tried again, if nobody pushed a version before.
const PAUSE: Duration = Duration::from_mins(5);

/// Runs it once.
pub async fn run(resources: &Resources) -> Reconciled {
    let (registry, settings) = (&resources.registry, &resources.settings);
    let mut apps = Vec::new();
    for summary in registry.app_list().await? {
        apps.extend(resources.apps.get(&summary.name).await?.filter(|app| !app.migrations.is_empty()));
    }
    let current = apps.iter().map(|app| Template::of(app, &settings.label)).collect::<Result<Vec<_>, _>>()?;
    let servers = registry.server_list().await?;
    let takes_databases = servers
        .iter()
        .filter(|server| server.state == ServerState::Active && server.tiers.contains(&Tier::Database));
    let mut changed = 0;
    for server in takes_databases {
        let admin = resources.servers.get(server.id).await?;
        for app in &apps {
            let template = (server.id, app.name.clone(), app.version());
            if resources.failed_templates.is_recent(&template, PAUSE) {
                continue;
            }
            let fill = async || {
                let template = admin.admin.ensure_template(app, &settings.label).await?;
                admin.admin.fill_warm_pool(&template, settings.warm_databases).await
            };
            match fill().await {
                Ok(made) => changed += made as u64,
                // One app's bad SQL must not keep the others from their templates.
                Err(error) => {
                    tracing::warn!(
                        app = %app.name, server.name = %server.name, %error,
                        "app {} gets no template on server {}: {error}", app.name, server.name
                    );
                    resources.failed_templates.note(template, Instant::now());
                }
            }
        }
        changed += admin.admin.drop_outdated_templates(&settings.label, &current).await? as u64;
    }
    Ok(changed)
}
