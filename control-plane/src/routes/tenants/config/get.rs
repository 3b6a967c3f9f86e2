//! `GET /api/v1/tenants/{tenant}/config/{key}`

use axum::{Json, extract::State, http::header, response::IntoResponse};
use tenantry_domain::{api_key::Scope, config::ConfigKey};
use tenantry_registry::Registry;

use super::view;
use crate::{
    auth::{Authorized, require, scopes::TenantsRead},
    input::{InPath, QueryParams, TenantRef},
    refusal::Refusal,
    vault::Vault,
};

/// One value of a tenant's configuration
///
/// What the tenant has set, or else the default of its plan.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/config/{key}", tag = "tenants",
    params(
        ("tenant" = String, Path, description = "Id or slug", example = "my-org"),
        ("key" = String, Path, description = "Its key", example = "session.timeout"),
        ("reveal" = Option<bool>, Query, description = "Show an encrypted value; needs the scope `tenants:secrets`"),
    ),
    responses((status = 200, description = "The value", body = super::view::ConfigView)),
    security(("apiKey" = ["tenants:read"])),
)]
pub(crate) async fn get_config(
    caller: Authorized<TenantsRead>,
    InPath((tenant, key)): InPath<(TenantRef, ConfigKey)>,
    State(registry): State<Registry>,
    State(vault): State<Vault>,
    mut query: QueryParams,
) -> Result<impl IntoResponse, Refusal> {
    let reveal = query.take("reveal").unwrap_or(false);
    query.finish()?;
    if reveal {
        require(caller.caller(), Scope::TenantsSecrets)?;
    }
    let tenant = tenant.find(&registry).await?.tenant;
    if reveal {
        tracing::info!(
            tenant.id = %tenant.id, caller = %caller.caller(), config.key = %key,
            "configuration {key} of tenant {} was revealed", tenant.id
        );
    }
    let value = view::one(&registry, &tenant, &key, reveal.then_some(&vault)).await?;
    let value = value.ok_or_else(|| Refusal::not_found("config"))?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(value)))
}
