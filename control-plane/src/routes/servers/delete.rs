//! `DELETE /api/v1/servers/{server}`

use axum::{extract::State, http::StatusCode};
use tenantry_http::Problem;
use tenantry_registry::{Registry, ServerDeleteError};

use crate::{
    auth::{Authorized, scopes::ServersWrite},
    input::{InPath, ServerRef},
    refusal::Refusal,
};

/// Forget a server that holds no tenants
#[utoipa::path(
    delete, path = "/api/v1/servers/{server}", tag = "servers",
    params(("server" = String, Path, description = "Id or name", example = "eu-1")),
    responses(
        (status = 204, description = "It is forgotten; nothing on it was touched"),
        (status = 409, description = "`server_in_use`", body = Problem),
    ),
    security(("apiKey" = ["servers:write"])),
)]
pub(crate) async fn delete_server(
    _: Authorized<ServersWrite>,
    InPath(server): InPath<ServerRef>,
    State(registry): State<Registry>,
) -> Result<StatusCode, Refusal> {
    let name = server.find(&registry).await?.server.name;
    registry.server_delete(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl From<ServerDeleteError> for Refusal {
    fn from(error: ServerDeleteError) -> Self {
        match error {
            ServerDeleteError::NotFound => Self::not_found("server"),
            ServerDeleteError::InUse => {
                Self::conflict("server_in_use", "the server holds tenants; move or delete them first")
            }
            ServerDeleteError::Registry(error) => error.into(),
        }
    }
}
