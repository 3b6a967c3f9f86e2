//! Watches.

use std::{collections::HashMap, io, sync::Arc};

use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody};
use hyper::{Response, body::Frame};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{Answer, answer, kinds::Kind, store::Store};

/// Whether an object is among those that a list or watch is about.
pub(super) fn selected(object: &Value, query: &HashMap<String, String>) -> bool {
    let labels = query.get("labelSelector").map(String::as_str).unwrap_or_default();
    let mut terms = labels.split(',').filter(|term| !term.is_empty());
    let labelled = terms.all(|term| match term.split_once('=') {
        Some((name, value)) => object["metadata"]["labels"][name] == value.trim_start_matches('='),
        None => !object["metadata"]["labels"][term].is_null(),
    });
    let fields = query.get("fieldSelector").map(String::as_str).unwrap_or_default();
    let named = fields.strip_prefix("metadata.name=").is_none_or(|name| object["metadata"]["name"] == name);
    labelled && named
}

/// Tells what changes, one JSON object per line.
pub(super) fn stream(
    store: Arc<Store>,
    kind: Kind,
    namespace: Option<String>,
    query: &HashMap<String, String>,
) -> Answer {
    let (tell, told) = mpsc::channel::<Result<Frame<Bytes>, io::Error>>(64);
    let mut from: u64 = query.get("resourceVersion").and_then(|version| version.parse().ok()).unwrap_or(0);
    let initial = query.get("sendInitialEvents").is_some_and(|wanted| wanted == "true");
    let query = query.clone();
    tokio::spawn(async move {
        if initial {
            from = store.version();
            let here = store.list(kind.plural, namespace.as_deref());
            let here = here.into_iter().filter(|object| selected(object, &query));
            let end = json!({
                "kind": kind.name, "apiVersion": kind.api_version(),
                "metadata": {
                    "resourceVersion": from.to_string(),
                    "annotations": { "k8s.io/initial-events-end": "true" },
                },
            });
            let events = here.map(|object| ("ADDED", object)).chain([("BOOKMARK", end)]);
            for (kind, object) in events {
                if tell.send(Ok(line(&json!({ "type": kind, "object": object })))).await.is_err() {
                    return;
                }
            }
        }
        let mut news = store.changes();
        loop {
            news.borrow_and_update();
            let Some(new) = store.since(from) else {
                let gone = answer::status_object(410, "Expired", "too old resource version");
                let _ = tell.send(Ok(line(&json!({ "type": "ERROR", "object": gone })))).await;
                return;
            };
            for change in new {
                from = change.version;
                let here = namespace.as_ref().is_none_or(|namespace| change.key.1 == *namespace);
                if change.key.0 == kind.plural
                    && here
                    && selected(&change.object, &query)
                    && tell
                        .send(Ok(line(&json!({ "type": change.kind, "object": change.object }))))
                        .await
                        .is_err()
                {
                    return;
                }
            }
            tokio::select! {
                more = news.changed() => if more.is_err() { return },
                () = tell.closed() => return,
            }
        }
    });
    let lines = futures::stream::unfold(told, async |mut told| told.recv().await.map(|line| (line, told)));
    let body = StreamBody::new(lines).boxed_unsync();
    Response::builder().header("content-type", "application/json").body(body).expect("an answer")
}

fn line(event: &Value) -> Frame<Bytes> {
    Frame::data(Bytes::from(format!("{event}\n")))
}
