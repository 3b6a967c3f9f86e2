//! Follows the clusters of servers that are registered: CloudNativePG renews their certificates, and services get other ports.

use std::{collections::BTreeMap, pin::pin, time::Duration};

use futures::TryStreamExt;
use kube::{
    ResourceExt,
    api::DynamicObject,
    runtime::{WatchStreamExt, watcher},
};
use tenantry_domain::{ids::ServerId, server};
use tenantry_registry::Registry;

use super::{Kubernetes, Names, cluster};
use crate::{providers::Look, step_error::StepError};

/// When one looks again at a cluster of which something could not be noted.
const NOTE_AGAIN_AFTER: Duration = Duration::from_secs(30);

impl Kubernetes {
    /// Never returns. What a watch has missed is listed again.
    pub(super) async fn watch(&self, registry: &Registry) {
        let selector = cluster::selector(&self.settings.label);
        let config = watcher::Config::default().labels(&selector);
        let clusters = watcher(self.clusters.clone(), config).default_backoff().applied_objects();
        let mut clusters = pin!(clusters);
        let mut again = BTreeMap::new();
        loop {
            tokio::select! {
                next = clusters.try_next() => match next {
                    Ok(Some(cluster)) => self.note_or_keep(cluster, registry, &mut again).await,
                    Ok(None) => return,
                    // It begins again by itself, after a while.
                    Err(error) => {
                        let namespace = &self.settings.namespace;
                        tracing::warn!(%error, "the clusters of {namespace} cannot be watched: {error}");
                    }
                },
                () = tokio::time::sleep(NOTE_AGAIN_AFTER), if !again.is_empty() => {
                    for (_, cluster) in std::mem::take(&mut again) {
                        self.note_or_keep(cluster, registry, &mut again).await;
                    }
                }
            }
        }
    }

    /// Keeps what could not be noted, for the next time.
    async fn note_or_keep(
        &self,
        cluster: DynamicObject,
        registry: &Registry,
        again: &mut BTreeMap<String, DynamicObject>,
    ) {
        let name = cluster.name_any();
        match self.note(&cluster, registry).await {
            Ok(()) => drop(again.remove(&name)),
            Err(error) => {
                tracing::warn!(%error, "what is new of cluster {name} cannot be noted: {error}");
                again.insert(name, cluster);
            }
        }
    }

    async fn note(&self, cluster: &DynamicObject, registry: &Registry) -> Result<(), StepError> {
        let Some(id) = cluster.labels().get(cluster::SERVER).and_then(|id| id.parse::<ServerId>().ok())
        else {
            return Ok(());
        };
        // Others have its labels too, if somebody has copied it.
        if cluster.name_any() != Names::of(id).cluster {
            return Ok(());
        }
        let Look::Ready(endpoint) = self.describe(&Names::of(id), cluster).await? else { return Ok(()) };
        let provider = server::Provider::Kubernetes;
        if registry.server_moved(id, provider, &endpoint.host, endpoint.port, Some(&endpoint.tls)).await? {
            tracing::info!(server.id = %id, "server {id} has another address or CA now");
        }
        Ok(())
    }
}
