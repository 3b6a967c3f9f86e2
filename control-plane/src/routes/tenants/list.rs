//! `GET /api/v1/tenants`

use axum::{Json, extract::State};
use tenantry_registry::{Registry, TenantFilter};

use super::view::TenantView;
use crate::{
    auth::{Authorized, scopes::TenantsRead},
    input::{QueryParams, cursor::Listing},
    refusal::Refusal,
    vocabulary,
};

/// Tenants, newest first
#[utoipa::path(
    get, path = "/api/v1/tenants", tag = "tenants",
    params(
        ("status" = Option<vocabulary::TenantStatus>, Query, description = "In this status; without it, all but purged ones", example = "active"),
        ("plan" = Option<String>, Query, description = "With this plan"),
        ("app" = Option<String>, Query, description = "With this app"),
        ("tier" = Option<vocabulary::Tier>, Query, description = "Placed in this tier"),
        ("server" = Option<String>, Query, description = "Placed on this server"),
        ("health" = Option<vocabulary::Health>, Query, description = "Doing so: see its `health`", example = "unhealthy"),
        ("q" = Option<String>, Query, description = "Whose slug or name holds this text, in any case"),
        ("limit" = Option<u16>, Query, description = "1 to 200; 50 if not given"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before"),
    ),
    responses((status = 200, description = "A page", body = Listing<TenantView>)),
    security(("apiKey" = ["tenants:read"])),
)]
pub(crate) async fn list_tenants(
    _: Authorized<TenantsRead>,
    State(registry): State<Registry>,
    mut query: QueryParams,
) -> Result<Json<Listing<TenantView>>, Refusal> {
    let filter = TenantFilter {
        phase: query.take("status"),
        plan: query.take("plan"),
        app: query.take("app"),
        tier: query.take("tier"),
        server: query.take("server"),
        health: query.take("health"),
        text: query.take::<String>("q").filter(|text| !text.is_empty()),
    };
    if filter.text.as_ref().is_some_and(|text| text.chars().count() > 200) {
        query.wrong("q", "must have at most 200 characters");
    }
    let window = query.window();
    query.finish()?;
    let tenants = registry.tenant_list(&filter, window.by_id()?).await?;
    Ok(Json(Listing::of(tenants, window.size(), |row| row.tenant.id.to_string(), TenantView::from)))
}
