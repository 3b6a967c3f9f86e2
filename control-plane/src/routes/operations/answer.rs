//! The answer to everything that begins work: at once with 202, or when the work is done.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use tenantry_domain::operation::{Operation, OperationState};
use tenantry_http::Problem;
use tenantry_registry::{Registry, TenantDetails};
use utoipa::ToSchema;

use super::view::OperationView;
use crate::{
    input::Prefer,
    refusal::{Refusal, operation_path},
    routes::tenants::view::TenantView,
    use_cases::{Started, await_operation::await_operation, tenant_of},
};

/// A tenant and the work on it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WorkView {
    /// The tenant; null for work on something else.
    tenant: Option<TenantView>,
    /// The work.
    operation: OperationView,
}

/// How started work stands when it is time to answer.
pub(crate) struct Outcome {
    pub(crate) tenant: Option<TenantDetails>,
    pub(crate) operation: Operation,
}

/// Waits for started work as long as the client likes.
pub(crate) async fn wait(registry: &Registry, started: Started, prefer: Prefer) -> Result<Outcome, Refusal> {
    let Started { tenant, operation, mut subscription } = started;
    tracing::info!(
        subject = %operation.subject, operation.id = %operation.id, operation.kind = %operation.kind(),
        "operation {} ({}) begins", operation.id, operation.kind()
    );
    if prefer.wait.is_zero() || operation.state.is_finished() {
        return Ok(Outcome { tenant, operation });
    }
    let operation = await_operation(registry, &mut subscription, prefer.wait).await.unwrap_or(operation);
    if !operation.state.is_at_rest() {
        return Ok(Outcome { tenant, operation });
    }
    // The tenant as it was would contradict what was done; no answer is better than a wrong one.
    let tenant = tenant_of(registry, &operation).await?.or(tenant);
    Ok(Outcome { tenant, operation })
}

/// What an operation's state means for who waited for it: done, not yet, or the problem that it has.
pub(crate) fn verdict(operation: &Operation) -> Result<bool, Box<Problem>> {
    let code = match operation.state {
        OperationState::Succeeded => return Ok(true),
        OperationState::Queued
        | OperationState::Running
        | OperationState::Waiting
        | OperationState::Undoing => return Ok(false),
        OperationState::Stuck => "operation_stuck",
        OperationState::Failed => "operation_failed",
        OperationState::Cancelled => "operation_cancelled",
    };
    let reason = operation.error.clone().unwrap_or_else(|| "it was cancelled".to_owned());
    let detail = if operation.state == OperationState::Stuck {
        format!("the operation can go on only with a person's help: {reason}; retry or abandon it")
    } else {
        format!("the operation ended and was undone: {reason}")
    };
    let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail);
    Err(Box::new(problem.with_header(header::LOCATION, operation_path(operation.id))))
}

/// Answers 202; or, if the work ended in time, `done` or 422.
pub(crate) async fn answer(
    registry: &Registry,
    started: Started,
    prefer: Prefer,
    done: StatusCode,
) -> Result<Response, Refusal> {
    let Outcome { tenant, operation } = wait(registry, started, prefer).await?;
    let verdict = verdict(&operation);
    let location = match &verdict {
        Ok(true) if done == StatusCode::CREATED => {
            let id = operation.subject.as_uuid();
            HeaderValue::try_from(format!("/api/v1/tenants/{id}")).expect("a UUID is ASCII")
        }
        _ => operation_path(operation.id),
    };
    let work = WorkView { tenant: tenant.map(Into::into), operation: operation.into() };
    match verdict {
        Ok(finished) => {
            let status = if finished { done } else { StatusCode::ACCEPTED };
            Ok((status, [(header::LOCATION, location)], Json(work)).into_response())
        }
        Err(problem) => {
            let value = |view: Result<serde_json::Value, serde_json::Error>| view.unwrap_or_default();
            Err(problem
                .with("tenant", value(serde_json::to_value(work.tenant)))
                .with("operation", value(serde_json::to_value(work.operation)))
                .into())
        }
    }
}

/// Answers with work that somebody else began.
pub(crate) fn answer_with(
    status: StatusCode,
    tenant: Option<TenantDetails>,
    operation: Operation,
) -> Response {
    let location = operation_path(operation.id);
    let work = WorkView { tenant: tenant.map(Into::into), operation: operation.into() };
    (status, [(header::LOCATION, location)], Json(work)).into_response()
}
