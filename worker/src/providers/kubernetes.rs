//! Provider `kubernetes`: servers as CloudNativePG clusters in one namespace.
//!
//! Each server has two objects named for its id: a config map, its order, and the cluster that the order owns. Deleting one
//! leaves a mark for a day, a second config map, and takes the order away before the cluster: a worker that was frozen while it
//! ordered finds the mark, or applies a cluster whose owner is gone, which Kubernetes collects.

mod cluster;
mod hibernation;
mod watch;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::try_join;
use k8s_openapi::{
    api::core::v1::{ConfigMap, Secret, Service},
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams, PropagationPolicy},
};
use secrecy::SecretString;
use serde_json::json;
use tenantry_domain::{
    ids::ServerId,
    server,
    server_tls::{CaCertificates, ServerTls, TrustedRoots},
};
use tenantry_registry::Registry;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use self::cluster::{Names, REMEMBERED, SERVER, cluster_kind, manifest};
use super::{DATA_PLANE_CONNECTIONS, Endpoint, Look, Order, Provider, ProviderError};

/// Where clusters are made, and how they are reached.
#[derive(Clone)]
#[allow(missing_debug_implementations, reason = "clients show nothing")]
pub struct KubernetesSettings {
    /// Knows the API server, and who asks.
    pub client: Client,
    /// A namespace that CloudNativePG looks after.
    pub namespace: String,
    /// Tells the clusters of this registry from those of others in the namespace.
    pub label: String,
    /// A name of the cluster's nodes, for workers and data planes that run outside of it: servers are reached there, at a port
    /// each. None: by the names of their services.
    pub node_host: Option<String>,
    /// How often an order is looked at: a cluster takes a minute.
    pub look_every: Duration,
}

/// How long one call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a watch may say nothing: the API server itself ends each after 290 s.
const WATCH_TIMEOUT: Duration = Duration::from_mins(5);

/// Who has written which fields of an object.
const FIELD_MANAGER: &str = "tenantry";

/// See the module.
pub struct Kubernetes {
    settings: KubernetesSettings,
    clusters: Api<DynamicObject>,
    config_maps: Api<ConfigMap>,
    secrets: Api<Secret>,
    services: Api<Service>,
}

impl std::fmt::Debug for Kubernetes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kubernetes").field("namespace", &self.settings.namespace).finish_non_exhaustive()
    }
}

/// A client for the cluster that the process runs in, or for that of `KUBECONFIG`.
///
/// # Errors
/// Neither is there, or is one that can be used.
pub async fn found_client() -> Result<Client, Box<dyn std::error::Error + Send + Sync>> {
    let mut config = kube::Config::infer().await?;
    // Longer than a watch is quiet; one that is cut off unnoticed begins again then.
    config.read_timeout = Some(WATCH_TIMEOUT);
    config.connect_timeout = Some(CALL_TIMEOUT);
    Ok(Client::try_from(config)?)
}

impl Kubernetes {
    /// In a namespace.
    pub fn new(settings: KubernetesSettings) -> Arc<Self> {
        let (client, namespace) = (settings.client.clone(), settings.namespace.clone());
        Arc::new(Self {
            clusters: Api::namespaced_with(client.clone(), &namespace, &cluster_kind()),
            config_maps: Api::namespaced(client.clone(), &namespace),
            secrets: Api::namespaced(client.clone(), &namespace),
            services: Api::namespaced(client, &namespace),
            settings,
        })
    }

    async fn is_deleted(&self, names: &Names) -> Result<bool, ProviderError> {
        Ok(call(self.config_maps.get_metadata_opt(&names.deleted)).await?.is_some())
    }

    /// Makes a config map, unless it is there, and reads it.
    async fn keep(
        &self,
        name: &str,
        order: Option<&Order>,
        id: ServerId,
    ) -> Result<ConfigMap, ProviderError> {
        let labels = cluster::labels(id, &self.settings.label, order);
        let metadata = json!({ "name": name, "labels": labels });
        let new: ConfigMap = serde_json::from_value(json!({ "metadata": metadata })).expect("a config map");
        let params = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
        let made = timeout(CALL_TIMEOUT, self.config_maps.create(&params, &new)).await.map_err(|_| late())?;
        match made {
            Err(kube::Error::Api(status)) if status.is_already_exists() => {
                call(self.config_maps.get(name)).await
            }
            made => made.map_err(failed),
        }
    }

    /// Applies a cluster; where it has a version, only over that.
    async fn apply(
        &self,
        order: &Order,
        owner: OwnerReference,
        over: Option<String>,
    ) -> Result<(), ProviderError> {
        let names = Names::of(order.id);
        let settings = &self.settings;
        let mut cluster = manifest(order, &names, &settings.label, settings.node_host.as_deref(), &owner);
        cluster.metadata.resource_version = over;
        let params = PatchParams::apply(FIELD_MANAGER).force();
        call(self.clusters.patch(&names.cluster, &params, &Patch::Apply(cluster))).await?;
        Ok(())
    }

    /// How to reach a cluster that is ready; none: its secrets or its port are not there yet.
    async fn endpoint(
        &self,
        names: &Names,
        cluster: &DynamicObject,
    ) -> Result<Option<Endpoint>, ProviderError> {
        let status = &cluster.data["status"];
        let ca = status["certificates"]["serverCASecret"].as_str().unwrap_or(&names.ca);
        let port = async {
            if self.settings.node_host.is_none() {
                return Ok(Some(5432));
            }
            Ok(call(self.services.get_opt(&names.node_service)).await?.and_then(|service| {
                service.spec?.ports?.into_iter().find_map(|port| u16::try_from(port.node_port?).ok())
            }))
        };
        let (login, ca, port) =
            try_join!(call(self.secrets.get_opt(&names.superuser)), call(self.secrets.get_opt(ca)), port,)?;
        let text = |secret: &Option<Secret>, key: &str| {
            let value = secret.as_ref()?.data.as_ref()?.get(key)?;
            String::from_utf8(value.0.clone()).ok()
        };
        let (Some(admin_user), Some(admin_password), Some(ca), Some(port)) =
            (text(&login, "username"), text(&login, "password"), text(&ca, "ca.crt"), port)
        else {
            return Ok(None);
        };
        let ca = CaCertificates::parse(&ca).map_err(|error| {
            ProviderError::Transient(format!("the CA of cluster {}: {error}", names.cluster))
        })?;
        let service = status["writeService"].as_str().unwrap_or(&names.service);
        Ok(Some(Endpoint {
            region: self.settings.namespace.clone(),
            host: match &self.settings.node_host {
                Some(host) => host.clone(),
                None => format!("{service}.{}.svc", self.settings.namespace),
            },
            port,
            tls: ServerTls::VerifyFull { roots: TrustedRoots::Ca(ca) },
            admin_user,
            admin_password: SecretString::from(admin_password),
            max_connections: DATA_PLANE_CONNECTIONS,
        }))
    }

    /// What a cluster that is there is like.
    async fn describe(&self, names: &Names, cluster: &DynamicObject) -> Result<Look, ProviderError> {
        if cluster.metadata.deletion_timestamp.is_some() {
            return Ok(Look::Deleted);
        }
        let status = &cluster.data["status"];
        if hibernation::is_wanted(cluster) || hibernation::is_under_way(status) {
            return Ok(hibernation::look(status));
        }
        if !cluster::is_ready(status) {
            let phase = status["phase"].as_str().unwrap_or("CloudNativePG has not seen the cluster yet");
            let reason = status["phaseReason"].as_str().filter(|reason| !reason.is_empty());
            let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
            return Ok(Look::Making(format!("{phase}{reason}")));
        }
        Ok(match self.endpoint(names, cluster).await? {
            Some(endpoint) => Look::Ready(endpoint),
            None => Look::Making("the secrets and services of the cluster are being made".into()),
        })
    }

    async fn list_ids<K>(&self, api: &Api<K>) -> Result<Vec<(ServerId, K)>, ProviderError>
    where
        K: kube::Resource + Clone + serde::de::DeserializeOwned + std::fmt::Debug,
    {
        let mut params = ListParams::default().labels(&cluster::selector(&self.settings.label)).limit(500);
        let mut found = Vec::new();
        loop {
            let page = call(api.list(&params)).await?;
            let next = page.metadata.continue_.clone().filter(|token| !token.is_empty());
            found.extend(page.items.into_iter().filter_map(|object| {
                let id = object.labels().get(SERVER)?.parse().ok()?;
                Some((id, object))
            }));
            let Some(token) = next else { return Ok(found) };
            params = params.continue_token(&token);
        }
    }
}

#[async_trait]
impl Provider for Kubernetes {
    fn kind(&self) -> server::Provider {
        server::Provider::Kubernetes
    }

    fn look_every(&self) -> Duration {
        self.settings.look_every
    }

    async fn order(&self, order: &Order) -> Result<(), ProviderError> {
        let names = Names::of(order.id);
        let owner = self.keep(&names.order, Some(order), order.id).await?;
        // Looked for after the order was made: whoever deletes leaves the mark first, and takes the order away then.
        if self.is_deleted(&names).await? {
            gone(self.config_maps.delete(&names.order, &DeleteParams::default())).await?;
            return Err(ProviderError::Permanent(format!("server {} was deleted", order.id)));
        }
        let Some(owner) = kube::Resource::owner_ref(&owner, &()) else {
            return Err(ProviderError::Transient("the API server has given an object no id".into()));
        };
        // One that is there may have been resized since: a worker that wakes up late leaves it as it is.
        if call(self.clusters.get_metadata_opt(&names.cluster)).await?.is_some() {
            return Ok(());
        }
        self.apply(order, owner, None).await
    }

    async fn resize(&self, order: &Order) -> Result<(), ProviderError> {
        let names = Names::of(order.id);
        let (owner, cluster) = try_join!(
            call(self.config_maps.get_opt(&names.order)),
            call(self.clusters.get_opt(&names.cluster)),
        )?;
        let owner = owner.and_then(|owner| kube::Resource::owner_ref(&owner, &()));
        let (Some(owner), Some(cluster)) = (owner, cluster) else {
            return Err(ProviderError::Permanent(format!("cluster {} was deleted", names.cluster)));
        };
        let runs = cluster::version_of(&cluster.data["spec"]);
        let mut order = order.clone();
        if order.template.version.is_some() && order.template.version != runs {
            return Err(ProviderError::Permanent(format!(
                "cluster {} cannot become another version of PostgreSQL while it is used; move its tenants to a new server",
                names.cluster
            )));
        }
        order.template.version = runs;
        self.apply(&order, owner, cluster.metadata.resource_version).await
    }

    async fn hibernate(&self, id: ServerId, asleep: bool, fence: i64) -> Result<(), ProviderError> {
        hibernation::set(&self.clusters, &Names::of(id).cluster, asleep, fence).await
    }

    async fn look(&self, id: ServerId) -> Result<Look, ProviderError> {
        let names = Names::of(id);
        let (deleted, cluster) =
            try_join!(self.is_deleted(&names), call(self.clusters.get_opt(&names.cluster)))?;
        match cluster {
            _ if deleted => Ok(Look::Deleted),
            None => Ok(Look::Unknown),
            Some(cluster) => self.describe(&names, &cluster).await,
        }
    }

    async fn delete(&self, id: ServerId) -> Result<(), ProviderError> {
        let names = Names::of(id);
        self.keep(&names.deleted, None, id).await?;
        gone(self.config_maps.delete(&names.order, &DeleteParams::default())).await?;
        let all_of_it = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Foreground),
            ..DeleteParams::default()
        };
        gone(self.clusters.delete(&names.cluster, &all_of_it)).await
    }

    async fn list(&self) -> Result<Vec<ServerId>, ProviderError> {
        let (clusters, config_maps) =
            try_join!(self.list_ids(&self.clusters), self.list_ids(&self.config_maps))?;
        let clusters = clusters.into_iter().filter(|(id, cluster)| {
            cluster.name_any() == Names::of(*id).cluster && cluster.metadata.deletion_timestamp.is_none()
        });
        let orders = config_maps.into_iter().filter(|(id, found)| found.name_any() == Names::of(*id).order);
        let mut made: Vec<ServerId> = clusters.map(|(id, _)| id).chain(orders.map(|(id, _)| id)).collect();
        made.sort_unstable();
        made.dedup();
        Ok(made)
    }

    async fn sweep(&self) -> Result<(), ProviderError> {
        let (clusters, config_maps) =
            try_join!(self.list_ids(&self.clusters), self.list_ids(&self.config_maps))?;
        let made = |id: &ServerId| clusters.iter().any(|(cluster, _)| cluster == id);
        for (id, config_map) in &config_maps {
            let names = Names::of(*id);
            // Others have these labels too, if somebody has copied one.
            if config_map.name_any() != names.deleted {
                continue;
            }
            let ordered = config_maps.iter().any(|(_, order)| order.name_any() == names.order);
            let swept = if made(id) || ordered {
                self.delete(*id).await
            } else if cluster::age(config_map) > REMEMBERED {
                gone(self.config_maps.delete(&names.deleted, &DeleteParams::default())).await
            } else {
                Ok(())
            };
            if let Err(error) = swept {
                tracing::warn!(server.id = %id, %error, "cluster {} is not deleted yet: {error}", names.cluster);
            }
        }
        Ok(())
    }

    /// Tells the registry of certificates that were renewed, and of ports that have changed.
    async fn supervise(self: Arc<Self>, registry: Registry, stop: CancellationToken) {
        Box::pin(stop.run_until_cancelled(self.watch(&registry))).await;
    }
}

/// One call of the API.
async fn call<T>(asked: impl Future<Output = Result<T, kube::Error>>) -> Result<T, ProviderError> {
    timeout(CALL_TIMEOUT, asked).await.map_err(|_| late())?.map_err(failed)
}

/// A deletion: what is not there is gone.
async fn gone<T>(deletion: impl Future<Output = Result<T, kube::Error>>) -> Result<(), ProviderError> {
    match timeout(CALL_TIMEOUT, deletion).await.map_err(|_| late())? {
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        done => done.map(drop).map_err(failed),
    }
}

fn late() -> ProviderError {
    ProviderError::Transient(format!(
        "the Kubernetes API has not answered within {} s",
        CALL_TIMEOUT.as_secs()
    ))
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn failed(error: kube::Error) -> ProviderError {
    let kube::Error::Api(status) = &error else {
        return ProviderError::Transient(format!("the Kubernetes API cannot be asked: {error}"));
    };
    let message = format!("the Kubernetes API answers {}: {}", status.code, status.message);
    // What a namespace may hold in all is no right of whoever asks.
    if status.code == 403 && status.message.contains("exceeded quota") {
        return ProviderError::Transient(message);
    }
    match status.code {
        404 => ProviderError::Permanent(format!(
            "{message}; is CloudNativePG installed, and is there that namespace?"
        )),
        403 => ProviderError::Permanent(format!("{message}; give the worker's service account that right")),
        400 | 405 | 415 | 422 => ProviderError::Permanent(message),
        _ => ProviderError::Transient(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(code: u16) -> ProviderError {
        let status = json!({ "status": "Failure", "code": code, "message": "so", "reason": "" });
        failed(kube::Error::Api(serde_json::from_value(status).unwrap()))
    }

    #[test]
    fn what_passes_is_told_from_what_does_not() {
        for code in [401, 409, 410, 429, 500, 503, 504] {
            assert!(matches!(answered(code), ProviderError::Transient(_)), "{code}");
        }
        for code in [400, 403, 404, 422] {
            assert!(matches!(answered(code), ProviderError::Permanent(_)), "{code}");
        }
    }
}
