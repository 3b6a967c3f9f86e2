//! `POST /api/v1/operations/{id}/retry`

use axum::{extract::State, http::StatusCode, response::Response};
use tenantry_domain::ids::OperationId;
use tenantry_http::Problem;
use tenantry_registry::{Registry, RetryError};

use super::answer::{WorkView, answer};
use crate::{
    auth::{Authorized, scopes::OperationsWrite},
    input::{InPath, Prefer},
    refusal::Refusal,
    use_cases::start_operation::StartOperation,
};

/// Try a failed, cancelled or stuck operation again
///
/// One that is stuck goes on where it is; the others begin anew.
#[utoipa::path(
    post, path = "/api/v1/operations/{id}/retry", tag = "operations",
    params(
        ("id" = Uuid, Path, description = "The operation's id"),
        ("Prefer" = Option<String>, Header, description = "`wait=N`: answer when it is done, at most N seconds later", example = "wait=10"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key gives the same answer for 24 h"),
    ),
    responses(
        (status = 202, description = "It is queued again", body = WorkView),
        (status = 200, description = "It succeeded within the wait", body = WorkView),
        (status = 409, description = "It has not failed; another one is at work; or it no longer applies", body = Problem),
    ),
    security(("apiKey" = ["operations:write"])),
)]
pub(crate) async fn retry_operation(
    _: Authorized<OperationsWrite>,
    InPath(id): InPath<OperationId>,
    prefer: Prefer,
    State(registry): State<Registry>,
    State(start): State<StartOperation>,
) -> Result<Response, Refusal> {
    let started = start.again(id).await.map_err(|error| match error {
        RetryError::NotFound => Refusal::not_found("operation"),
        RetryError::NotFailed(_) => Refusal::conflict("operation_not_failed", error.to_string()),
        RetryError::Unreadable(_) => Refusal::conflict("operation_unreadable", error.to_string()),
        RetryError::Start(error) => error.into(),
    })?;
    answer(&registry, started, prefer, StatusCode::OK).await
}
