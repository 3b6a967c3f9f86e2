//! Follows the clusters of servers that are registered: CloudNativePG renews their certificates, and services get other ports.

use std::pin::pin;

use futures::TryStreamExt;
use kube::{
    ResourceExt,
    api::DynamicObject,
    runtime::{WatchStreamExt, watcher},
};
use tenantry_domain::{ids::ServerId, server};
use tenantry_registry::Registry;

use super::{Kubernetes, Names, cluster};
use crate::providers::Look;

impl Kubernetes {
    /// Never returns. What a watch has missed is listed again.
    pub(super) async fn watch(&self, registry: &Registry) {
        let selector = cluster::selector(&self.settings.label);
        let config = watcher::Config::default().labels(&selector);
        let clusters = watcher(self.clusters.clone(), config).default_backoff().applied_objects();
        let mut clusters = pin!(clusters);
        loop {
            match clusters.try_next().await {
                Ok(Some(cluster)) => self.note(&cluster, registry).await,
                Ok(None) => return,
                // It begins again by itself, after a while.
                Err(error) => {
                    tracing::warn!(%error, "the clusters of {} cannot be watched: {error}", self.settings.namespace);
                }
            }
        }
    }

    async fn note(&self, cluster: &DynamicObject, registry: &Registry) {
        let Some(id) = cluster.labels().get(cluster::SERVER).and_then(|id| id.parse::<ServerId>().ok())
        else {
            return;
        };
        let endpoint = match self.describe(&Names::of(id), cluster).await {
            Ok(Look::Ready(endpoint)) => endpoint,
            Ok(_) => return,
            Err(error) => {
                tracing::warn!(server.id = %id, %error, "cluster {} cannot be looked at: {error}", cluster.name_any());
                return;
            }
        };
        let provider = server::Provider::Kubernetes;
        match registry.server_moved(id, provider, &endpoint.host, endpoint.port, Some(&endpoint.tls)).await {
            Ok(true) => tracing::info!(server.id = %id, "server {id} has another address or CA now"),
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(server.id = %id, %error, "what is new of server {id} cannot be noted: {error}");
            }
        }
    }
}
