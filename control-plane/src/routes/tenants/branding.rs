//! `GET /api/v1/tenants/{tenant}/branding`

use axum::{Json, extract::State};
use serde::Serialize;
use serde_json::Value;
use tenantry_registry::Registry;
use utoipa::ToSchema;

use crate::{
    auth::{Authorized, scopes::TenantsRead},
    input::{InPath, TenantRef},
    refusal::Refusal,
};

/// How a tenant presents itself.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({
    "slug": "dental-clinic-abc", "name": "ABC Dental Clinic",
    "branding": { "company_name": "ABC Dental Clinic", "primary_color": "#2E86AB" },
}))]
pub(crate) struct BrandingView {
    /// Its slug.
    slug: String,
    /// Its name for people.
    name: String,
    /// The object `branding` of its settings; empty if there is none.
    #[schema(value_type = Object)]
    branding: Value,
}

/// A tenant's branding
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/branding", tag = "tenants",
    params(("tenant" = String, Path, description = "Id or slug", example = "dental-clinic-abc")),
    responses((status = 200, description = "Its branding", body = BrandingView)),
    security(("apiKey" = ["tenants:read"])),
)]
pub(crate) async fn tenant_branding(
    _: Authorized<TenantsRead>,
    InPath(tenant): InPath<TenantRef>,
    State(registry): State<Registry>,
) -> Result<Json<BrandingView>, Refusal> {
    let mut tenant = tenant.find(&registry).await?.tenant;
    let branding = tenant.settings.remove("branding").filter(Value::is_object);
    Ok(Json(BrandingView {
        slug: tenant.slug.to_string(),
        name: tenant.name.as_str().to_owned(),
        branding: branding.unwrap_or_else(|| Value::Object(serde_json::Map::new())),
    }))
}
