//! `GET /api/v1/servers`

use axum::{Json, extract::State};
use tenantry_domain::server::Server;
use tenantry_registry::Registry;

use super::view::ServerView;
use crate::{
    auth::{Authorized, scopes::ServersRead},
    input::{QueryParams, cursor::Listing},
    refusal::Refusal,
};

/// Servers, by name
#[utoipa::path(
    get, path = "/api/v1/servers", tag = "servers",
    params(
        ("limit" = Option<u16>, Query, description = "1 to 200; 50 if not given"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before"),
    ),
    responses((status = 200, description = "A page", body = Listing<ServerView>)),
    security(("apiKey" = ["servers:read"])),
)]
pub(crate) async fn list_servers(
    _: Authorized<ServersRead>,
    State(registry): State<Registry>,
    mut query: QueryParams,
) -> Result<Json<Listing<ServerView>>, Refusal> {
    let window = query.window();
    query.finish()?;
    let mut servers = registry.server_list().await?;
    let name = |server: &Server| server.name.to_string();
    // The registry's collation need not be ours.
    servers.sort_by_key(name);
    Ok(Json(Listing::of_all(servers, window.after.as_ref(), window.size(), name, ServerView::from)))
}
