//! `PUT /api/v1/server-classes/{serverClass}`

use std::sync::Arc;

use axum::{Json, extract::State};
use tenantry_domain::{Clock, server_class::ServerClassName};
use tenantry_http::Problem;
use tenantry_registry::Registry;

use super::{body::ServerClassBody, view::ServerClassView};
use crate::{
    auth::{Authorized, scopes::ServersWrite},
    input::{InPath, JsonBody},
    refusal::Refusal,
};

/// Replace a server class
///
/// Servers that are ordered from now on are made from it as it is now; those that are there or being made stay as they are: one
/// whose provider fails is made from the class as it is now once its operation is cancelled. The provider cannot change.
#[utoipa::path(
    put, path = "/api/v1/server-classes/{serverClass}", tag = "servers",
    params(("serverClass" = String, Path, description = "Its name", example = "standard")),
    request_body = ServerClassBody,
    responses(
        (status = 200, description = "The class as it is now", body = ServerClassView),
        (status = 409, description = "`server_class_in_use`: another provider", body = Problem),
    ),
    security(("apiKey" = ["servers:write"])),
)]
pub(crate) async fn put_server_class(
    _: Authorized<ServersWrite>,
    InPath(name): InPath<ServerClassName>,
    State(registry): State<Registry>,
    State(clock): State<Arc<dyn Clock>>,
    JsonBody(body): JsonBody<ServerClassBody>,
) -> Result<Json<ServerClassView>, Refusal> {
    let mut class = body.read(Some(name.clone()), clock.now())?;
    match registry.server_class_replace(&class).await? {
        Some(created_at) => class.created_at = created_at,
        None if registry.server_class_get(&name).await?.is_some() => {
            return Err(Refusal::conflict(
                "server_class_in_use",
                "its provider cannot change, who has made its servers; add another class",
            ));
        }
        None => return Err(Refusal::not_found("server_class")),
    }
    Ok(Json(class.into()))
}
