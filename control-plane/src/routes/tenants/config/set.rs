//! `POST /api/v1/tenants/{tenant}/config`

use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::Value;
use tenantry_domain::{config::ConfigKey, ids::TenantId};
use tenantry_registry::{ConfigEntry, ConfigValue, Registry};
use utoipa::ToSchema;

use super::view::{self, ConfigView};
use crate::{
    auth::{Authorized, scopes::TenantsWrite},
    input::{Fields, InPath, JsonBody, TenantRef},
    refusal::Refusal,
    vault::Vault,
};

/// A value to set.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({
    "configKey": "security.password_policy", "configValue": { "minLength": 12, "requireSpecialChars": true },
    "isEncrypted": false,
}))]
pub(crate) struct SetConfigBody {
    /// Words of `a-z`, `0-9`, `_` and `-` with dots between them.
    #[schema(value_type = String)]
    config_key: ConfigKey,
    /// Any JSON but null; what Tenantry itself reads must fit: `security.password_policy`, `session.timeout`,
    /// `file_upload.max_size`, `api.rate_limit`, `features.*`, `maintenance.window`.
    #[schema(value_type = Object)]
    config_value: Value,
    /// Whether it is kept encrypted; not possible for what Tenantry itself reads.
    #[serde(default)]
    is_encrypted: bool,
}

/// Set a value of a tenant's configuration
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/config", tag = "tenants",
    params(
        ("tenant" = String, Path, description = "Id or slug", example = "my-org"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key gives the same answer for 24 h"),
    ),
    request_body = SetConfigBody,
    responses(
        (status = 200, description = "Set in place of another", body = ConfigView),
        (status = 201, description = "Set", body = ConfigView),
        (status = 409, description = "`tenant_purged`", body = tenantry_http::Problem),
    ),
    security(("apiKey" = ["tenants:write"])),
)]
pub(crate) async fn set_config(
    _: Authorized<TenantsWrite>,
    InPath(tenant): InPath<TenantRef>,
    State(registry): State<Registry>,
    State(vault): State<Vault>,
    JsonBody(body): JsonBody<SetConfigBody>,
) -> Result<(StatusCode, Json<ConfigView>), Refusal> {
    let tenant = tenant.find_kept(&registry).await?.tenant.id;
    set(&registry, &vault, tenant, body.config_key, body.config_value, body.is_encrypted).await
}

/// Checks a value and sets it.
pub(super) async fn set(
    registry: &Registry,
    vault: &Vault,
    tenant: TenantId,
    key: ConfigKey,
    value: Value,
    is_encrypted: bool,
) -> Result<(StatusCode, Json<ConfigView>), Refusal> {
    let mut fields = Fields::default();
    fields.check("configValue", !value.is_null(), "must not be null; to unset it, delete it");
    fields.take("configValue", key.check(&value));
    let can_be = !is_encrypted || !key.is_read_by_tenantry();
    fields.check("isEncrypted", can_be, "cannot be true for what Tenantry itself reads");
    fields.finish()?;
    if let Some((feature, on)) = key.feature().zip(value.as_bool()) {
        let switched = registry.feature_switch(tenant, feature, Some(on)).await?;
        let (updated_at, was_switched) = switched.ok_or_else(Refusal::purged)?;
        let entry = ConfigEntry { key, value: ConfigValue::Plain(value), updated_at };
        let status = if was_switched { StatusCode::OK } else { StatusCode::CREATED };
        return Ok((status, Json(ConfigView::of_tenant(&entry, None))));
    }
    let value = if is_encrypted {
        view::sealed(registry, vault, tenant, &key, &value).await?
    } else {
        ConfigValue::Plain(value)
    };
    let (updated_at, is_new) =
        registry.config_put(tenant, &key, &value).await?.ok_or_else(Refusal::purged)?;
    tracing::info!(tenant.id = %tenant, config.key = %key, "configuration {key} of tenant {tenant} was set");
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    // An encrypted value is not sent back.
    Ok((status, Json(ConfigView::of_tenant(&ConfigEntry { key, value, updated_at }, None))))
}
