//! `GET /api/v1/tenants/{tenant}/operations`

use axum::{Json, extract::State};
use tenantry_domain::operation::Subject;
use tenantry_registry::{OperationFilter, Registry};

use crate::{
    auth::{Authorized, scopes::OperationsRead},
    input::{InPath, QueryParams, TenantRef, cursor::Listing},
    refusal::Refusal,
    routes::operations::view::OperationView,
    vocabulary,
};

/// A tenant's operations, newest first
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/operations", tag = "tenants",
    params(
        ("tenant" = String, Path, description = "Id or slug", example = "my-org"),
        ("state" = Option<vocabulary::OperationState>, Query, description = "In this state"),
        ("kind" = Option<vocabulary::OperationKind>, Query, description = "Of this kind"),
        ("limit" = Option<u16>, Query, description = "1 to 200; 50 if not given"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before"),
    ),
    responses((status = 200, description = "A page", body = Listing<OperationView>)),
    security(("apiKey" = ["operations:read"])),
)]
pub(crate) async fn tenant_operations(
    _: Authorized<OperationsRead>,
    InPath(tenant): InPath<TenantRef>,
    State(registry): State<Registry>,
    mut query: QueryParams,
) -> Result<Json<Listing<OperationView>>, Refusal> {
    let (state, kind) = (query.take("state"), query.take("kind"));
    let window = query.window();
    query.finish()?;
    let page = window.by_id()?;
    let tenant = tenant.find(&registry).await?.tenant.id;
    let filter = OperationFilter { subject: Some(Subject::Tenant(tenant)), state, kind };
    let operations = registry.operation_list(&filter, page).await?;
    Ok(Json(Listing::of(operations, window.size(), |row| row.id.to_string(), OperationView::from)))
}
