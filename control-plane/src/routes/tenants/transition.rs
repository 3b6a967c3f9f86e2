//! What suspending, resuming, restoring and deleting share: a tenant is to have another status, by an
//! operation. One that has it already is answered as it is, so that the request can be repeated.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use tenantry_domain::{ids::TenantId, operation::Subject, tenant::TenantPhase};
use tenantry_http::Problem;
use tenantry_registry::{OperationStartError, Registry};
use utoipa::{IntoParams, IntoResponses};

use super::view::TenantView;
use crate::{
    input::{Prefer, TenantRef},
    refusal::Refusal,
    routes::operations::answer::{WorkView, answer},
    use_cases::Started,
};

/// The path of what is done to a tenant.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "documentation")]
pub(crate) struct OfTenant {
    /// Id or slug
    #[param(example = "my-org")]
    tenant: String,
}

/// The headers of a POST that begins work.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "documentation")]
pub(crate) struct WorkHeaders {
    /// `wait=N`: answer when it is done, at most N seconds later
    #[param(rename = "Prefer", example = "wait=10")]
    prefer: Option<String>,
    /// The same key gives the same answer for 24 h
    #[param(rename = "Idempotency-Key")]
    idempotency_key: Option<String>,
}

/// The answers to what brings a tenant to a status.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "documentation")]
pub(crate) enum TransitionAnswers {
    /// It is queued
    #[response(status = 202)]
    Queued(WorkView),
    /// It was done within the wait; or it was so already, and `operation` is null
    #[response(status = 200)]
    Done(WorkView),
    /// `operation_refused` or `operation_in_progress`
    #[response(status = 409)]
    Refused(Problem),
}

/// A tenant that already has the status that was asked for.
#[derive(Serialize)]
struct Unchanged {
    tenant: TenantView,
    /// None was started.
    operation: (),
}

/// Answers with the work that was started; or with the tenant as it is, if none was because it has the
/// status `goal` already and nothing is at work to change that.
pub(super) async fn conclude(
    registry: &Registry,
    tenant: TenantId,
    started: Result<Started, OperationStartError>,
    goal: TenantPhase,
    prefer: Prefer,
) -> Result<Response, Refusal> {
    match started {
        Err(OperationStartError::Refused(refused)) if refused.phase == goal => {
            refuse_busy(registry, tenant).await?;
            let tenant = TenantRef::Id(tenant).find(registry).await?;
            Ok(Json(Unchanged { tenant: tenant.into(), operation: () }).into_response())
        }
        started => answer(registry, started?, prefer, StatusCode::OK).await,
    }
}

/// Refuses while an operation of the tenant is not finished: its status may be another one in a moment.
async fn refuse_busy(registry: &Registry, tenant: TenantId) -> Result<(), Refusal> {
    match registry.operation_unfinished(Subject::Tenant(tenant)).await? {
        Some(operation) => Err(OperationStartError::Busy(operation.id).into()),
        None => Ok(()),
    }
}
