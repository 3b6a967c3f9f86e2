//! `GET /api/v1/servers/{server}`

use axum::{Json, extract::State};
use tenantry_registry::Registry;

use super::view::ServerView;
use crate::{
    auth::{Authorized, scopes::ServersRead},
    input::{InPath, ServerRef},
    refusal::Refusal,
};

/// One server
#[utoipa::path(
    get, path = "/api/v1/servers/{server}", tag = "servers",
    params(("server" = String, Path, description = "Id or name", example = "eu-1")),
    responses((status = 200, description = "The server", body = ServerView)),
    security(("apiKey" = ["servers:read"])),
)]
pub(crate) async fn get_server(
    _: Authorized<ServersRead>,
    InPath(server): InPath<ServerRef>,
    State(registry): State<Registry>,
) -> Result<Json<ServerView>, Refusal> {
    Ok(Json(server.find(&registry).await?.server.into()))
}
