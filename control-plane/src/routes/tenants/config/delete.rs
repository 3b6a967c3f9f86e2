//! `DELETE /api/v1/tenants/{tenant}/config/{key}`

use axum::{extract::State, http::StatusCode};
use tenantry_domain::config::ConfigKey;
use tenantry_registry::Registry;

use crate::{
    auth::{Authorized, scopes::TenantsWrite},
    input::{InPath, TenantRef},
    refusal::Refusal,
};

/// Unset a value of a tenant's configuration
///
/// The default of its plan holds again, if it has one.
#[utoipa::path(
    delete, path = "/api/v1/tenants/{tenant}/config/{key}", tag = "tenants",
    params(
        ("tenant" = String, Path, description = "Id or slug", example = "my-org"),
        ("key" = String, Path, description = "Its key", example = "session.timeout"),
    ),
    responses(
        (status = 204, description = "Unset"),
        (status = 404, description = "`config_not_found`: the tenant had not set it", body = tenantry_http::Problem),
    ),
    security(("apiKey" = ["tenants:write"])),
)]
pub(crate) async fn delete_config(
    _: Authorized<TenantsWrite>,
    InPath((tenant, key)): InPath<(TenantRef, ConfigKey)>,
    State(registry): State<Registry>,
) -> Result<StatusCode, Refusal> {
    let tenant = tenant.find(&registry).await?.tenant.id;
    let was_set = match key.feature() {
        Some(feature) => registry
            .feature_switch(tenant, feature, None)
            .await?
            .is_some_and(|(_, was_switched)| was_switched),
        None => registry.config_delete(tenant, &key).await?,
    };
    if !was_set {
        return Err(Refusal::not_found("config"));
    }
    tracing::info!(tenant.id = %tenant, config.key = %key, "configuration {key} of tenant {tenant} was unset");
    Ok(StatusCode::NO_CONTENT)
}
