//! `GET /api/v1/server-classes/{serverClass}`

use axum::{Json, extract::State};
use tenantry_domain::server_class::ServerClassName;
use tenantry_registry::Registry;

use super::view::ServerClassView;
use crate::{
    auth::{Authorized, scopes::ServersRead},
    input::InPath,
    refusal::Refusal,
};

/// One server class
#[utoipa::path(
    get, path = "/api/v1/server-classes/{serverClass}", tag = "servers",
    params(("serverClass" = String, Path, description = "Its name", example = "standard")),
    responses((status = 200, description = "The class", body = ServerClassView)),
    security(("apiKey" = ["servers:read"])),
)]
pub(crate) async fn get_server_class(
    _: Authorized<ServersRead>,
    InPath(name): InPath<ServerClassName>,
    State(registry): State<Registry>,
) -> Result<Json<ServerClassView>, Refusal> {
    let class = registry.server_class_get(&name).await?;
    Ok(Json(class.ok_or_else(|| Refusal::not_found("server_class"))?.into()))
}
