//! Keeps, on every server that takes tenants of tier `database`, a template of each app's promoted
//! version and some warm copies of it, so that signing up waits for neither; drops those of other
//! versions.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use tenantry_domain::{
    app::App,
    plan::Tier,
    server::{Server, ServerState},
};
use tenantry_postgres::admin::Template;

use super::{Reconciled, note_failed_pool, on_each, reachable_servers};
use crate::{Resources, step_error::StepError};

/// After this an app whose template could not be made is tried again, if nobody promoted a version before.
const PAUSE: Duration = Duration::from_mins(5);

/// After this a server is asked again although nothing is known to have changed: a copy may have been dropped by
/// hand, or taken by a sign-up that was undone.
const LOOK_AGAIN: Duration = Duration::from_mins(1);

/// What the registry said when a server's warm databases were seen to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filled {
    /// Of the server.
    revision: i64,
    /// The templates that it should have.
    current: Vec<Template>,
    /// When its newest tenant of the tier was placed.
    newest: Option<DateTime<Utc>>,
}

/// Runs it once.
pub async fn run(resources: &Resources) -> Reconciled {
    let servers = fillable_servers(resources, Tier::Database).await?;
    on_each(resources, &servers, "warm databases are not filled", |server| fill_server(resources, server))
        .await
}

/// The servers that take tenants of a tier and can be reached.
pub(super) async fn fillable_servers(resources: &Resources, tier: Tier) -> Result<Vec<Server>, StepError> {
    let mut servers = reachable_servers(resources).await?;
    servers.retain(|server| {
        server.state == ServerState::Active
            && server.tiers.contains(&tier)
            && server.tenants < server.capacity
    });
    Ok(servers)
}

async fn fill_server(resources: &Resources, server: &Server) -> Reconciled {
    let settings = &resources.settings;
    // Read for each server, and what is outdated dropped at once: what another worker makes of a version
    // that was promoted meanwhile is none of the outdated.
    let apps = apps(resources).await?;
    let current = apps
        .iter()
        .map(|app| Template::of(app, &settings.label))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| StepError::on_server(server.id, &error))?;
    // Before the server is asked: who takes a copy meanwhile is seen the next time.
    let newest = resources.registry.placement_newest(server.id, Tier::Database).await?;
    let found = Filled { revision: server.revision, current, newest };
    if resources.filled.is_known(server.id, &found, LOOK_AGAIN) {
        return Ok(0);
    }
    let (access, current) = (resources.servers.get(server.id, server.revision).await?, &found.current);
    let admin = &access.admin;
    let outdated = admin.drop_outdated_templates(&settings.label, current);
    let (mut changed, mut whole) = (access.call(outdated).await? as u64, true);
    for app in &apps {
        let failed = (server.id, app.name.clone(), app.version(), "database");
        if resources.failed_pools.is_recent(&failed, PAUSE) {
            continue;
        }
        let fill = async {
            let template = admin.ensure_template(app, &settings.label).await?;
            admin.fill_warm_pool(&template, settings.warm_databases).await
        };
        match access.call(fill).await {
            Ok(made) => changed += made as u64,
            Err(error @ StepError::ServerAway { .. }) => return Err(error),
            // One app's bad SQL must not keep the others from their templates.
            Err(error) => {
                note_failed_pool(resources, server, app, failed, "there is no template", &error);
                whole &= matches!(error, StepError::Permanent { .. });
            }
        }
    }
    if whole {
        resources.filled.note(server.id, found, Instant::now());
    }
    Ok(changed)
}

/// The apps that have tables to give.
pub(crate) async fn apps(resources: &Resources) -> Result<Vec<Arc<App>>, StepError> {
    let mut apps = Vec::new();
    for (name, stamp) in resources.registry.app_stamps().await? {
        apps.extend(resources.apps.get(&name, stamp).await?.filter(|app| !app.migrations.is_empty()));
    }
    Ok(apps)
}
