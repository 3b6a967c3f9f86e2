//! `POST /api/v1/operations/{id}/cancel`

use axum::{extract::State, http::StatusCode, response::Response};
use tenantry_domain::ids::OperationId;
use tenantry_http::Problem;
use tenantry_registry::{CancelError, Registry};

use super::answer::{Outcome, WorkView, answer_with, wait};
use crate::{
    auth::{Authorized, scopes::OperationsWrite},
    input::{InPath, Prefer},
    operation_watch::OperationWatch,
    refusal::Refusal,
    use_cases::{Started, tenant_of},
};

/// Ask an operation to stop and undo what it did
///
/// Possible until its point of no return. With `Prefer: wait=N` the answer shows how it ended.
#[utoipa::path(
    post, path = "/api/v1/operations/{id}/cancel", tag = "operations",
    params(
        ("id" = Uuid, Path, description = "The operation's id"),
        ("Prefer" = Option<String>, Header, description = "`wait=N`: answer when it has ended, at most N seconds later", example = "wait=10"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key gives the same answer for 24 h"),
    ),
    responses(
        (status = 202, description = "It was asked to stop", body = WorkView),
        (status = 200, description = "It ended within the wait; see its state", body = WorkView),
        (status = 409, description = "It is over, or past its point of no return", body = Problem),
    ),
    security(("apiKey" = ["operations:write"])),
)]
pub(crate) async fn cancel_operation(
    _: Authorized<OperationsWrite>,
    InPath(id): InPath<OperationId>,
    prefer: Prefer,
    State(registry): State<Registry>,
    State(watch): State<OperationWatch>,
) -> Result<Response, Refusal> {
    let subscription = watch.subscribe(id);
    let operation = registry.operation_cancel(id).await.map_err(|error| match error {
        CancelError::NotFound => Refusal::not_found("operation"),
        CancelError::Finished(_) => Refusal::conflict("operation_finished", error.to_string()),
        CancelError::PastNoReturn => Refusal::conflict("operation_past_no_return", error.to_string()),
        CancelError::Registry(error) => error.into(),
    })?;
    let tenant = tenant_of(&registry, &operation).await?;
    let Outcome { tenant, operation } =
        wait(&registry, Started { tenant, operation, subscription }, prefer).await?;
    let status = if operation.state.is_finished() { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok(answer_with(status, tenant, operation))
}
