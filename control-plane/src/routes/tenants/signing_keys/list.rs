//! `GET /api/v1/tenants/{tenant}/signing-keys`

use axum::{Json, extract::State};
use tenantry_registry::{Registry, SigningKeyRecord};

use super::view::SigningKeyView;
use crate::{
    auth::{Authorized, scopes::KeysRead},
    input::{InPath, QueryParams, TenantRef, cursor::Listing},
    refusal::Refusal,
};

/// The keys that sign a tenant's access tokens, oldest first
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/signing-keys", tag = "tenants",
    params(
        ("tenant" = String, Path, description = "Id or slug", example = "my-org"),
        ("limit" = Option<u16>, Query, description = "1 to 200; 50 if not given"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before"),
    ),
    responses((status = 200, description = "A page; none where the tenant has no users", body = Listing<SigningKeyView>)),
    security(("apiKey" = ["keys:read"])),
)]
pub(crate) async fn list_signing_keys(
    _: Authorized<KeysRead>,
    InPath(tenant): InPath<TenantRef>,
    State(registry): State<Registry>,
    mut query: QueryParams,
) -> Result<Json<Listing<SigningKeyView>>, Refusal> {
    let window = query.window();
    query.finish()?;
    let tenant = tenant.find(&registry).await?.tenant.id;
    let keys = registry.signing_key_list(tenant).await?;
    // In the order of their times, and of their ids where those are the same.
    let order = |key: &SigningKeyRecord| format!("{:020}-{}", key.created_at.timestamp_micros(), key.id);
    Ok(Json(Listing::of_all(keys, window.after.as_ref(), window.size(), order, SigningKeyView::from)))
}
