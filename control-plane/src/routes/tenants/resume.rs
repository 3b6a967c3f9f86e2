//! `POST /api/v1/tenants/{tenant}/resume`

use axum::{extract::State, http::StatusCode, response::Response};
use tenantry_domain::operation::OperationKind;
use tenantry_http::Problem;
use tenantry_registry::Registry;

use crate::{
    auth::{Authorized, scopes::TenantsWrite},
    idempotency::Claim,
    input::{InPath, Prefer, TenantRef},
    refusal::Refusal,
    routes::operations::answer::{WorkView, answer},
    use_cases::start_operation::StartOperation,
};

/// Serve a suspended tenant again
///
/// It is served as before.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/resume", tag = "tenants",
    params(
        ("tenant" = String, Path, description = "Id or slug", example = "my-org"),
        ("Prefer" = Option<String>, Header, description = "`wait=N`: answer when it is done, at most N seconds later", example = "wait=10"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key gives the same answer for 24 h"),
    ),
    responses(
        (status = 202, description = "It is queued", body = WorkView),
        (status = 200, description = "It was done within the wait", body = WorkView),
        (status = 409, description = "`operation_refused` or `operation_in_progress`", body = Problem),
    ),
    security(("apiKey" = ["tenants:write"])),
)]
pub(crate) async fn resume_tenant(
    _: Authorized<TenantsWrite>,
    InPath(tenant): InPath<TenantRef>,
    prefer: Prefer,
    claim: Claim,
    State(registry): State<Registry>,
    State(start): State<StartOperation>,
) -> Result<Response, Refusal> {
    let tenant = tenant.find(&registry).await?;
    let begun = start.run(tenant, OperationKind::Resume, claim).await?;
    answer(&registry, begun, prefer, StatusCode::OK).await
}
