//! Errors on their way out: what the registry and the use cases refuse, as problem documents.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use tenantry_domain::ids::OperationId;
use tenantry_http::Problem;
use tenantry_registry::{OperationStartError, RegistryError};

use crate::use_cases::ask_worker::Unanswered;

/// A request that is answered with a problem document. Boxed: most requests are not refused.
#[derive(Debug)]
pub(crate) struct Refusal(Box<Problem>);

impl Refusal {
    /// 409: it does not go with how things are.
    pub(crate) fn conflict(code: &'static str, detail: impl Into<std::borrow::Cow<'static, str>>) -> Self {
        Problem::new(StatusCode::CONFLICT, code, detail).into()
    }

    /// 409: of the tenant only the record is left.
    pub(crate) fn purged() -> Self {
        Self::conflict("tenant_purged", "the tenant's data is dropped; it can no longer change")
    }

    /// 409 for a field whose value somebody else has.
    pub(crate) fn taken(code: &'static str, field: &'static str, detail: &'static str) -> Self {
        Problem::new(StatusCode::CONFLICT, code, detail).with_error(field, "is taken").into()
    }

    /// 422 for a field that is well formed and cannot be had.
    pub(crate) fn unprocessable(code: &'static str, field: &'static str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail.clone());
        problem.with_error(field, detail).into()
    }

    /// 400 for a field that must be there.
    pub(crate) fn missing(field: &'static str) -> Self {
        let detail = format!("`{field}` is required");
        Problem::new(StatusCode::BAD_REQUEST, "missing_field", detail).with_error(field, "is required").into()
    }

    /// 404.
    pub(crate) fn not_found(what: &str) -> Self {
        Problem::not_found(what).into()
    }

    /// 500 for what this version cannot have written. Logged here, once.
    pub(crate) fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error, "a request failed: {error}");
        Problem::internal().into()
    }
}

/// The path of an operation.
pub(crate) fn operation_path(id: OperationId) -> HeaderValue {
    HeaderValue::try_from(format!("/api/v1/operations/{id}")).expect("a UUID is ASCII")
}

#[cfg(test)]
impl Refusal {
    /// What the client would be told.
    pub(crate) fn problem(&self) -> &Problem {
        &self.0
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self(Box::new(problem))
    }
}

impl From<RegistryError> for Refusal {
    fn from(error: RegistryError) -> Self {
        if !error.is_unavailable() {
            return Self::internal(&error);
        }
        let error: &(dyn std::error::Error + 'static) = &error;
        tracing::warn!(error, "the registry is unavailable: {error}");
        Problem::unavailable("registry_unavailable", "the registry cannot be reached; try again shortly", 1)
            .into()
    }
}

impl From<Unanswered> for Refusal {
    fn from(error: Unanswered) -> Self {
        match error {
            Unanswered::NoWorker => {
                Problem::unavailable("no_worker", "no worker answered; is one running?", 5).into()
            }
            Unanswered::Failed(reason) => Problem::unavailable("inquiry_failed", reason, 5).into(),
            Unanswered::Registry(error) => error.into(),
        }
    }
}

impl From<OperationStartError> for Refusal {
    fn from(error: OperationStartError) -> Self {
        match error {
            OperationStartError::UnknownSubject(kind) => Self::not_found(kind),
            OperationStartError::Refused(refused) => {
                Problem::new(StatusCode::CONFLICT, "operation_refused", refused.to_string())
                    .with("kind", refused.kind.as_str())
                    .with("tenantStatus", refused.phase.as_str())
                    .into()
            }
            OperationStartError::Busy(id) => Problem::new(
                StatusCode::CONFLICT,
                "operation_in_progress",
                "another operation on it is not finished; wait for it, or cancel it",
            )
            .with("operationId", id.to_string())
            .with_header(header::LOCATION, operation_path(id))
            .into(),
            OperationStartError::Registry(error) => error.into(),
        }
    }
}
