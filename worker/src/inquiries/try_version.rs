//! Can this be the app's next version?

use std::time::Duration;

use tenantry_domain::{
    app::App,
    connection::Connection,
    inquiry::{VersionFault, VersionTrial},
    plan::Tier,
    server::{Server, ServerState},
};
use tenantry_postgres::admin::Tried;

use crate::{Resources, step_error::StepError};

/// How long one file may take, on a schema without data.
pub(super) const FILE_LIMIT: Duration = Duration::from_secs(10);

/// Tries the one version of `app`, after those before it that the registry has.
pub(super) async fn run(resources: &Resources, mut app: App) -> Result<VersionTrial, StepError> {
    if let Some(mut known) = resources.registry.app_get(&app.name).await? {
        let first = app.version();
        known.migrations.retain(|earlier| Some(earlier.version) < first);
        app.migrations.splice(0..0, known.migrations);
    }
    let server = any_server(resources).await?;
    let access = resources.servers.get(server.id, server.revision).await?;
    let tried = access.call(access.admin.try_version(&app, FILE_LIMIT)).await?;
    Ok(match tried {
        Tried::Refused(fault) => VersionTrial::Refused(fault),
        Tried::Passed { holds_its_name, seed, .. } => {
            let warnings = warnings(&app, holds_its_name, seed);
            VersionTrial::Passed { server: server.name, warnings }
        }
    })
}

fn warnings(app: &App, holds_its_name: bool, seed: Option<VersionFault>) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(fault) = seed {
        warnings.push(format!(
            "{fault}: nobody can sign up with this version while the app has this seed; it may be that of a later one"
        ));
    }
    if holds_its_name {
        warnings.push(
            "its objects hold their schema's name as text (a setting or a body of a function, a default, a check), \
             which no other name given later reaches: tenants are made when they sign up, and not kept ready"
                .to_owned(),
        );
    }
    if app.manifest.connection.is_none() && app.connection() == Connection::Own {
        warnings.push(
            "its SQL may run text that a tenant wrote (EXECUTE, set_config and the like): each tenant that signs up \
             gets a login of its own on the data plane; say `connection = \"own\"` or `\"shared\"` in the manifest"
                .to_owned(),
        );
    }
    if app.migrations.last().is_some_and(|last| last.down.is_none()) {
        warnings.push("it has no down SQL: a rollout of it cannot be rolled back".to_owned());
    }
    warnings
}

/// A server to try it on: one where tenants of the app come to be, if there is one.
pub(super) async fn any_server(resources: &Resources) -> Result<Server, StepError> {
    let mut servers = resources.registry.server_list().await?;
    servers.retain(|server| server.state != ServerState::Lost && server.health.unreachable.is_none());
    let rank = |server: &Server| {
        (
            server.owner.is_some(),
            server.state != ServerState::Active,
            !server.tiers.contains(&Tier::Schema),
            !server.tiers.contains(&Tier::Database),
        )
    };
    servers
        .into_iter()
        .min_by_key(rank)
        .ok_or_else(|| StepError::transient("no server can be reached to try it on; see `servers list`"))
}
