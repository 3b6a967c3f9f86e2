//! The answer to what begins or steers a rollout.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use tenantry_domain::{
    ids::RolloutId,
    operation::{Operation, Subject},
};
use tenantry_http::Problem;
use tenantry_registry::{Registry, RolloutControlError, RolloutStartError};
use utoipa::ToSchema;

use super::view::RolloutView;
use crate::{
    input::Prefer,
    refusal::{Refusal, operation_path},
    routes::operations::{
        answer::{verdict, wait},
        view::OperationView,
    },
    use_cases::Started,
};

/// A rollout and the operation that drives it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RolloutWorkView {
    /// The rollout.
    rollout: RolloutView,
    /// The operation, whose events tell its story.
    operation: OperationView,
}

/// Answers 202; or, if it ended in time, 200 or 422.
pub(super) async fn answer(
    registry: &Registry,
    started: Started,
    prefer: Prefer,
) -> Result<Response, Refusal> {
    let operation = wait(registry, started, prefer).await?.operation;
    let rollout = of_operation(registry, &operation).await?;
    let location = operation_path(operation.id);
    let verdict = verdict(&operation);
    let work = RolloutWorkView { rollout, operation: operation.into() };
    match verdict {
        Ok(finished) => {
            let status = if finished { StatusCode::OK } else { StatusCode::ACCEPTED };
            Ok((status, [(header::LOCATION, location)], Json(work)).into_response())
        }
        Err(problem) => {
            let value = |view: Result<serde_json::Value, serde_json::Error>| view.unwrap_or_default();
            Err(problem
                .with("rollout", value(serde_json::to_value(work.rollout)))
                .with("operation", value(serde_json::to_value(work.operation)))
                .into())
        }
    }
}

async fn of_operation(registry: &Registry, operation: &Operation) -> Result<RolloutView, Refusal> {
    let Subject::Rollout(id) = operation.subject else { return Err(Refusal::not_found("rollout")) };
    find(registry, id).await
}

/// A rollout as it is now, or 404.
pub(super) async fn find(registry: &Registry, id: RolloutId) -> Result<RolloutView, Refusal> {
    let rollout = registry.rollout_get(id).await?.ok_or_else(|| Refusal::not_found("rollout"))?;
    Ok(RolloutView::of(registry, rollout).await?)
}

fn rollout_path(id: RolloutId) -> HeaderValue {
    HeaderValue::try_from(format!("/api/v1/rollouts/{id}")).expect("a UUID is ASCII")
}

fn unfinished(id: RolloutId) -> Refusal {
    let detail = "another rollout of the app is not finished; wait for it, or abort it";
    Problem::new(StatusCode::CONFLICT, "rollout_in_progress", detail)
        .with("rolloutId", id.to_string())
        .with_header(header::LOCATION, rollout_path(id))
        .into()
}

impl From<RolloutStartError> for Refusal {
    fn from(error: RolloutStartError) -> Self {
        match error {
            RolloutStartError::UnknownApp => {
                Self::unprocessable("unknown_app", "app", "there is no such app")
            }
            RolloutStartError::UnknownVersion(_) => {
                Self::unprocessable("unknown_version", "targetVersion", error.to_string())
            }
            RolloutStartError::Busy(id) => unfinished(id),
            RolloutStartError::Start(error) => error.into(),
        }
    }
}

impl From<RolloutControlError> for Refusal {
    fn from(error: RolloutControlError) -> Self {
        match error {
            RolloutControlError::NotFound => Self::not_found("rollout"),
            RolloutControlError::State(state) => {
                Problem::new(StatusCode::CONFLICT, "rollout_refused", error.to_string())
                    .with("rolloutState", state.as_str())
                    .into()
            }
            RolloutControlError::Version(detail) => {
                Self::unprocessable("unknown_version", "targetVersion", detail)
            }
            RolloutControlError::NotReversible(version) => {
                Problem::new(StatusCode::CONFLICT, "not_reversible", error.to_string())
                    .with("version", version.number())
                    .into()
            }
            RolloutControlError::Newer(id) => {
                Problem::new(StatusCode::CONFLICT, "rollout_superseded", error.to_string())
                    .with("rolloutId", id.to_string())
                    .into()
            }
            RolloutControlError::Start(error) => error.into(),
        }
    }
}
