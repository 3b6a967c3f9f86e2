//! `DELETE /api/v1/tenants/{tenant}/domains/{domain}`

use axum::{extract::State, http::StatusCode};
use tenantry_domain::domain_name::DomainName;
use tenantry_registry::Registry;

use crate::{
    auth::{Authorized, scopes::TenantsWrite},
    input::{InPath, TenantRef},
    refusal::Refusal,
};

/// Remove a custom domain
#[utoipa::path(
    delete, path = "/api/v1/tenants/{tenant}/domains/{domain}", tag = "tenants",
    params(
        ("tenant" = String, Path, description = "Id or slug", example = "my-org"),
        ("domain" = String, Path, description = "The host name", example = "events.customersite.com"),
    ),
    responses((status = 204, description = "It is no longer served")),
    security(("apiKey" = ["tenants:write"])),
)]
pub(crate) async fn delete_domain(
    _: Authorized<TenantsWrite>,
    InPath((tenant, domain)): InPath<(TenantRef, DomainName)>,
    State(registry): State<Registry>,
) -> Result<StatusCode, Refusal> {
    let tenant = tenant.find(&registry).await?.tenant.id;
    if registry.domain_remove(tenant, &domain).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Refusal::not_found("domain"))
    }
}
