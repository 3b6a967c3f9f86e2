//! `PUT /api/v1/servers/{server}`

use axum::{Json, extract::State};
use tenantry_http::Problem;
use tenantry_registry::Registry;

use super::{body::ServerBody, change::change, view::ServerView};
use crate::{
    auth::{Authorized, scopes::ServersWrite},
    input::{InPath, JsonBody, QueryParams, ServerRef},
    refusal::Refusal,
    use_cases::ask_worker::AskWorker,
    vault::Vault,
};

/// Change a server
///
/// Replaces everything but its name and shared database. The admin login, and how connections are
/// protected, stay where they are left out.
#[utoipa::path(
    put, path = "/api/v1/servers/{server}", tag = "servers",
    params(
        ("server" = String, Path, description = "Id or name", example = "eu-1"),
        ("check" = Option<bool>, Query, description = "`false`: change address, TLS or login as they are, without a check"),
    ),
    request_body = ServerBody,
    responses(
        (status = 200, description = "The server as it is now", body = ServerView),
        (status = 409, description = "`server_address_taken` or `server_hibernated`", body = Problem),
        (status = 422, description = "`server_unusable`: `errors` names all that is wrong", body = Problem),
        (status = 503, description = "`no_worker` or `inquiry_failed`: it could not be checked", body = Problem),
    ),
    security(("apiKey" = ["servers:write"])),
)]
pub(crate) async fn put_server(
    _: Authorized<ServersWrite>,
    InPath(server): InPath<ServerRef>,
    query: QueryParams,
    State(registry): State<Registry>,
    State(vault): State<Vault>,
    State(ask): State<AskWorker>,
    JsonBody(body): JsonBody<ServerBody>,
) -> Result<Json<ServerView>, Refusal> {
    let before = server.find(&registry).await?;
    change(&registry, &vault, &ask, query, before, body.into()).await
}
