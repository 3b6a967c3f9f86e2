//! `GET /api/v1/rollouts/{rollout}/events`

use std::sync::Arc;

use axum::{extract::State, http::HeaderMap, response::Response};
use tenantry_domain::{Clock, ids::RolloutId, operation::Subject};
use tenantry_registry::Registry;

use crate::{
    auth::{Authorized, scopes::RolloutsRead},
    input::InPath,
    operation_watch::OperationWatch,
    refusal::Refusal,
    routes::operations::events::{EventView, story},
};

/// The story of a rollout, as it goes on
///
/// Server-Sent Events, as those of the operation that drives it: after a rollback, of the last one.
#[utoipa::path(
    get, path = "/api/v1/rollouts/{rollout}/events", tag = "rollouts",
    params(
        ("rollout" = Uuid, Path, description = "The rollout's id"),
        ("Last-Event-ID" = Option<i64>, Header, description = "Begin after this event"),
    ),
    responses(
        (status = 200, description = "The stream; this is one event's data", content_type = "text/event-stream", body = EventView),
        (status = 204, description = "Nothing comes after that event"),
    ),
    security(("apiKey" = ["rollouts:read"])),
)]
pub(crate) async fn rollout_events(
    _: Authorized<RolloutsRead>,
    InPath(id): InPath<RolloutId>,
    headers: HeaderMap,
    State(registry): State<Registry>,
    State(watch): State<OperationWatch>,
    State(clock): State<Arc<dyn Clock>>,
) -> Result<Response, Refusal> {
    let last = registry.operation_last(Subject::Rollout(id)).await?;
    let operation = last.ok_or_else(|| Refusal::not_found("rollout"))?;
    story(operation.id, &headers, registry, &watch, clock).await
}
