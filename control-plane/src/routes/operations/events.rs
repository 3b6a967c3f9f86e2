//! `GET /api/v1/operations/{id}/events`

use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use chrono::{DateTime, Utc};
use futures::{Stream, stream};
use serde::Serialize;
use tenantry_domain::{
    Clock,
    ids::OperationId,
    operation::{Operation, OperationEvent, OperationState},
};
use tenantry_http::Problem;
use tenantry_registry::{Registry, RegistryError};
use tokio::time::sleep;
use utoipa::ToSchema;
use uuid::Uuid;

use super::view::share;
use crate::{
    auth::{Authorized, scopes::OperationsRead},
    input::InPath,
    operation_watch::{OperationWatch, Subscription, Woken},
    refusal::Refusal,
    vocabulary,
};

/// Events that are read at once.
const BATCH: i64 = 200;
/// A comment goes out after this long without an event, so that proxies keep the connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// News may be lost with a connection that looks alive: look again after this long without any.
const WITHOUT_NEWS: Duration = Duration::from_secs(5);

/// One line of an operation's story; or how far its running step is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EventView {
    /// Grows; a stream resumes after it. Progress has that of the last event.
    id: i64,
    /// The operation.
    operation_id: Uuid,
    /// queued, started, `step_started`, `step_finished`, retrying, waiting, `step_undone`, stuck, succeeded,
    /// failed or cancelled; progress within a step, which is not kept.
    #[schema(value_type = vocabulary::EventKind)]
    kind: &'static str,
    /// The step it is about.
    step: Option<String>,
    /// Share of the operation that is done, 0 to 1.
    progress: f64,
    /// For a person.
    message: String,
    /// When.
    at: DateTime<Utc>,
}

impl From<OperationEvent> for EventView {
    fn from(event: OperationEvent) -> Self {
        Self {
            id: event.id,
            operation_id: event.operation_id.as_uuid(),
            kind: event.kind.as_str(),
            step: event.step,
            progress: share(event.progress),
            message: event.message,
            at: event.at,
        }
    }
}

/// The story of an operation, as it goes on
///
/// Server-Sent Events: `id` is the event's id, `event` its kind, `data` the event as JSON. Progress within a step comes
/// without an id, since it is not kept. The stream ends after the last event; asked again after that one, it answers
/// 204, which tells browsers to stop.
#[utoipa::path(
    get, path = "/api/v1/operations/{id}/events", tag = "operations",
    params(
        ("id" = Uuid, Path, description = "The operation's id"),
        ("Last-Event-ID" = Option<i64>, Header, description = "Begin after this event"),
    ),
    responses(
        (status = 200, description = "The stream; this is one event's data", content_type = "text/event-stream", body = EventView),
        (status = 204, description = "Nothing comes after that event"),
    ),
    security(("apiKey" = ["operations:read"])),
)]
pub(crate) async fn operation_events(
    _: Authorized<OperationsRead>,
    InPath(id): InPath<OperationId>,
    headers: HeaderMap,
    State(registry): State<Registry>,
    State(watch): State<OperationWatch>,
    State(clock): State<Arc<dyn Clock>>,
) -> Result<Response, Refusal> {
    story(id, &headers, registry, &watch, clock).await
}

/// The stream of an operation's events.
pub(crate) async fn story(
    id: OperationId,
    headers: &HeaderMap,
    registry: Registry,
    watch: &OperationWatch,
    clock: Arc<dyn Clock>,
) -> Result<Response, Refusal> {
    let after = last_event_id(headers)?;
    let subscription = watch.subscribe(id);
    let operation = registry.operation_get(id).await?.ok_or_else(|| Refusal::not_found("operation"))?;
    let said = operation.message.clone();
    let mut story =
        Story { registry, subscription, clock, after, unsent: VecDeque::new(), said, ended: false };
    story.read().await?;
    if story.unsent.is_empty() && operation.state.is_at_rest() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let events = Sse::new(story.events()).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    // nginx would hold events back otherwise.
    let unbuffered = (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    Ok(([unbuffered], events).into_response())
}

fn last_event_id(headers: &HeaderMap) -> Result<i64, Refusal> {
    let Some(value) = headers.get("last-event-id") else { return Ok(0) };
    let id = value.to_str().ok().and_then(|text| text.parse().ok()).filter(|id| *id >= 0);
    id.ok_or_else(|| Problem::invalid("Last-Event-ID", "must be the id of an event").into())
}

/// An operation's events, from the registry.
struct Story {
    registry: Registry,
    subscription: Subscription,
    clock: Arc<dyn Clock>,
    after: i64,
    unsent: VecDeque<OperationEvent>,
    /// What the running step said last.
    said: Option<String>,
    ended: bool,
}

impl Story {
    /// Reads what came after what was read before.
    async fn read(&mut self) -> Result<(), RegistryError> {
        loop {
            let events =
                self.registry.operation_event_list(self.subscription.id(), self.after, BATCH).await?;
            let Some(last) = events.last() else { return Ok(()) };
            self.after = last.id;
            // A failed operation may have been queued again: only the very last event ends the story.
            self.ended = last.kind.is_final();
            let full = i64::try_from(events.len()).is_ok_and(|count| count == BATCH);
            self.unsent.extend(events);
            if !full {
                return Ok(());
            }
        }
    }

    /// What the running step says now, if that is news.
    async fn progress(&mut self) -> Result<Option<Event>, RegistryError> {
        let operation = self.registry.operation_get(self.subscription.id()).await?;
        // One that is looked at again and again waits in between.
        let at_work = |operation: &Operation| {
            matches!(operation.state, OperationState::Running | OperationState::Waiting)
        };
        let Some(operation) = operation.filter(at_work) else {
            return Ok(None);
        };
        if operation.message.is_none() || operation.message == self.said {
            return Ok(None);
        }
        self.said.clone_from(&operation.message);
        let view = EventView {
            id: self.after,
            operation_id: operation.id.as_uuid(),
            kind: "progress",
            step: operation.step,
            progress: share(operation.progress),
            message: operation.message.unwrap_or_default(),
            at: self.clock.now(),
        };
        Ok(Some(sent(&view)))
    }

    /// The next event, waited for; none after the last, or when the stream must end.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.unsent.pop_front() {
                let view = EventView::from(event);
                return Some(sent(&view).id(view.id.to_string()));
            }
            if self.ended {
                return None;
            }
            let woken = tokio::select! {
                woken = self.subscription.news() => woken,
                () = sleep(WITHOUT_NEWS) => Woken::News,
            };
            if woken == Woken::Stopping {
                return None;
            }
            let looked = match self.read().await {
                Ok(()) if self.unsent.is_empty() => self.progress().await,
                read => read.map(|()| None),
            };
            match looked {
                Ok(Some(progress)) => return Some(progress),
                Ok(None) => {}
                Err(error) => {
                    // The client comes back with `Last-Event-ID` and misses nothing.
                    tracing::debug!(%error, "an event stream ends early");
                    return None;
                }
            }
        }
    }

    fn events(self) -> impl Stream<Item = Result<Event, Infallible>> {
        stream::unfold(self, async |mut story| {
            let event = story.next().await?;
            Some((Ok(event), story))
        })
    }
}

fn sent(view: &EventView) -> Event {
    let data = serde_json::to_string(view).expect("an event is plain data");
    Event::default().event(view.kind).data(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_resumes_after_a_known_event_only() {
        let read = |value: &'static str| {
            let name = HeaderName::from_static("last-event-id");
            last_event_id(&HeaderMap::from_iter([(name, HeaderValue::from_static(value))])).ok()
        };
        assert_eq!(read("17"), Some(17));
        for value in ["", "-1", "x", "9223372036854775808"] {
            assert_eq!(read(value), None, "{value:?}");
        }
        assert_eq!(last_event_id(&HeaderMap::new()).ok(), Some(0));
    }
}
