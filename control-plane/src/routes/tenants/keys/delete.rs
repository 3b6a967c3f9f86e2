//! `DELETE /api/v1/tenants/{tenant}/keys/{key}`

use axum::{extract::State, http::StatusCode};
use tenantry_domain::ids::ApiKeyId;
use tenantry_registry::Registry;

use crate::{
    auth::{Authorized, scopes::KeysWrite},
    input::{InPath, TenantRef},
    refusal::Refusal,
};

/// Revoke a tenant's key
///
/// Data planes hear of it at once.
#[utoipa::path(
    delete, path = "/api/v1/tenants/{tenant}/keys/{key}", tag = "tenants",
    params(
        ("tenant" = String, Path, description = "Id or slug", example = "my-org"),
        ("key" = Uuid, Path, description = "The key's id"),
    ),
    responses((status = 204, description = "It no longer works")),
    security(("apiKey" = ["keys:write"])),
)]
pub(crate) async fn delete_tenant_key(
    _: Authorized<KeysWrite>,
    InPath((tenant, id)): InPath<(TenantRef, ApiKeyId)>,
    State(registry): State<Registry>,
) -> Result<StatusCode, Refusal> {
    let tenant = tenant.find(&registry).await?.tenant.id;
    if !registry.api_key_delete(Some(tenant), id).await? {
        return Err(Refusal::not_found("key"));
    }
    tracing::info!(tenant.id = %tenant, key.id = %id, "key {id} of tenant {tenant} was revoked");
    Ok(StatusCode::NO_CONTENT)
}
