//! `GET /api/v1/tenants/{tenant}`

use axum::{Json, extract::State};
use tenantry_registry::Registry;

use super::view::TenantView;
use crate::{
    auth::{Authorized, scopes::TenantsRead},
    input::{InPath, TenantRef},
    refusal::Refusal,
};

/// One tenant
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}", tag = "tenants",
    params(("tenant" = String, Path, description = "Id or slug", example = "my-org")),
    responses((status = 200, description = "The tenant", body = TenantView)),
    security(("apiKey" = ["tenants:read"])),
)]
pub(crate) async fn get_tenant(
    _: Authorized<TenantsRead>,
    InPath(tenant): InPath<TenantRef>,
    State(registry): State<Registry>,
) -> Result<Json<TenantView>, Refusal> {
    Ok(Json(tenant.find(&registry).await?.into()))
}
