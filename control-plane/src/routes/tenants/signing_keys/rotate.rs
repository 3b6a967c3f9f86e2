//! `POST /api/v1/tenants/{tenant}/signing-keys`

use axum::{Json, extract::State, http::StatusCode};
use tenantry_http::Problem;
use tenantry_registry::{KeyRotateError, Registry, SigningKeyRecord};

use super::view::SigningKeyView;
use crate::{
    auth::{Authorized, scopes::KeysWrite},
    input::{InPath, TenantRef},
    refusal::Refusal,
    vault::Vault,
};

/// Have a tenant's access tokens signed with a new key
///
/// Data planes hear of it at once. What the key before it has signed counts until it ends, within 15 minutes; the key is
/// published until then.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/signing-keys", tag = "tenants",
    params(
        ("tenant" = String, Path, description = "Id or slug", example = "my-org"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key gives the same answer for 24 h"),
    ),
    responses(
        (status = 201, description = "The key that signs from now on", body = SigningKeyView),
        (status = 409, description = "`no_users`, `too_many_signing_keys`, or `tenant_purged`", body = Problem),
    ),
    security(("apiKey" = ["keys:write"])),
)]
pub(crate) async fn rotate_signing_key(
    _: Authorized<KeysWrite>,
    InPath(tenant): InPath<TenantRef>,
    State(registry): State<Registry>,
    State(vault): State<Vault>,
) -> Result<(StatusCode, Json<SigningKeyView>), Refusal> {
    let tenant = tenant.find_kept(&registry).await?.tenant.id;
    let key = vault.new_signing_key(tenant);
    let created_at = registry.signing_key_rotate(tenant, &key).await.map_err(|error| match error {
        KeyRotateError::NoKey => {
            Refusal::conflict("no_users", "the tenant's app has no users, and so no tokens to sign")
        }
        KeyRotateError::TooMany(kept) => Refusal::conflict(
            "too_many_signing_keys",
            format!("{kept} keys are kept for tokens that they have signed; try again in 20 minutes"),
        ),
        KeyRotateError::Registry(error) => error.into(),
    })?;
    tracing::info!(tenant.id = %tenant, key.id = %key.id, "tokens of tenant {tenant} are signed with a new key");
    let key = SigningKeyRecord { id: key.id, created_at, superseded_at: None };
    Ok((StatusCode::CREATED, Json(key.into())))
}
