//! `GET /api/v1/keys`

use axum::{Json, extract::State};
use tenantry_domain::api_key::ApiKey;
use tenantry_registry::Registry;

use super::view::KeyView;
use crate::{
    auth::{Authorized, scopes::KeysRead},
    input::{QueryParams, cursor::Listing},
    refusal::Refusal,
};

/// Keys of the control plane, oldest first
#[utoipa::path(
    get, path = "/api/v1/keys", tag = "keys",
    params(
        ("limit" = Option<u16>, Query, description = "1 to 200; 50 if not given"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before"),
    ),
    responses((status = 200, description = "A page; never the keys themselves", body = Listing<KeyView>)),
    security(("apiKey" = ["keys:read"])),
)]
pub(crate) async fn list_keys(
    _: Authorized<KeysRead>,
    State(registry): State<Registry>,
    mut query: QueryParams,
) -> Result<Json<Listing<KeyView>>, Refusal> {
    let window = query.window();
    query.finish()?;
    let keys = registry.api_key_list(None).await?;
    let id = |key: &ApiKey| key.id.to_string();
    Ok(Json(Listing::of_all(keys, window.after.as_ref(), window.size(), id, KeyView::from)))
}
