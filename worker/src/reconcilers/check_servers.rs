//! Looks at servers: often at those that cannot be reached, so that what waits for them goes on when they are
//! back; now and then at the others, so that it is known when one goes away.

use std::collections::BTreeSet;

use futures::{StreamExt, stream};
use tenantry_domain::server::{Server, ServerName, ServerState};

use super::Reconciled;
use crate::{Resources, step_error::StepError};

/// Servers looked at at once.
const AT_ONCE: usize = 16;

/// Runs it once.
pub async fn run(resources: &Resources) -> Reconciled {
    let settings = &resources.settings;
    let now = resources.registry.now().await?;
    let due = resources.registry.server_list().await?.into_iter().filter(|server| {
        let every = match server.health.unreachable {
            Some(_) => settings.probe_away_every,
            None => settings.probe_every,
        };
        let since = server.health.checked_at.map(|at| (now - at).to_std().unwrap_or_default());
        !matches!(server.state, ServerState::Lost | ServerState::Hibernated)
            && since.is_none_or(|since| since >= every)
    });
    let checks: Vec<Result<bool, StepError>> =
        stream::iter(due).map(|server| check(resources, server)).buffer_unordered(AT_ONCE).collect().await;
    let mut changed = 0;
    for check in checks {
        changed += u64::from(check?);
    }
    Ok(changed)
}

/// Shows in this process's metrics what is known of the servers, whoever found it out. Those that were `shown` and are removed or
/// hibernated by now have no value any more.
pub(super) async fn show(resources: &Resources, shown: &mut BTreeSet<ServerName>) -> Result<(), StepError> {
    let servers = resources.registry.server_list().await?;
    let mut gone = std::mem::take(shown);
    for server in servers.into_iter().filter(|server| server.state != ServerState::Hibernated) {
        set(&server.name, if server.health.unreachable.is_some() { 0.0 } else { 1.0 });
        gone.remove(&server.name);
        shown.insert(server.name);
    }
    for name in &gone {
        set(name, f64::NAN);
    }
    Ok(())
}

fn set(server: &ServerName, reachable: f64) {
    metrics::gauge!("tenantry_server_reachable", "server" => server.to_string()).set(reachable);
}

/// Looks at one; true if its health changed.
async fn check(resources: &Resources, server: Server) -> Result<bool, StepError> {
    let looked = async {
        let access = resources.servers.unprepared(server.id, server.revision).await?;
        access.admin.ping().await.map_err(|error| StepError::on_server(server.id, &error))
    };
    let away = server.health.unreachable.is_some();
    match looked.await {
        Ok(()) => {
            let news = resources.registry.server_reachable(server.id, server.revision).await?;
            if news {
                // What was prepared there may be gone.
                resources.servers.forget(server.id);
                tracing::info!(server.name = %server.name, "server {} can be reached again", server.name);
            }
            Ok(news)
        }
        Err(StepError::ServerAway { message, .. }) => {
            resources.servers.forget(server.id);
            resources.note_away(server.id, &message, true).await;
            Ok(!away)
        }
        // It answers, and says no: that is for the operations on it to tell.
        Err(
            StepError::Transient { .. }
            | StepError::Unprepared { .. }
            | StepError::Permanent { .. }
            | StepError::ServerFull { .. }
            | StepError::ProviderAway { .. }
            | StepError::DiskFull { .. }
            | StepError::ServerBusy(_),
        ) => Ok(resources.registry.server_reachable(server.id, server.revision).await?),
        Err(error @ (StepError::RegistryAway { .. } | StepError::LeaseLost | StepError::Stopping)) => {
            Err(error)
        }
    }
}
