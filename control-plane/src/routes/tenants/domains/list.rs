//! `GET /api/v1/tenants/{tenant}/domains`

use axum::{Json, extract::State};
use tenantry_registry::{Registry, TenantDomain};

use super::view::DomainView;
use crate::{
    auth::{Authorized, scopes::TenantsRead},
    input::{InPath, QueryParams, TenantRef, cursor::Listing},
    refusal::Refusal,
};

/// A tenant's custom domains, by name
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/domains", tag = "tenants",
    params(
        ("tenant" = String, Path, description = "Id or slug", example = "my-org"),
        ("limit" = Option<u16>, Query, description = "1 to 200; 50 if not given"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before"),
    ),
    responses((status = 200, description = "A page", body = Listing<DomainView>)),
    security(("apiKey" = ["tenants:read"])),
)]
pub(crate) async fn list_domains(
    _: Authorized<TenantsRead>,
    InPath(tenant): InPath<TenantRef>,
    State(registry): State<Registry>,
    mut query: QueryParams,
) -> Result<Json<Listing<DomainView>>, Refusal> {
    let window = query.window();
    query.finish()?;
    let tenant = tenant.find(&registry).await?.tenant.id;
    let mut domains = registry.domain_list(tenant).await?;
    let name = |domain: &TenantDomain| domain.name.to_string();
    // The registry's collation need not be ours.
    domains.sort_by_key(name);
    Ok(Json(Listing::of_all(domains, window.after.as_ref(), window.size(), name, DomainView::from)))
}
