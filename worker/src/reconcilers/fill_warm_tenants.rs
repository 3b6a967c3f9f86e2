//! Keeps, in the shared database of every server that takes tenants of tier `schema`, some finished, unnamed
//! tenants of each app's promoted version, so that signing up only names one; drops those of other versions,
//! and those that the registry does not know.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use tenantry_domain::{app::App, connection::Connection, plan::Tier, purpose::Purpose, server::Server};
use tenantry_postgres::admin::{RoleLimits, RoleSpec, Warmed};
use tenantry_registry::{WarmKind, WarmTenant};

use secrecy::ExposeSecret;

use super::{
    Reconciled,
    fill_warm_databases::{apps, fillable_servers},
    note_failed_pool, on_each,
};
use crate::{
    Resources, password::password, servers::Server as ServerConnections, step_error::StepError,
    warm_kind::fingerprint,
};

/// After this an app whose tenants could not be kept warm is tried again, if nobody promoted a version before.
const PAUSE: Duration = Duration::from_mins(5);

/// Runs it once.
pub async fn run(resources: &Resources) -> Reconciled {
    if resources.settings.warm_tenants == 0 {
        return Ok(0);
    }
    let counts = resources.registry.warm_counts(Tier::Schema).await?;
    let kinds = apps(resources)
        .await?
        .into_iter()
        // A login of one's own is taken together with the placement, so that no other tenant can take it too.
        .filter(|app| app.connection() == Connection::Shared)
        .map(|app| Ok((fingerprint(&app, &resources.settings.label)?, app)))
        .collect::<Result<Vec<_>, StepError>>()?;
    let (servers, none) = (fillable_servers(resources, Tier::Schema).await?, HashMap::new());
    on_each(resources, &servers, "warm tenants are not filled", |server| {
        fill_server(resources, server, &kinds, counts.get(&server.id).unwrap_or(&none))
    })
    .await
}

async fn fill_server(
    resources: &Resources,
    server: &Server,
    kinds: &[(String, Arc<App>)],
    counts: &HashMap<String, usize>,
) -> Reconciled {
    let (registry, settings) = (&resources.registry, &resources.settings);
    let mut missing = Vec::new();
    for (fingerprint, app) in kinds {
        let there = counts.get(fingerprint).copied().unwrap_or(0);
        let failed = (server.id, app.name.clone(), app.version(), "schema");
        if there < settings.warm_tenants && !resources.failed_pools.is_recent(&failed, PAUSE) {
            missing.push((app, fingerprint, settings.warm_tenants - there, failed));
        }
    }
    let current: Vec<String> = kinds.iter().map(|(fingerprint, _)| fingerprint.clone()).collect();
    let outdated = if counts.keys().all(|known| current.contains(known)) {
        Vec::new()
    } else {
        registry.warm_forget_outdated(server.id, &current).await?
    };
    // Nothing to do, nothing asked of the server.
    if missing.is_empty() && outdated.is_empty() {
        return Ok(0);
    }
    let access = resources.servers.get(server.id, server.revision).await?;
    let mut changed = 0;
    // Those that the registry just forgot, and those whose worker ended before it could add them. Listed before
    // the registry's, so that none is dropped that became known meanwhile; one that its worker still adds is
    // dropped, and the tenant that takes it is made anew.
    let mut unknown = access.call(access.admin.warm_tenants(&settings.label)).await?;
    let known = registry.warm_names(server.id).await?;
    unknown.retain(|name| !known.contains(name));
    for name in unknown {
        match access.call(access.admin.drop_warm_tenant(&name, &settings.label)).await {
            Ok(()) => changed += 1,
            Err(error @ StepError::ServerAway { .. }) => return Err(error),
            // The next round tries again.
            Err(error) => {
                tracing::warn!(
                    server.name = %server.name, %error,
                    "{name}, which nobody takes any more, stays on server {}: {error}", server.name
                );
            }
        }
    }
    for (app, fingerprint, count, failed) in missing {
        let kind = WarmKind { app: &app.name, fingerprint, tier: Tier::Schema };
        for _ in 0..count {
            match add(resources, server, &access, app, kind).await {
                Ok(true) => changed += 1,
                Ok(false) => {
                    tracing::info!(
                        app = %app.name,
                        "tenants of app {} are made when they sign up: its objects hold their schema's name as text",
                        app.name
                    );
                    resources.failed_pools.note(failed, Instant::now());
                    break;
                }
                Err(error @ StepError::ServerAway { .. }) => return Err(error),
                // One app's bad SQL must not keep the others from being filled.
                Err(error) => {
                    note_failed_pool(resources, server, app, failed, "no tenants are kept ready", &error);
                    break;
                }
            }
        }
    }
    Ok(changed)
}

/// Makes one warm tenant; false if a tenant of this app cannot be kept warm.
async fn add(
    resources: &Resources,
    server: &Server,
    access: &ServerConnections,
    app: &App,
    kind: WarmKind<'_>,
) -> Result<bool, StepError> {
    let (registry, settings) = (&resources.registry, &resources.settings);
    let login = match registry.warm_login(server.id, settings.tenants_per_login).await? {
        Some(login) => login,
        None => resources.add_login(server.id, Connection::Shared).await?,
    };
    resources.ensure_login(access, &login).await?;
    access
        .call(access.admin.ensure_extensions(access.admin.shared_database(), &app.manifest.extensions))
        .await?;
    let secret = password();
    let role = RoleSpec {
        secret: &secret,
        login: &login,
        // A tenant that takes it brings its plan's; a worker of an earlier release brings none.
        limits: RoleLimits { connections: Some(settings.tenant_connections), ..RoleLimits::default() },
        may_log_in: false,
    };
    match access.call(access.admin.add_warm_tenant(app, &settings.label, &role)).await? {
        Warmed::Unnamable => Ok(false),
        Warmed::Ready(name, version) => {
            let purpose = Purpose::WarmRole(server.id, &name).to_string();
            let password = resources.kek.seal(&purpose, secret.expose_secret().as_bytes(), &mut rand::rng());
            let warm = WarmTenant { server_id: server.id, name, login, password, version };
            registry.warm_add(kind, &[warm]).await?;
            Ok(true)
        }
    }
}
