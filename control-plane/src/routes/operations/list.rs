//! `GET /api/v1/operations`

use axum::{Json, extract::State};
use tenantry_domain::operation::Subject;
use tenantry_registry::{OperationFilter, Registry};

use super::view::OperationView;
use crate::{
    auth::{Authorized, scopes::OperationsRead},
    input::{QueryParams, TenantRef, cursor::Listing},
    refusal::Refusal,
    vocabulary,
};

/// Operations, newest first
#[utoipa::path(
    get, path = "/api/v1/operations", tag = "operations",
    params(
        ("tenant" = Option<String>, Query, description = "Of this tenant (id or slug)"),
        ("state" = Option<vocabulary::OperationState>, Query, description = "In this state"),
        ("kind" = Option<vocabulary::OperationKind>, Query, description = "Of this kind"),
        ("limit" = Option<u16>, Query, description = "1 to 200; 50 if not given"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before"),
    ),
    responses((status = 200, description = "A page", body = Listing<OperationView>)),
    security(("apiKey" = ["operations:read"])),
)]
pub(crate) async fn list_operations(
    _: Authorized<OperationsRead>,
    State(registry): State<Registry>,
    mut query: QueryParams,
) -> Result<Json<Listing<OperationView>>, Refusal> {
    let tenant: Option<String> = query.take("tenant");
    let mut filter = OperationFilter { subject: None, state: query.take("state"), kind: query.take("kind") };
    let window = query.window();
    query.finish()?;
    let page = window.by_id()?;
    if let Some(tenant) = tenant {
        let tenant = TenantRef::parse(&tenant).ok_or_else(|| Refusal::not_found("tenant"))?;
        filter.subject = Some(Subject::Tenant(tenant.find(&registry).await?.tenant.id));
    }
    let operations = registry.operation_list(&filter, page).await?;
    Ok(Json(Listing::of(operations, window.size(), |row| row.id.to_string(), OperationView::from)))
}
