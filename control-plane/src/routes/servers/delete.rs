//! `DELETE /api/v1/servers/{server}`

use axum::{extract::State, http::StatusCode};
use tenantry_domain::server::ServerName;
use tenantry_http::Problem;
use tenantry_registry::{Registry, ServerDeleteError};

use crate::{
    auth::{Authorized, scopes::ServersWrite},
    input::InPath,
    refusal::Refusal,
};

/// Forget a server that holds no tenants
#[utoipa::path(
    delete, path = "/api/v1/servers/{server}", tag = "servers",
    params(("server" = String, Path, description = "Its name", example = "eu-1")),
    responses(
        (status = 204, description = "It is forgotten; nothing on it was touched"),
        (status = 409, description = "`server_in_use`", body = Problem),
    ),
    security(("apiKey" = ["servers:write"])),
)]
pub(crate) async fn delete_server(
    _: Authorized<ServersWrite>,
    InPath(name): InPath<ServerName>,
    State(registry): State<Registry>,
) -> Result<StatusCode, Refusal> {
    registry.server_delete(&name).await.map_err(|error| match error {
        ServerDeleteError::NotFound => Refusal::not_found("server"),
        ServerDeleteError::InUse => {
            Refusal::conflict("server_in_use", "the server holds tenants; move or delete them first")
        }
        ServerDeleteError::Registry(error) => error.into(),
    })?;
    Ok(StatusCode::NO_CONTENT)
}
