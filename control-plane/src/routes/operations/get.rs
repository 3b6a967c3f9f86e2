//! `GET /api/v1/operations/{id}`

use axum::{Json, extract::State};
use tenantry_domain::ids::OperationId;
use tenantry_registry::Registry;

use super::view::OperationView;
use crate::{
    auth::{Authorized, scopes::OperationsRead},
    input::InPath,
    refusal::Refusal,
};

/// One operation
#[utoipa::path(
    get, path = "/api/v1/operations/{id}", tag = "operations",
    params(("id" = Uuid, Path, description = "The operation's id")),
    responses((status = 200, description = "The operation", body = OperationView)),
    security(("apiKey" = ["operations:read"])),
)]
pub(crate) async fn get_operation(
    _: Authorized<OperationsRead>,
    InPath(id): InPath<OperationId>,
    State(registry): State<Registry>,
) -> Result<Json<OperationView>, Refusal> {
    let operation = registry.operation_get(id).await?.ok_or_else(|| Refusal::not_found("operation"))?;
    Ok(Json(operation.into()))
}
