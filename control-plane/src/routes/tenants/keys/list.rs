//! `GET /api/v1/tenants/{tenant}/keys`

use axum::{Json, extract::State};
use tenantry_registry::Registry;

use crate::{
    auth::{Authorized, scopes::KeysRead},
    input::{InPath, QueryParams, TenantRef, cursor::Listing},
    refusal::Refusal,
    routes::keys::view::KeyView,
};

/// A tenant's keys, oldest first
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/keys", tag = "tenants",
    params(
        ("tenant" = String, Path, description = "Id or slug", example = "my-org"),
        ("limit" = Option<u16>, Query, description = "1 to 200; 50 if not given"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before"),
    ),
    responses((status = 200, description = "A page; never the keys themselves", body = Listing<KeyView>)),
    security(("apiKey" = ["keys:read"])),
)]
pub(crate) async fn list_tenant_keys(
    _: Authorized<KeysRead>,
    InPath(tenant): InPath<TenantRef>,
    State(registry): State<Registry>,
    mut query: QueryParams,
) -> Result<Json<Listing<KeyView>>, Refusal> {
    let window = query.window();
    query.finish()?;
    let tenant = tenant.find(&registry).await?.tenant.id;
    let keys = registry.api_key_list(Some(tenant)).await?;
    let id = |key: &tenantry_domain::api_key::ApiKey| key.id.to_string();
    Ok(Json(Listing::of_all(keys, window.after.as_ref(), window.size(), id, KeyView::from)))
}
