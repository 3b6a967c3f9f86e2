//! `GET /api/v1/server-classes`

use axum::{Json, extract::State};
use tenantry_domain::server_class::ServerClass;
use tenantry_registry::Registry;

use super::view::ServerClassView;
use crate::{
    auth::{Authorized, scopes::ServersRead},
    input::{QueryParams, cursor::Listing},
    refusal::Refusal,
};

/// Server classes, by name
#[utoipa::path(
    get, path = "/api/v1/server-classes", tag = "servers",
    params(
        ("limit" = Option<u16>, Query, description = "1 to 200; 50 if not given"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before"),
    ),
    responses((status = 200, description = "A page", body = Listing<ServerClassView>)),
    security(("apiKey" = ["servers:read"])),
)]
pub(crate) async fn list_server_classes(
    _: Authorized<ServersRead>,
    State(registry): State<Registry>,
    mut query: QueryParams,
) -> Result<Json<Listing<ServerClassView>>, Refusal> {
    let window = query.window();
    query.finish()?;
    let mut classes = registry.server_class_list().await?;
    let name = |class: &ServerClass| class.name.to_string();
    // The registry's collation need not be ours.
    classes.sort_by_key(name);
    Ok(Json(Listing::of_all(classes, window.after.as_ref(), window.size(), name, ServerClassView::from)))
}
