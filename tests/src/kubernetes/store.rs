//! The objects, and what has changed.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::SecondsFormat;
use serde_json::{Value, json};
use tenantry_domain::{Clock, SystemClock};
use tokio::sync::watch;

use super::{
    apply,
    kinds::{self, Kind},
};

/// What an object is known by: plural, namespace, name.
pub(super) type Key = (&'static str, String, String);

/// A change, in the order of its version.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) version: u64,
    pub(super) kind: &'static str,
    pub(super) key: Key,
    pub(super) object: Value,
}

/// Why something is not done: status, reason, message.
pub(super) type Refused = (u16, &'static str, String);

#[derive(Default)]
struct Objects {
    by_key: BTreeMap<Key, Value>,
    /// What each manager has applied last.
    applied: HashMap<(Key, String), Value>,
    version: u64,
    history: Vec<Change>,
    /// Changes up to this version are forgotten.
    forgotten: u64,
    requests: Vec<String>,
}

/// See the module.
pub(super) struct Store {
    objects: Mutex<Objects>,
    changed: watch::Sender<u64>,
}

impl Store {
    pub(super) fn new() -> Self {
        Self { objects: Mutex::default(), changed: watch::channel(0).0 }
    }

    fn objects(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn seed_namespace(&self, name: &str) {
        let kind = kinds::find("", "v1", "namespaces").expect("a kind");
        self.create(kind, "", json!({ "metadata": { "name": name } })).expect("a namespace");
    }

    /// Is told of every change.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub(super) fn note_request(&self, request: String) {
        self.objects().requests.push(request);
    }

    pub(super) fn requests(&self) -> Vec<String> {
        self.objects().requests.clone()
    }

    pub(super) fn version(&self) -> u64 {
        self.objects().version
    }

    pub(super) fn forget_history(&self) {
        let mut objects = self.objects();
        // One more version, so that whoever has seen the last one is late too.
        objects.version += 1;
        objects.forgotten = objects.version;
        objects.history.clear();
    }

    /// What has changed after a version; none: that is forgotten.
    pub(super) fn since(&self, version: u64) -> Option<Vec<Change>> {
        let objects = self.objects();
        if version < objects.forgotten {
            return None;
        }
        Some(objects.history.iter().filter(|change| change.version > version).cloned().collect())
    }

    pub(super) fn get(&self, key: &Key) -> Option<Value> {
        self.objects().by_key.get(key).cloned()
    }

    pub(super) fn list(&self, plural: &str, namespace: Option<&str>) -> Vec<Value> {
        let objects = self.objects();
        let fits = |key: &Key| key.0 == plural && namespace.is_none_or(|namespace| key.1 == namespace);
        objects.by_key.iter().filter(|(key, _)| fits(key)).map(|(_, object)| object.clone()).collect()
    }

    pub(super) fn list_all(&self, plural: &str, namespace: &str) -> Vec<Value> {
        self.list(plural, Some(namespace))
    }

    pub(super) fn names(&self, namespace: &str) -> Vec<String> {
        let objects = self.objects();
        let inside = objects.by_key.keys().filter(|key| key.1 == namespace);
        inside.map(|(plural, _, name)| format!("{plural}/{name}")).collect()
    }

    pub(super) fn create(&self, kind: Kind, namespace: &str, mut object: Value) -> Result<Value, Refused> {
        let mut objects = self.objects();
        if object["metadata"]["name"].is_null()
            && let Some(start) = object["metadata"]["generateName"].as_str()
        {
            let name = format!("{start}{:05x}", objects.version);
            object["metadata"]["name"] = name.into();
        }
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        if name.is_empty() || name.len() > 253 {
            return Err((
                422,
                "Invalid",
                "metadata.name: Required value: name or generateName is required".into(),
            ));
        }
        let namespaces = ("namespaces", String::new(), namespace.to_owned());
        if kind.namespaced && !objects.by_key.contains_key(&namespaces) {
            return Err((404, "NotFound", format!("namespaces \"{namespace}\" not found")));
        }
        let key = (kind.plural, namespace.to_owned(), name.clone());
        if objects.by_key.contains_key(&key) {
            return Err((409, "AlreadyExists", format!("{} \"{name}\" already exists", kind.plural)));
        }
        object["apiVersion"] = kind.api_version().into();
        object["kind"] = kind.name.into();
        let metadata = &mut object["metadata"];
        metadata["uid"] = format!("uid-{}", objects.version).into();
        metadata["creationTimestamp"] = SystemClock.now().to_rfc3339_opts(SecondsFormat::Secs, true).into();
        metadata["generation"] = 1.into();
        if kind.namespaced {
            metadata["namespace"] = namespace.into();
        }
        encode_secret(&mut object);
        Ok(self.put(&mut objects, key, object, "ADDED"))
    }

    /// Changes an object that is there.
    pub(super) fn change(
        &self,
        key: &Key,
        change: impl FnOnce(&mut Value) -> Result<(), Refused>,
    ) -> Result<Value, Refused> {
        let mut objects = self.objects();
        let Some(before) = objects.by_key.get(key).cloned() else { return Err(not_found(key)) };
        let mut object = before.clone();
        change(&mut object)?;
        encode_secret(&mut object);
        if object == before {
            return Ok(object);
        }
        if object["spec"] != before["spec"] {
            object["metadata"]["generation"] =
                (before["metadata"]["generation"].as_u64().unwrap_or(0) + 1).into();
        }
        Ok(self.put(&mut objects, key.clone(), object, "MODIFIED"))
    }

    /// Server-side apply.
    pub(super) fn apply(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        manager: &str,
        force: bool,
        config: Value,
    ) -> Result<Value, Refused> {
        let key = (kind.plural, namespace.to_owned(), name.to_owned());
        if self.get(&key).is_none() {
            let mut new = config.clone();
            new["metadata"]["name"] = name.into();
            match self.create(kind, namespace, new) {
                // Somebody else was faster.
                Err((409, ..)) => {}
                created => {
                    let created = created?;
                    self.objects().applied.insert((key, manager.to_owned()), config);
                    return Ok(created);
                }
            }
        }
        let (before, others): (Value, Vec<(String, Value)>) = {
            let objects = self.objects();
            let of_it = objects.applied.iter().filter(|((applied_to, _), _)| *applied_to == key);
            let (mine, others): (Vec<_>, Vec<_>) = of_it
                .map(|((_, by), applied)| (by.clone(), applied.clone()))
                .partition(|(by, _)| by == manager);
            (mine.into_iter().next().map(|(_, applied)| applied).unwrap_or_default(), others)
        };
        for (other, theirs) in others {
            if !force && let Some(path) = apply::conflict(&theirs["spec"], &config["spec"], ".spec") {
                let message = format!("Apply failed with 1 conflict: conflict with \"{other}\": {path}");
                return Err((409, "Conflict", message));
            }
        }
        let applied = self.change(&key, |object| {
            apply::apply(object, &before, &config);
            Ok(())
        })?;
        self.objects().applied.insert((key, manager.to_owned()), config);
        Ok(applied)
    }

    /// Marks an object as being deleted, for whoever looks after it.
    pub(super) fn begin_deletion(&self, key: &Key) -> Result<Value, Refused> {
        self.change(key, |object| {
            if object["metadata"]["deletionTimestamp"].is_null() {
                object["metadata"]["deletionTimestamp"] = object["metadata"]["creationTimestamp"].clone();
            }
            Ok(())
        })
    }

    pub(super) fn remove(&self, key: &Key) -> Result<Value, Refused> {
        let mut objects = self.objects();
        let object = objects.by_key.remove(key).ok_or_else(|| not_found(key))?;
        objects.applied.retain(|(applied_to, _), _| applied_to != key);
        self.note(&mut objects, key.clone(), object.clone(), "DELETED");
        Ok(object)
    }

    /// Objects whose owners are all gone, as the garbage collector finds them.
    pub(super) fn without_owner(&self) -> Vec<Key> {
        let objects = self.objects();
        let there = |uid: &Value| objects.by_key.values().any(|object| object["metadata"]["uid"] == *uid);
        let orphan = |object: &Value| {
            let owners = object["metadata"]["ownerReferences"].as_array();
            owners
                .is_some_and(|owners| !owners.is_empty() && !owners.iter().any(|owner| there(&owner["uid"])))
        };
        objects.by_key.iter().filter(|(_, object)| orphan(object)).map(|(key, _)| key.clone()).collect()
    }

    fn put(&self, objects: &mut Objects, key: Key, mut object: Value, kind: &'static str) -> Value {
        object["metadata"]["resourceVersion"] = (objects.version + 1).to_string().into();
        objects.by_key.insert(key.clone(), object.clone());
        self.note(objects, key, object.clone(), kind);
        object
    }

    fn note(&self, objects: &mut Objects, key: Key, mut object: Value, kind: &'static str) {
        objects.version += 1;
        let version = objects.version;
        object["metadata"]["resourceVersion"] = version.to_string().into();
        objects.history.push(Change { version, kind, key, object });
        self.changed.send_replace(version);
    }
}

fn not_found(key: &Key) -> Refused {
    (404, "NotFound", format!("{} \"{}\" not found", key.0, key.2))
}

/// `stringData` is for writing.
fn encode_secret(object: &mut Value) {
    if object["kind"] != "Secret" {
        return;
    }
    let Some(texts) = object.as_object_mut().and_then(|secret| secret.remove("stringData")) else { return };
    for (name, text) in texts.as_object().into_iter().flatten() {
        object["data"][name] = STANDARD.encode(text.as_str().unwrap_or_default()).into();
    }
}
