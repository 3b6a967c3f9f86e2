//! Deletes servers of tenants that are purged, which an operation left that was given up; and names those that a provider
//! has and nobody knows, which are left alone.

use super::Reconciled;
use crate::{Resources, step_error::StepError};

/// Runs it once.
pub async fn run(resources: &Resources) -> Reconciled {
    let registry = &resources.registry;
    let mut deleted = 0;
    for left in registry.own_servers_left().await? {
        let delete = async {
            resources.settings.providers.of(left.provider)?.delete(left.id).await?;
            Ok::<_, StepError>(registry.own_server_sweep(left.id).await?)
        };
        if let Err(error) = delete.await {
            tracing::warn!(server.id = %left.id, %error, "server {} cannot be deleted: {error}", left.id);
            continue;
        }
        resources.servers.forget(left.id);
        deleted += 1;
    }
    for provider in resources.settings.providers.all() {
        let listed = async {
            provider.sweep().await?;
            provider.list().await
        };
        let listed = match listed.await {
            Ok(listed) => listed,
            Err(error) => {
                tracing::warn!(%error, "the servers of provider {} cannot be listed: {error}", provider.kind());
                continue;
            }
        };
        let known = registry.servers_known(&listed).await?;
        for id in listed.iter().filter(|id| !known.contains(id)) {
            tracing::warn!(
                server.id = %id,
                "provider {} has a server {id} that the registry does not know; nothing is done with it",
                provider.kind()
            );
        }
    }
    Ok(deleted)
}
