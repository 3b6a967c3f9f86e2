//! The kinds that the API server knows, and discovery.

use serde_json::{Value, json};

/// A kind of object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    pub(super) group: &'static str,
    pub(super) version: &'static str,
    pub(super) plural: &'static str,
    pub(super) name: &'static str,
    pub(super) namespaced: bool,
}

const fn kind(group: &'static str, version: &'static str, plural: &'static str, name: &'static str) -> Kind {
    Kind { group, version, plural, name, namespaced: true }
}

/// All of them.
pub(super) const KINDS: [Kind; 24] = [
    Kind { group: "", version: "v1", plural: "namespaces", name: "Namespace", namespaced: false },
    kind("", "v1", "configmaps", "ConfigMap"),
    kind("", "v1", "events", "Event"),
    kind("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim"),
    kind("", "v1", "pods", "Pod"),
    kind("", "v1", "secrets", "Secret"),
    kind("", "v1", "serviceaccounts", "ServiceAccount"),
    kind("", "v1", "services", "Service"),
    kind("apps", "v1", "deployments", "Deployment"),
    kind("apps", "v1", "replicasets", "ReplicaSet"),
    kind("apps", "v1", "statefulsets", "StatefulSet"),
    kind("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler"),
    kind("batch", "v1", "cronjobs", "CronJob"),
    kind("batch", "v1", "jobs", "Job"),
    kind("gateway.networking.k8s.io", "v1", "httproutes", "HTTPRoute"),
    kind("monitoring.coreos.com", "v1", "podmonitors", "PodMonitor"),
    kind("monitoring.coreos.com", "v1", "prometheusrules", "PrometheusRule"),
    kind("monitoring.coreos.com", "v1", "servicemonitors", "ServiceMonitor"),
    kind("networking.k8s.io", "v1", "ingresses", "Ingress"),
    kind("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy"),
    kind("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget"),
    kind("postgresql.cnpg.io", "v1", "clusters", "Cluster"),
    kind("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding"),
    kind("rbac.authorization.k8s.io", "v1", "roles", "Role"),
];

impl Kind {
    /// As objects name it.
    pub(super) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.into() } else { format!("{}/{}", self.group, self.version) }
    }
}

/// The kind of a path.
pub(super) fn find(group: &str, version: &str, plural: &str) -> Option<Kind> {
    KINDS.into_iter().find(|kind| kind.group == group && kind.version == version && kind.plural == plural)
}

/// `/version`
pub(super) fn version() -> Value {
    json!({ "major": "1", "minor": "33", "gitVersion": "v1.33.0", "platform": "linux/amd64" })
}

/// `/apis`
pub(super) fn groups() -> Value {
    let mut groups: Vec<(&str, &str)> = KINDS.iter().map(|kind| (kind.group, kind.version)).collect();
    groups.dedup();
    let groups = groups.into_iter().filter(|(group, _)| !group.is_empty()).map(|(group, version)| {
        let version = json!({ "groupVersion": format!("{group}/{version}"), "version": version });
        json!({ "name": group, "versions": [version], "preferredVersion": version })
    });
    json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups.collect::<Vec<_>>() })
}

/// `/api/v1` and `/apis/{group}/{version}`
pub(super) fn resources(group: &str, version: &str) -> Option<Value> {
    let kinds = KINDS.iter().filter(|kind| kind.group == group && kind.version == version);
    let resources: Vec<Value> = kinds
        .map(|kind| {
            json!({
                "name": kind.plural, "singularName": kind.name.to_lowercase(), "namespaced": kind.namespaced,
                "kind": kind.name,
                "verbs": ["create", "delete", "get", "list", "patch", "update", "watch"],
            })
        })
        .collect();
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    (!resources.is_empty()).then(|| {
        json!({
            "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources,
        })
    })
}
