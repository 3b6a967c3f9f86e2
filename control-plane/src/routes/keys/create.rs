//! `POST /api/v1/keys`

use std::{collections::BTreeSet, sync::Arc};

use axum::{extract::State, response::IntoResponse};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use tenantry_domain::{
    Clock,
    api_key::{ApiKey, NewKey, Scope},
    ids::ApiKeyId,
};
use tenantry_http::Problem;
use tenantry_registry::{NewApiKey, Registry, RegistryError};
use utoipa::ToSchema;

use super::view::{CreatedKeyView, expiry};
use crate::{
    auth::{Authorized, require, scopes::KeysWrite},
    claim::Claim,
    input::{Fields, JsonBody, fields},
    refusal::Refusal,
    vocabulary,
};

/// A key to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({ "name": "billing back end", "scopes": ["tenants:read", "tenants:write"] }))]
pub(crate) struct CreateKeyBody {
    /// What it is for, 1 to 200 characters.
    name: String,
    /// What it may do: at most what the caller's own key may.
    #[schema(value_type = Vec<vocabulary::Scope>)]
    scopes: BTreeSet<Scope>,
    /// When it stops working; never when absent.
    expires_at: Option<DateTime<Utc>>,
}

/// Make a key of the control plane
///
/// The answer is the only time that the key is shown. Nobody can give what they do not have.
#[utoipa::path(
    post, path = "/api/v1/keys", tag = "keys",
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key gives the same answer for 24 h")),
    request_body = CreateKeyBody,
    responses(
        (status = 201, description = "The key", body = CreatedKeyView),
        (status = 403, description = "`scope_missing`: the caller's own key lacks a scope", body = Problem),
    ),
    security(("apiKey" = ["keys:write"])),
)]
pub(crate) async fn create_key(
    caller: Authorized<KeysWrite>,
    claim: Claim,
    State(registry): State<Registry>,
    State(clock): State<Arc<dyn Clock>>,
    JsonBody(body): JsonBody<CreateKeyBody>,
) -> Result<impl IntoResponse, Refusal> {
    let now = clock.now();
    let mut fields = Fields::default();
    let name = fields.take("name", fields::label(&body.name));
    fields.check("scopes", !body.scopes.is_empty(), "must name at least one scope");
    let of_operators = !body.scopes.iter().any(|scope| scope.is_of_tenants());
    fields.check("scopes", of_operators, "data:read and data:write are for tenants' keys");
    expiry(&mut fields, body.expires_at, now);
    fields.finish()?;
    body.scopes.iter().try_for_each(|scope| require(caller.caller(), *scope))?;

    let new = NewKey::operator(&mut rand::rng());
    let key = ApiKey {
        id: ApiKeyId::from_uuid(claim.id_or_new(now)),
        tenant_id: None,
        name: name.unwrap_or_default(),
        scopes: body.scopes,
        expires_at: body.expires_at,
        created_at: now,
    };
    keep(&registry, claim, &NewApiKey { key: key.clone(), hash: new.hash }).await?;
    tracing::info!(key.id = %key.id, "key {} of the control plane was made", key.id);
    Ok(CreatedKeyView::answer(key, &new.key))
}

/// Keeps a new key, in place of the one that the same request made before: its answer was not kept, and
/// cannot be given again.
pub(crate) async fn keep(registry: &Registry, claim: Claim, new: &NewApiKey) -> Result<(), RegistryError> {
    if let Some(unseen) = claim.made_before() {
        registry.api_key_delete(new.key.tenant_id, ApiKeyId::from_uuid(unseen)).await?;
    }
    registry.api_key_create(new).await.map(drop)
}
