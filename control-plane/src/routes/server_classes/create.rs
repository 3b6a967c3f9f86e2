//! `POST /api/v1/server-classes`

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
};
use tenantry_domain::Clock;
use tenantry_http::Problem;
use tenantry_registry::Registry;

use super::{body::ServerClassBody, view::ServerClassView};
use crate::{
    auth::{Authorized, scopes::ServersWrite},
    input::JsonBody,
    refusal::Refusal,
};

/// Add a server class
///
/// With `minFree`, servers are ordered from its provider at once, and whenever those that are there have less room.
#[utoipa::path(
    post, path = "/api/v1/server-classes", tag = "servers",
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key gives the same answer for 24 h")),
    request_body = ServerClassBody,
    responses(
        (status = 201, description = "The class", body = ServerClassView),
        (status = 409, description = "`server_class_exists`", body = Problem),
    ),
    security(("apiKey" = ["servers:write"])),
)]
pub(crate) async fn create_server_class(
    _: Authorized<ServersWrite>,
    State(registry): State<Registry>,
    State(clock): State<Arc<dyn Clock>>,
    JsonBody(body): JsonBody<ServerClassBody>,
) -> Result<impl IntoResponse, Refusal> {
    let class = body.read(None, clock.now())?;
    if !registry.server_class_create(&class).await? {
        let taken = "there is a server class of that name; PUT replaces it";
        return Err(Refusal::taken("server_class_exists", "name", taken));
    }
    let location = format!("/api/v1/server-classes/{}", class.name);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(ServerClassView::from(class))))
}
