//! Clusters that are stopped: CloudNativePG deletes their pods and keeps their volumes while an annotation says so.
//!
//! A merge patch sets the annotation, so that it is no member of what is applied: a resize leaves it as it is.

use kube::{
    Api, ResourceExt,
    api::{DynamicObject, Patch, PatchParams},
};
use serde_json::{Value, json};

use super::{FIELD_MANAGER, call};
use crate::providers::{Look, ProviderError};

/// The annotation, and the condition that tells what became of it.
const HIBERNATION: &str = "cnpg.io/hibernation";

/// The fence of whoever has set it last.
const FENCE: &str = "tenantry.io/hibernation-fence";

/// Stops a cluster, or starts it again, unless somebody with a higher fence has said something since. The patch is for the
/// version that was looked at, so that nobody can come in between.
pub(super) async fn set(
    clusters: &Api<DynamicObject>,
    name: &str,
    asleep: bool,
    fence: i64,
) -> Result<(), ProviderError> {
    let Some(cluster) = call(clusters.get_opt(name)).await? else {
        return Err(ProviderError::Permanent(format!("cluster {name} was deleted")));
    };
    let before = cluster.annotations().get(FENCE).and_then(|fence| fence.parse::<i64>().ok());
    if before.is_some_and(|before| before > fence) {
        return Err(ProviderError::Transient(format!("somebody else looks after cluster {name} by now")));
    }
    let value = if asleep { "on" } else { "off" };
    let patch = json!({ "metadata": {
        "resourceVersion": cluster.resource_version(),
        "annotations": { HIBERNATION: value, FENCE: fence.to_string() },
    } });
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
    call(clusters.patch(name, &params, &Patch::Merge(patch))).await?;
    Ok(())
}

/// Whether a cluster is to be stopped.
pub(super) fn is_wanted(cluster: &DynamicObject) -> bool {
    cluster.annotations().get(HIBERNATION).is_some_and(|value| value == "on")
}

fn condition(status: &Value) -> Option<&Value> {
    status["conditions"].as_array()?.iter().find(|condition| condition["type"] == HIBERNATION)
}

/// Whether CloudNativePG says that a cluster is stopped, or being stopped. It takes that back when the cluster is to run.
pub(super) fn is_under_way(status: &Value) -> bool {
    condition(status).is_some()
}

/// How far it has come.
pub(super) fn look(status: &Value) -> Look {
    match condition(status) {
        Some(condition) if condition["status"] == "True" => Look::Hibernated,
        Some(condition) => {
            let message = condition["message"].as_str().unwrap_or("its pods are being deleted");
            Look::Making(message.to_owned())
        }
        None => Look::Making("CloudNativePG is to stop the cluster".into()),
    }
}
