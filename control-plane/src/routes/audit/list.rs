//! `GET /api/v1/audit`

use axum::{Json, extract::State};
use tenantry_registry::Registry;

use super::view::{AuditView, Filters};
use crate::{
    auth::{Authorized, scopes::AuditRead},
    input::{QueryParams, cursor::Listing},
    refusal::Refusal,
};

/// Who did what, the last first
#[utoipa::path(
    get, path = "/api/v1/audit", tag = "audit",
    params(
        ("tenant" = Option<String>, Query, description = "About this tenant (id or slug)"),
        ("actor" = Option<String>, Query, description = "By this one: the id or name of a key or user"),
        ("action" = Option<String>, Query, description = "This, or all that begin so: `tenants.*`", example = "tenants.suspend"),
        ("since" = Option<String>, Query, description = "Not before this time (RFC 3339)", example = "2026-12-01T00:00:00Z"),
        ("until" = Option<String>, Query, description = "Before this time (RFC 3339)", example = "2027-01-01T00:00:00Z"),
        ("limit" = Option<u16>, Query, description = "1 to 200; 50 if not given"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before"),
    ),
    responses((status = 200, description = "A page", body = Listing<AuditView>)),
    security(("apiKey" = ["audit:read"])),
)]
pub(crate) async fn list_audit(
    _: Authorized<AuditRead>,
    State(registry): State<Registry>,
    mut query: QueryParams,
) -> Result<Json<Listing<AuditView>>, Refusal> {
    let filters = Filters::take(&mut query);
    let window = query.window();
    query.finish()?;
    let page = window.by_id()?;
    let rows = registry.audit_list(&filters.find(&registry).await?, page).await?;
    Ok(Json(Listing::of(rows, window.size(), |row| row.entry.id.to_string(), AuditView::from)))
}
