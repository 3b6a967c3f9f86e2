//! `DELETE /api/v1/keys/{key}`

use axum::{extract::State, http::StatusCode};
use tenantry_domain::ids::ApiKeyId;
use tenantry_registry::Registry;

use crate::{
    auth::{Authorized, KeyRing, scopes::KeysWrite},
    input::InPath,
    refusal::Refusal,
};

/// Revoke a key of the control plane
///
/// It stops working at once here, and within 5 seconds on other control planes.
#[utoipa::path(
    delete, path = "/api/v1/keys/{key}", tag = "keys",
    params(("key" = Uuid, Path, description = "The key's id")),
    responses((status = 204, description = "It no longer works")),
    security(("apiKey" = ["keys:write"])),
)]
pub(crate) async fn delete_key(
    _: Authorized<KeysWrite>,
    InPath(id): InPath<ApiKeyId>,
    State(registry): State<Registry>,
    State(keys): State<KeyRing>,
) -> Result<StatusCode, Refusal> {
    if !registry.api_key_delete(None, id).await? {
        return Err(Refusal::not_found("key"));
    }
    keys.forget(id);
    tracing::info!(key.id = %id, "key {id} of the control plane was revoked");
    Ok(StatusCode::NO_CONTENT)
}
