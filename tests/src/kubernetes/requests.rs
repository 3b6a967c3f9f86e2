//! From a request to its answer.

use std::{collections::HashMap, sync::Arc};

use http_body_util::BodyExt;
use hyper::{Method, Request, body::Incoming};
use serde_json::{Value, json};

use super::{
    Answer, NAMESPACE, answer, apply,
    kinds::{self, Kind},
    store::{Key, Refused, Store},
    watch,
};

/// What a path names.
struct Target {
    kind: Kind,
    namespace: Option<String>,
    name: Option<String>,
    part: Option<String>,
}

fn target(path: &str) -> Option<Target> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let (group, version, rest) = match parts.as_slice() {
        ["api", version, rest @ ..] => ("", *version, rest),
        ["apis", group, version, rest @ ..] => (*group, *version, rest),
        _ => return None,
    };
    let (namespace, plural, rest) = match rest {
        ["namespaces", namespace, plural, rest @ ..] if kinds::find(group, version, plural).is_some() => {
            (Some((*namespace).to_owned()), *plural, rest)
        }
        [plural, rest @ ..] => (None, *plural, rest),
        [] => return None,
    };
    let kind = kinds::find(group, version, plural)?;
    let text = |at: usize| rest.get(at).map(|part| (*part).to_owned());
    Some(Target { kind, namespace, name: text(0), part: text(1) })
}

/// Answers a request.
pub(super) async fn answer(request: Request<Incoming>, store: &Arc<Store>) -> Answer {
    let (head, body) = request.into_parts();
    let path = head.uri.path().to_owned();
    store.note_request(format!("{} {path}", head.method));
    let token = head.headers.get("authorization").and_then(|value| value.to_str().ok());
    if token != Some(&format!("Bearer {}", answer::TOKEN)) {
        return answer::status(401, "Unauthorized");
    }
    let query: HashMap<String, String> =
        url::form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let content = head.headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let Ok(body) = body.collect().await else { return answer::status(400, "the body has no end") };
    let body = body.to_bytes();
    let body: Value = if body.is_empty() {
        Value::Null
    } else {
        match serde_json::from_slice(&body) {
            Ok(body) => body,
            Err(error) => return answer::status(400, &format!("the body is no JSON: {error}")),
        }
    };
    if let Some(found) = discover(&path) {
        return found;
    }
    let Some(target) = target(&path) else {
        return answer::status(404, "the server could not find the requested resource");
    };
    let wants_watch = query.get("watch").is_some_and(|watch| watch == "true" || watch == "1");
    if head.method == Method::GET && target.name.is_none() && wants_watch {
        return watch::stream(Arc::clone(store), target.kind, target.namespace, &query);
    }
    match act(&head.method, &target, &query, content, body, store) {
        Ok((code, object)) => answer::object(code, &object),
        Err((code, reason, message)) => answer::because(code, reason, &message),
    }
}

fn discover(path: &str) -> Option<Answer> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let found = match parts.as_slice() {
        ["version"] => kinds::version(),
        // Documents without definitions: whoever asks finds nothing to check by.
        ["openapi", "v2"] => {
            return Some(answer::nothing("application/com.github.proto-openapi.spec.v2.v1.0+protobuf"));
        }
        ["openapi", "v3"] => json!({ "paths": {} }),
        ["api"] => json!({ "kind": "APIVersions", "versions": ["v1"] }),
        ["apis"] => kinds::groups(),
        ["api", "v1"] => kinds::resources("", "v1")?,
        ["apis", group, version] => kinds::resources(group, version)?,
        _ => return None,
    };
    Some(answer::object(200, &found))
}

fn act(
    method: &Method,
    target: &Target,
    query: &HashMap<String, String>,
    content: &str,
    body: Value,
    store: &Store,
) -> Result<(u16, Value), Refused> {
    let Target { kind, namespace, name, part } = target;
    let within = namespace.clone().unwrap_or_default();
    let Some(name) = name else {
        return match *method {
            Method::GET => Ok((200, list(store, *kind, namespace.as_deref(), query))),
            Method::POST => Ok((201, store.create(*kind, &within, body)?)),
            _ => Err(not_allowed()),
        };
    };
    let key: Key = (kind.plural, within.clone(), name.clone());
    match *method {
        Method::GET => {
            let not_found = || (404, "NotFound", format!("{} \"{name}\" not found", kind.plural));
            Ok((200, store.get(&key).ok_or_else(not_found)?))
        }
        Method::PUT => Ok((200, store.change(&key, |object| replace(object, body, part.as_deref()))?)),
        Method::PATCH if content.starts_with("application/apply-patch") => {
            let manager = query.get("fieldManager").map(String::as_str).unwrap_or_default();
            if manager.is_empty() {
                return Err((
                    400,
                    "BadRequest",
                    "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required".into(),
                ));
            }
            let force = query.get("force").is_some_and(|force| force == "true");
            Ok((200, store.apply(*kind, &within, name, manager, force, body)?))
        }
        Method::PATCH if content.contains("merge-patch") => Ok((
            200,
            store.change(&key, |object| {
                refuse_another_version(object, &body)?;
                apply::merge_patch(object, &body);
                Ok(())
            })?,
        )),
        Method::DELETE => {
            let object = store.get(&key);
            let wanted = &body["preconditions"]["uid"];
            if object.is_some_and(|object| !wanted.is_null() && object["metadata"]["uid"] != *wanted) {
                return Err((409, "Conflict", "the UID in the precondition does not match".into()));
            }
            // Whoever looks after clusters takes them away.
            let deleted = if kind.name == "Cluster" && within == NAMESPACE {
                store.begin_deletion(&key)?
            } else {
                store.remove(&key)?
            };
            Ok((200, deleted))
        }
        _ => Err(not_allowed()),
    }
}

fn not_allowed() -> Refused {
    (405, "MethodNotAllowed", "the server does not allow this method on the requested resource".into())
}

/// What is for a version of an object changes no other one.
fn refuse_another_version(object: &Value, body: &Value) -> Result<(), Refused> {
    let version = &body["metadata"]["resourceVersion"];
    if version.is_null() || *version == object["metadata"]["resourceVersion"] {
        return Ok(());
    }
    let message =
        "the object has been modified; please apply your changes to the latest version and try again";
    Err((409, "Conflict", message.into()))
}

fn replace(object: &mut Value, mut body: Value, part: Option<&str>) -> Result<(), Refused> {
    refuse_another_version(object, &body)?;
    if part == Some("status") {
        object["status"] = body["status"].take();
        return Ok(());
    }
    for kept in ["uid", "creationTimestamp", "generation", "resourceVersion"] {
        body["metadata"][kept] = object["metadata"][kept].clone();
    }
    *object = body;
    Ok(())
}

fn list(store: &Store, kind: Kind, namespace: Option<&str>, query: &HashMap<String, String>) -> Value {
    let version = store.version();
    let mut items = store.list(kind.plural, namespace);
    items.retain(|object| watch::selected(object, query));
    // Pages begin where the one before ended.
    let start: usize = query.get("continue").and_then(|token| token.parse().ok()).unwrap_or(0);
    let limit = query.get("limit").and_then(|limit| limit.parse().ok()).filter(|limit| *limit > 0);
    let end = limit.map_or(items.len(), |limit: usize| (start + limit).min(items.len()));
    let next = if end < items.len() { end.to_string() } else { String::new() };
    let page = items.get(start..end).unwrap_or_default();
    json!({
        "kind": format!("{}List", kind.name), "apiVersion": kind.api_version(), "items": page,
        "metadata": { "resourceVersion": version.to_string(), "continue": next },
    })
}
