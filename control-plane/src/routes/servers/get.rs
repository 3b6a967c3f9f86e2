//! `GET /api/v1/servers/{server}`

use axum::{Json, extract::State};
use tenantry_domain::server::ServerName;
use tenantry_registry::Registry;

use super::view::ServerView;
use crate::{
    auth::{Authorized, scopes::ServersRead},
    input::InPath,
    refusal::Refusal,
};

/// One server
#[utoipa::path(
    get, path = "/api/v1/servers/{server}", tag = "servers",
    params(("server" = String, Path, description = "Its name", example = "eu-1")),
    responses((status = 200, description = "The server", body = ServerView)),
    security(("apiKey" = ["servers:read"])),
)]
pub(crate) async fn get_server(
    _: Authorized<ServersRead>,
    InPath(name): InPath<ServerName>,
    State(registry): State<Registry>,
) -> Result<Json<ServerView>, Refusal> {
    let access = registry.server_find(&name).await?.ok_or_else(|| Refusal::not_found("server"))?;
    Ok(Json(access.server.into()))
}
