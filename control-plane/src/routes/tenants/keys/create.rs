//! `POST /api/v1/tenants/{tenant}/keys`

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
use tenantry_registry::{NewApiKey, Registry};
use utoipa::ToSchema;

use crate::{
    auth::{Authorized, scopes::KeysWrite},
    claim::Claim,
    input::{Fields, InPath, JsonBody, TenantRef, fields},
    refusal::Refusal,
    routes::keys::{
        create::keep,
        view::{CreatedKeyView, expiry},
    },
    vocabulary,
};

/// A key to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({ "name": "web shop", "scopes": ["data:read"] }))]
pub(crate) struct CreateTenantKeyBody {
    /// What it is for, 1 to 200 characters.
    name: String,
    /// `data:read`, `data:write`; both when absent.
    #[schema(value_type = Option<Vec<vocabulary::Scope>>)]
    scopes: Option<BTreeSet<Scope>>,
    /// When it stops working; never when absent.
    expires_at: Option<DateTime<Utc>>,
}

/// Make a key for one tenant's data
///
/// The answer is the only time that the key is shown.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/keys", tag = "tenants",
    params(
        ("tenant" = String, Path, description = "Id or slug", example = "my-org"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key gives the same answer for 24 h"),
    ),
    request_body = CreateTenantKeyBody,
    responses(
        (status = 201, description = "The key", body = CreatedKeyView),
        (status = 409, description = "`tenant_purged`", body = Problem),
    ),
    security(("apiKey" = ["keys:write"])),
)]
pub(crate) async fn create_tenant_key(
    _: Authorized<KeysWrite>,
    InPath(tenant): InPath<TenantRef>,
    claim: Claim,
    State(registry): State<Registry>,
    State(clock): State<Arc<dyn Clock>>,
    JsonBody(body): JsonBody<CreateTenantKeyBody>,
) -> Result<impl IntoResponse, Refusal> {
    let now = clock.now();
    let mut fields = Fields::default();
    let name = fields.take("name", fields::label(&body.name));
    let scopes = body.scopes.unwrap_or_else(Scope::tenant);
    let fit = !scopes.is_empty() && scopes.iter().all(|scope| scope.is_of_tenants());
    fields.check("scopes", fit, "must be data:read, data:write or both");
    expiry(&mut fields, body.expires_at, now);
    fields.finish()?;

    let tenant = tenant.find_kept(&registry).await?.tenant.id;
    let new = NewKey::tenant(tenant, &mut rand::rng());
    let key = ApiKey {
        id: ApiKeyId::from_uuid(claim.id_or_new(now)),
        tenant_id: Some(tenant),
        name: name.unwrap_or_default(),
        scopes,
        expires_at: body.expires_at,
        created_at: now,
    };
    keep(&registry, claim, &NewApiKey { key: key.clone(), hash: new.hash }).await?;
    tracing::info!(tenant.id = %tenant, key.id = %key.id, "key {} of tenant {tenant} was made", key.id);
    Ok(CreatedKeyView::answer(key, &new.key))
}
