//! A server as a CloudNativePG cluster: names, labels, and the manifest that is applied. Pure.

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::{
    api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::OwnerReference, jiff::Timestamp,
};
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::{Map, Value, json};
use tenantry_domain::{ids::ServerId, server_template::ServerTemplate};

use crate::providers::Order;

/// The label with the id of a server.
pub(super) const SERVER: &str = "tenantry.io/server";

/// How long a deletion is remembered.
pub(super) const REMEMBERED: Duration = Duration::from_hours(24);

/// Where CloudNativePG has its images.
const IMAGE: &str = "ghcr.io/cloudnative-pg/postgresql";

/// The disk of a server that no class says more of.
const STORAGE: &str = "10Gi";

/// CloudNativePG's kind.
pub(super) fn cluster_kind() -> ApiResource {
    ApiResource::from_gvk_with_plural(
        &GroupVersionKind::gvk("postgresql.cnpg.io", "v1", "Cluster"),
        "clusters",
    )
}

/// The names of a server's objects.
pub(super) struct Names {
    pub(super) cluster: String,
    pub(super) order: String,
    pub(super) deleted: String,
    /// Made by CloudNativePG.
    pub(super) superuser: String,
    pub(super) ca: String,
    pub(super) service: String,
    /// Made by it because the manifest says so.
    pub(super) node_service: String,
}

impl Names {
    pub(super) fn of(id: ServerId) -> Self {
        let cluster = format!("tenantry-{id}");
        Self {
            order: cluster.clone(),
            deleted: format!("{cluster}-deleted"),
            superuser: format!("{cluster}-superuser"),
            ca: format!("{cluster}-ca"),
            service: format!("{cluster}-rw"),
            node_service: format!("{cluster}-node"),
            cluster,
        }
    }
}

/// The labels of all objects of a registry.
pub(super) fn selector(registry: &str) -> String {
    format!("app.kubernetes.io/managed-by=tenantry,tenantry.io/registry={registry}")
}

/// What an object is for.
pub(super) fn labels(id: ServerId, registry: &str, order: Option<&Order>) -> BTreeMap<&'static str, String> {
    let mut labels = BTreeMap::from([
        ("app.kubernetes.io/managed-by", "tenantry".to_owned()),
        ("tenantry.io/registry", registry.to_owned()),
        (SERVER, id.to_string()),
    ]);
    if let Some(order) = order {
        // The tenant's slug, or the server's name: both are shorter than a label may be.
        labels.insert("tenantry.io/for", order.label.clone());
        labels.insert("tenantry.io/operation", order.operation.to_string());
    }
    labels
}

/// What is applied for an order.
pub(super) fn manifest(
    order: &Order,
    names: &Names,
    registry: &str,
    node_host: Option<&str>,
    owner: &OwnerReference,
) -> DynamicObject {
    let labels = labels(order.id, registry, Some(order));
    let mut spec = spec(&order.template, &labels);
    if let Some(host) = node_host {
        reach_by_node(&mut spec, names, host);
    }
    merge(&mut spec, Value::Object(order.template.spec.clone()));
    ours(&mut spec);
    let metadata = json!({ "name": names.cluster, "labels": labels, "ownerReferences": [owner] });
    let object = json!({ "apiVersion": "postgresql.cnpg.io/v1", "kind": "Cluster", "metadata": metadata, "spec": spec });
    serde_json::from_value(object).expect("an object")
}

fn spec(template: &ServerTemplate, labels: &BTreeMap<&'static str, String>) -> Value {
    let size = &template.size;
    let mut parameters: Map<String, Value> =
        [("max_connections", "200"), ("max_replication_slots", "64"), ("max_wal_senders", "64")]
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect();
    parameters.extend(template.parameters.iter().map(|(name, value)| (name.clone(), value.clone().into())));
    let mut spec = json!({
        "instances": size.instances.unwrap_or(1),
        "storage": { "size": size.storage.as_ref().map_or(STORAGE, |storage| storage.as_str()) },
        "postgresql": { "parameters": parameters },
        // Standbys on other nodes than what they stand by for, where there are others.
        "affinity": { "enablePodAntiAffinity": true, "podAntiAffinityType": "preferred" },
        "inheritedMetadata": { "labels": labels },
    });
    if let Some(class) = &size.storage_class {
        spec["storage"]["storageClass"] = class.clone().into();
    }
    if let Some(version) = template.version {
        spec["imageName"] = format!("{IMAGE}:{version}").into();
    }
    let amounts = [("cpu", &size.cpu), ("memory", &size.memory)];
    let amounts: Map<String, Value> = amounts
        .into_iter()
        .filter_map(|(name, amount)| Some((name.to_owned(), amount.as_ref()?.as_str().into())))
        .collect();
    if !amounts.is_empty() {
        // Requests that are limits: a database that is evicted for its neighbours' memory is an outage.
        spec["resources"] = json!({ "requests": amounts, "limits": amounts });
    }
    spec
}

/// Has a port of every node lead to the primary, whose certificate is for that name too.
fn reach_by_node(spec: &mut Value, names: &Names, host: &str) {
    let service = json!({
        "selectorType": "rw",
        "serviceTemplate": { "metadata": { "name": names.node_service }, "spec": { "type": "NodePort" } },
    });
    spec["managed"] = json!({ "services": { "additional": [service] } });
    spec["certificates"] = json!({ "serverAltDNSNames": [host] });
}

/// What a class has no say in: Tenantry administers the server, and moves tenants by logical replication.
fn ours(spec: &mut Value) {
    merge(
        spec,
        json!({
            "enableSuperuserAccess": true,
            "postgresql": { "parameters": { "wal_level": "logical" } },
        }),
    );
}

/// Lays a JSON merge patch over a value (RFC 7396).
fn merge(value: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *value = patch;
        return;
    };
    if !value.is_object() {
        *value = json!({});
    }
    let Some(members) = value.as_object_mut() else { return };
    for (name, change) in patch {
        if change.is_null() {
            members.remove(&name);
        } else {
            merge(members.entry(name).or_insert(Value::Null), change);
        }
    }
}

/// The major version of PostgreSQL that a cluster's spec names.
pub(super) fn version_of(spec: &Value) -> Option<u16> {
    let tag = spec["imageName"].as_str()?.strip_prefix(IMAGE)?.strip_prefix(':')?;
    tag.split(['.', '-']).next()?.parse().ok()
}

/// Whether all of a cluster's instances are ready, as CloudNativePG says.
pub(super) fn is_ready(status: &Value) -> bool {
    let conditions = status["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

/// How long ago an object was made.
pub(super) fn age(object: &ConfigMap) -> Duration {
    let made = object.metadata.creation_timestamp.as_ref().map(|time| time.0);
    made.and_then(|made| Timestamp::now().duration_since(made).try_into().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use tenantry_domain::{
        ids::OperationId,
        server_template::{Quantity, ServerSize},
    };

    use super::*;

    fn manifest_of(template: ServerTemplate, node_host: Option<&str>) -> Value {
        let id: ServerId = "01900000-0000-7000-8000-000000000001".parse().unwrap();
        let operation: OperationId = "01900000-0000-7000-8000-000000000002".parse().unwrap();
        let order = Order { id, label: "acme".into(), operation, template };
        let owner = OwnerReference { name: "order".into(), uid: "7".into(), ..OwnerReference::default() };
        serde_json::to_value(manifest(&order, &Names::of(id), "main", node_host, &owner)).unwrap()
    }

    /// One that says all that a class can say.
    fn everything() -> ServerTemplate {
        let quantity = |text| Some(Quantity::parse(text).unwrap());
        ServerTemplate {
            version: Some(17),
            size: ServerSize {
                cpu: quantity("2"),
                memory: quantity("8Gi"),
                storage: quantity("100Gi"),
                storage_class: Some("fast".into()),
                instances: Some(3),
                instance_class: None,
            },
            parameters: BTreeMap::from([("work_mem".into(), "16MB".into())]),
            spec: json!({
                "affinity": { "podAntiAffinityType": "required" },
                "backup": { "barmanObjectStore": { "destinationPath": "s3://there" } },
                "postgresql": { "parameters": { "wal_level": "replica" } },
                "inheritedMetadata": null,
            })
            .as_object()
            .unwrap()
            .clone(),
        }
    }

    /// `.ci/charts` looks whether CloudNativePG has all members of what is in that file, of the types that they have there.
    #[test]
    fn what_is_checked_by_the_published_schema_is_what_is_applied() {
        let template = ServerTemplate { spec: Map::new(), ..everything() };
        let applied = manifest_of(template, Some("nodes.example.com"));
        let checked: Value =
            serde_json::from_str(include_str!("../../../../charts/checks/tenant_cluster.json")).unwrap();
        assert_eq!(checked, applied, "charts/checks/tenant_cluster.json is to be:\n{applied:#}");
    }

    #[test]
    fn a_cluster_is_what_its_class_says() {
        let spec = &manifest_of(everything(), None)["spec"];
        assert_eq!(spec["imageName"], "ghcr.io/cloudnative-pg/postgresql:17");
        assert_eq!((&spec["instances"], &spec["storage"]["storageClass"]), (&json!(3), &json!("fast")));
        assert_eq!(spec["resources"]["limits"], json!({ "cpu": "2", "memory": "8Gi" }));
        assert_eq!(spec["affinity"]["podAntiAffinityType"], "required");
        assert_eq!(spec["affinity"]["enablePodAntiAffinity"], true);
        assert_eq!(spec["backup"]["barmanObjectStore"]["destinationPath"], "s3://there");
        let parameters = &spec["postgresql"]["parameters"];
        assert_eq!((&parameters["work_mem"], &parameters["wal_level"]), (&json!("16MB"), &json!("logical")));
        assert!(spec.get("inheritedMetadata").is_none() && spec.get("certificates").is_none());
        assert_eq!(spec["enableSuperuserAccess"], true);
    }

    #[test]
    fn a_cluster_says_whose_it_is_and_what_for() {
        let object = manifest_of(ServerTemplate::default(), Some("nodes.example.com"));
        let metadata = &object["metadata"];
        assert_eq!(metadata["name"], "tenantry-01900000-0000-7000-8000-000000000001");
        assert_eq!(metadata["labels"]["tenantry.io/for"], "acme");
        assert_eq!(metadata["labels"]["tenantry.io/registry"], "main");
        assert_eq!(metadata["ownerReferences"][0]["uid"], "7");
        assert_eq!(object["spec"]["certificates"]["serverAltDNSNames"], json!(["nodes.example.com"]));
        let service = &object["spec"]["managed"]["services"]["additional"][0]["serviceTemplate"];
        assert_eq!(service["spec"]["type"], "NodePort");
    }

    #[test]
    fn a_patch_is_laid_over_as_the_rfc_says() {
        let mut value = json!({ "a": { "b": 1, "c": 2 }, "d": [1, 2], "e": 1 });
        merge(&mut value, json!({ "a": { "b": null, "f": { "g": null } }, "d": [3], "e": { "h": 1 } }));
        assert_eq!(value, json!({ "a": { "c": 2, "f": {} }, "d": [3], "e": { "h": 1 } }));
    }
}
