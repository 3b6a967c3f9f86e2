//! `POST /api/v1/keys/{key}/rotate`

use std::sync::Arc;

use axum::{extract::State, response::IntoResponse};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use tenantry_domain::{
    Clock,
    api_key::NewKey,
    ids::{ApiKeyId, TenantId},
};
use tenantry_http::Problem;
use tenantry_registry::{KeySuccession, Registry};
use utoipa::ToSchema;

use super::view::{CreatedKeyView, expiry};
use crate::{
    auth::{Authorized, KeyRing, require, scopes::KeysWrite},
    claim::Claim,
    input::{Fields, InPath, JsonBody},
    refusal::Refusal,
};

/// How long a key counts beside its successor, if it is not said.
const OVERLAP_SECONDS: u32 = 3_600;
const MAX_OVERLAP_SECONDS: u32 = 30 * 24 * 3_600;

/// How a key is replaced.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({ "overlapSeconds": 3600 }))]
pub(crate) struct RotateKeyBody {
    /// For how long the old key counts beside the new one, up to 30 days; an hour when absent.
    overlap_seconds: Option<u32>,
    /// When the new key stops working; never when absent.
    expires_at: Option<DateTime<Utc>>,
}

/// Replace a key of the control plane
///
/// The new key may do what the old one may. Both count for a while, so that nothing fails meanwhile. The answer is the
/// only time that the new key is shown.
#[utoipa::path(
    post, path = "/api/v1/keys/{key}/rotate", tag = "keys",
    params(
        ("key" = String, Path, description = "The key's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key gives the same answer for 24 h"),
    ),
    request_body = RotateKeyBody,
    responses(
        (status = 201, description = "The new key", body = CreatedKeyView),
        (status = 403, description = "`scope_missing`: the caller's own key lacks a scope of this one", body = Problem),
    ),
    security(("apiKey" = ["keys:write"])),
)]
pub(crate) async fn rotate_key(
    caller: Authorized<KeysWrite>,
    InPath(id): InPath<ApiKeyId>,
    claim: Claim,
    State(registry): State<Registry>,
    State(clock): State<Arc<dyn Clock>>,
    State(ring): State<KeyRing>,
    JsonBody(body): JsonBody<RotateKeyBody>,
) -> Result<impl IntoResponse, Refusal> {
    let keys = registry.api_key_list(None).await?;
    let old = keys.into_iter().find(|key| key.id == id).ok_or_else(|| Refusal::not_found("key"))?;
    old.scopes.iter().try_for_each(|scope| require(caller.caller(), *scope))?;
    let succeeded = succeed(&registry, claim, None, id, body, clock.now()).await?;
    // What is remembered of it ends later.
    ring.forget(id);
    Ok(succeeded)
}

/// Puts a new key in the place of one of a tenant, or (`None`) of the control plane.
pub(crate) async fn succeed(
    registry: &Registry,
    claim: Claim,
    tenant: Option<TenantId>,
    old: ApiKeyId,
    body: RotateKeyBody,
    now: DateTime<Utc>,
) -> Result<impl IntoResponse + use<>, Refusal> {
    let mut fields = Fields::default();
    let overlap = body.overlap_seconds.unwrap_or(OVERLAP_SECONDS);
    fields.check("overlapSeconds", overlap <= MAX_OVERLAP_SECONDS, "must be from 0 to 2592000 (30 days)");
    expiry(&mut fields, body.expires_at, now);
    fields.finish()?;
    let new = match tenant {
        Some(tenant) => NewKey::tenant(tenant, &mut rand::rng()),
        None => NewKey::operator(&mut rand::rng()),
    };
    // The answer to the same request before was not kept, and its key cannot be shown again: the successor gets another one.
    if let Some(unseen) = claim.made_before()
        && let Some(key) = registry.api_key_renew(tenant, ApiKeyId::from_uuid(unseen), &new.hash).await?
    {
        return Ok(CreatedKeyView::answer(key, &new.key));
    }
    let succession = KeySuccession {
        id: ApiKeyId::from_uuid(claim.id_or_new(now)),
        hash: new.hash,
        expires_at: body.expires_at,
        old_ends_at: now + TimeDelta::seconds(overlap.into()),
        now,
    };
    let key = registry.api_key_succeed(tenant, old, &succession).await?;
    let key = key.ok_or_else(|| Refusal::not_found("key"))?;
    tracing::info!(key.id = %key.id, key.old = %old, "key {old} is succeeded by key {}", key.id);
    Ok(CreatedKeyView::answer(key, &new.key))
}
