//! `POST /api/v1/tenants/{tenant}/keys/{key}/rotate`

use std::sync::Arc;

use axum::{extract::State, response::IntoResponse};
use tenantry_domain::{Clock, ids::ApiKeyId};
use tenantry_http::Problem;
use tenantry_registry::Registry;

use crate::{
    auth::{Authorized, scopes::KeysWrite},
    claim::Claim,
    input::{InPath, JsonBody, TenantRef},
    refusal::Refusal,
    routes::keys::{
        rotate::{RotateKeyBody, succeed},
        view::CreatedKeyView,
    },
};

/// Replace a key of a tenant
///
/// The new key may do what the old one may. Both count for a while, so that nothing fails meanwhile. The answer is the
/// only time that the new key is shown.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/keys/{key}/rotate", tag = "tenants",
    params(
        ("tenant" = String, Path, description = "Id or slug", example = "my-org"),
        ("key" = String, Path, description = "The key's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key gives the same answer for 24 h"),
    ),
    request_body = RotateKeyBody,
    responses(
        (status = 201, description = "The new key", body = CreatedKeyView),
        (status = 409, description = "`tenant_purged`", body = Problem),
    ),
    security(("apiKey" = ["keys:write"])),
)]
pub(crate) async fn rotate_tenant_key(
    _: Authorized<KeysWrite>,
    InPath((tenant, id)): InPath<(TenantRef, ApiKeyId)>,
    claim: Claim,
    State(registry): State<Registry>,
    State(clock): State<Arc<dyn Clock>>,
    JsonBody(body): JsonBody<RotateKeyBody>,
) -> Result<impl IntoResponse, Refusal> {
    let tenant = tenant.find_kept(&registry).await?.tenant.id;
    succeed(&registry, claim, Some(tenant), id, body, clock.now()).await
}
