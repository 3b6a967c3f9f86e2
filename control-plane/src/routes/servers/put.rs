//! `PUT /api/v1/servers/{server}`

use axum::{Json, extract::State};
use tenantry_domain::server::ServerName;
use tenantry_http::Problem;
use tenantry_registry::{Registry, ServerChange};

use super::{body::ServerBody, view::ServerView};
use crate::{
    auth::{Authorized, scopes::ServersWrite},
    input::{Fields, InPath, JsonBody},
    refusal::Refusal,
    vault::Vault,
};

/// Change a server
///
/// Replaces everything but its name and shared database. The admin login stays when it is left out.
#[utoipa::path(
    put, path = "/api/v1/servers/{server}", tag = "servers",
    params(("server" = String, Path, description = "Its name", example = "eu-1")),
    request_body = ServerBody,
    responses(
        (status = 200, description = "The server as it is now", body = ServerView),
        (status = 409, description = "`server_address_taken`", body = Problem),
    ),
    security(("apiKey" = ["servers:write"])),
)]
pub(crate) async fn put_server(
    _: Authorized<ServersWrite>,
    InPath(name): InPath<ServerName>,
    State(registry): State<Registry>,
    State(vault): State<Vault>,
    JsonBody(mut body): JsonBody<ServerBody>,
) -> Result<Json<ServerView>, Refusal> {
    let mut fields = Fields::default();
    body.check(&mut fields);
    let renamed = body.name.take().is_some_and(|own| own != name);
    fields.check("name", !renamed, "must be the one in the path, or left out");
    let before = registry.server_find(&name).await?.ok_or_else(|| Refusal::not_found("server"))?;
    let moved = body.shared_database.take().is_some_and(|own| own != before.shared_database.as_str());
    fields.check("sharedDatabase", !moved, "cannot change once the server is registered");
    let alone = body.admin_user.is_some() && body.admin_password.is_none();
    fields.check("adminPassword", !alone, "must come with another adminUser");
    fields.finish()?;

    let id = before.server.id;
    let user = body.admin_user.take().unwrap_or(before.admin_user);
    let password = body.admin_password.take();
    let admin = password.map(|password| (user, vault.seal_admin_password(id, &password)));
    let server = body.server(id, name.clone(), before.server.created_at);
    if !registry.server_change(&ServerChange { server, admin }).await? {
        return Err(Refusal::not_found("server"));
    }
    let access = registry.server_find(&name).await?.ok_or_else(|| Refusal::not_found("server"))?;
    Ok(Json(access.server.into()))
}
