//! Server-side apply and merge patches.

use serde_json::{Map, Value, json};

/// Members that one object gives and another one does not are removed; all others are as the new one says.
pub(super) fn apply(live: &mut Value, before: &Value, now: &Value) {
    remove(live, before, now);
    merge(live, now);
}

fn remove(live: &mut Value, before: &Value, now: &Value) {
    let (Some(live), Some(before)) = (live.as_object_mut(), before.as_object()) else { return };
    for (name, value) in before {
        match now.get(name) {
            None => drop(live.remove(name)),
            Some(still) => {
                if let Some(inner) = live.get_mut(name) {
                    remove(inner, value, still);
                }
            }
        }
    }
}

/// Lays an object over another one.
pub(super) fn merge(live: &mut Value, change: &Value) {
    let Some(change) = change.as_object() else {
        *live = change.clone();
        return;
    };
    if !live.is_object() {
        *live = Value::Object(Map::new());
    }
    for (name, value) in change {
        merge(&mut live[name.as_str()], value);
    }
}

/// The same where `null` removes a member.
pub(super) fn merge_patch(live: &mut Value, patch: &Value) {
    let Some(members) = patch.as_object() else {
        *live = patch.clone();
        return;
    };
    if !live.is_object() {
        *live = json!({});
    }
    for (name, value) in members {
        if value.is_null() {
            live.as_object_mut().expect("an object").remove(name);
        } else {
            merge_patch(&mut live[name.as_str()], value);
        }
    }
}

/// The first member that both give, and give differently.
pub(super) fn conflict(theirs: &Value, ours: &Value, path: &str) -> Option<String> {
    match (theirs, ours) {
        (Value::Object(theirs), Value::Object(ours)) => theirs
            .iter()
            .find_map(|(name, value)| conflict(value, ours.get(name)?, &format!("{path}.{name}"))),
        (theirs, ours) => (theirs != ours).then(|| path.to_owned()),
    }
}
