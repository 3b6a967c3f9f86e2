//! `DELETE /api/v1/server-classes/{serverClass}`

use axum::{extract::State, http::StatusCode};
use tenantry_domain::server_class::ServerClassName;
use tenantry_http::Problem;
use tenantry_registry::{Registry, ServerClassDeleteError};

use crate::{
    auth::{Authorized, scopes::ServersWrite},
    input::InPath,
    refusal::Refusal,
};

/// Delete a server class of which there is no server
#[utoipa::path(
    delete, path = "/api/v1/server-classes/{serverClass}", tag = "servers",
    params(("serverClass" = String, Path, description = "Its name", example = "standard")),
    responses(
        (status = 204, description = "It is gone"),
        (status = 409, description = "`server_class_in_use`", body = Problem),
    ),
    security(("apiKey" = ["servers:write"])),
)]
pub(crate) async fn delete_server_class(
    _: Authorized<ServersWrite>,
    InPath(name): InPath<ServerClassName>,
    State(registry): State<Registry>,
) -> Result<StatusCode, Refusal> {
    registry.server_class_delete(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl From<ServerClassDeleteError> for Refusal {
    fn from(error: ServerClassDeleteError) -> Self {
        match error {
            ServerClassDeleteError::NotFound => Self::not_found("server_class"),
            ServerClassDeleteError::InUse => Self::conflict(
                "server_class_in_use",
                "servers were made from it, or are being made, or a plan names it; delete servers with `minFree` 0, so that no \
                 other one is ordered",
            ),
            ServerClassDeleteError::Registry(error) => error.into(),
        }
    }
}
