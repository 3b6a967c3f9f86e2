//! `POST /api/v1/operations/{id}/abandon`

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use tenantry_domain::{Clock, ids::OperationId};
use tenantry_http::Problem;
use tenantry_registry::{AbandonError, LeftBehind, Registry};
use utoipa::ToSchema;

use super::view::OperationView;
use crate::{
    auth::{Authorized, scopes::OperationsAbandon},
    input::{Fields, InPath, JsonBody, fields},
    refusal::Refusal,
    vocabulary,
};

/// Why an operation is given up.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({ "reason": "the server burned down" }))]
pub(crate) struct AbandonBody {
    /// For whoever reads the operation later.
    reason: String,
}

/// An operation that was given up.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AbandonedView {
    /// The operation, failed.
    operation: OperationView,
    /// What it may have left on servers; nobody drops it by itself.
    left: Vec<LeftView>,
}

/// Something on a server.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LeftView {
    /// What it is. A `write_fence` closes a schema's tables to writes, until the tenant is suspended and resumed.
    #[schema(value_type = vocabulary::LeftKind)]
    kind: &'static str,
    /// Its name.
    #[schema(example = "tenant_my_org")]
    name: String,
    /// The server's name.
    #[schema(example = "eu-1")]
    server: String,
}

impl From<LeftBehind> for LeftView {
    fn from(left: LeftBehind) -> Self {
        Self { kind: left.kind, name: left.name, server: left.server }
    }
}

/// Give up an operation that is stuck
///
/// Its subject is free again. A tenant that was to be purged counts as purged, one that was to be made as failed;
/// any other keeps its status. The answer lists what may be left on servers.
#[utoipa::path(
    post, path = "/api/v1/operations/{id}/abandon", tag = "operations",
    params(
        ("id" = Uuid, Path, description = "The operation's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key gives the same answer for 24 h"),
    ),
    request_body = AbandonBody,
    responses(
        (status = 200, description = "It is given up", body = AbandonedView),
        (status = 409, description = "`operation_not_stuck`", body = Problem),
    ),
    security(("apiKey" = ["operations:abandon"])),
)]
pub(crate) async fn abandon_operation(
    _: Authorized<OperationsAbandon>,
    InPath(id): InPath<OperationId>,
    State(registry): State<Registry>,
    State(clock): State<Arc<dyn Clock>>,
    JsonBody(body): JsonBody<AbandonBody>,
) -> Result<Json<AbandonedView>, Refusal> {
    let mut checked = Fields::default();
    let reason = checked.take("reason", fields::label(&body.reason));
    checked.finish()?;
    let abandoned = registry.operation_abandon(id, &reason.unwrap_or_default(), clock.now()).await;
    let (operation, left) = abandoned.map_err(|error| match error {
        AbandonError::NotFound => Refusal::not_found("operation"),
        AbandonError::NotStuck(_) => Refusal::conflict("operation_not_stuck", error.to_string()),
        AbandonError::Registry(error) => error.into(),
    })?;
    tracing::warn!(operation.id = %id, "operation {id} was abandoned");
    Ok(Json(AbandonedView { operation: operation.into(), left: left.into_iter().map(Into::into).collect() }))
}
