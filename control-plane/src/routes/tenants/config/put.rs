//! `PUT /api/v1/tenants/{tenant}/config/{key}`

use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::Value;
use tenantry_domain::config::ConfigKey;
use tenantry_registry::Registry;
use utoipa::ToSchema;

use super::{set::set, view::ConfigView};
use crate::{
    auth::{Authorized, scopes::TenantsWrite},
    input::{InPath, JsonBody, TenantRef},
    refusal::Refusal,
    vault::Vault,
};

/// A value to set.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({ "configValue": 3600 }))]
pub(crate) struct PutConfigBody {
    /// As for POST.
    #[schema(value_type = Object)]
    config_value: Value,
    /// Whether it is kept encrypted; not possible for what Tenantry itself reads.
    #[serde(default)]
    is_encrypted: bool,
}

/// Set a value of a tenant's configuration, by its key
#[utoipa::path(
    put, path = "/api/v1/tenants/{tenant}/config/{key}", tag = "tenants",
    params(
        ("tenant" = String, Path, description = "Id or slug", example = "my-org"),
        ("key" = String, Path, description = "Its key", example = "session.timeout"),
    ),
    request_body = PutConfigBody,
    responses(
        (status = 200, description = "Set in place of another", body = ConfigView),
        (status = 201, description = "Set", body = ConfigView),
        (status = 409, description = "`tenant_purged`", body = tenantry_http::Problem),
    ),
    security(("apiKey" = ["tenants:write"])),
)]
pub(crate) async fn put_config(
    _: Authorized<TenantsWrite>,
    InPath((tenant, key)): InPath<(TenantRef, ConfigKey)>,
    State(registry): State<Registry>,
    State(vault): State<Vault>,
    JsonBody(body): JsonBody<PutConfigBody>,
) -> Result<(StatusCode, Json<ConfigView>), Refusal> {
    let tenant = tenant.find_kept(&registry).await?.tenant.id;
    set(&registry, &vault, tenant, key, body.config_value, body.is_encrypted).await
}
