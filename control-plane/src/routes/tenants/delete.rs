//! `DELETE /api/v1/tenants/{tenant}`

use std::str::FromStr;

use axum::{extract::State, http::StatusCode, response::Response};
use tenantry_domain::{Invalid, operation::OperationKind};
use tenantry_http::Problem;
use tenantry_registry::Registry;

use crate::{
    auth::{Authorized, scopes::TenantsWrite},
    idempotency::Claim,
    input::{InPath, Prefer, QueryParams, TenantRef},
    refusal::Refusal,
    routes::operations::answer::{WorkView, answer},
    use_cases::start_operation::StartOperation,
};

/// `?purge=now`
#[derive(Debug, PartialEq, Eq)]
struct Now;

impl FromStr for Now {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text == "now" { Ok(Self) } else { Err(Invalid::because("must be `now`, or left out")) }
    }
}

/// Delete a tenant
///
/// It is no longer served; its data is dropped after the plan's retention, and can be restored until
/// then. With `purge=now` the data is dropped at once.
#[utoipa::path(
    delete, path = "/api/v1/tenants/{tenant}", tag = "tenants",
    params(
        ("tenant" = String, Path, description = "Id or slug", example = "my-org"),
        ("purge" = Option<String>, Query, description = "`now`: drop the data at once, for good", example = "now"),
        ("Prefer" = Option<String>, Header, description = "`wait=N`: answer when it is done, at most N seconds later", example = "wait=10"),
    ),
    responses(
        (status = 202, description = "It is queued", body = WorkView),
        (status = 200, description = "It was done within the wait", body = WorkView),
        (status = 409, description = "`operation_refused` or `operation_in_progress`", body = Problem),
    ),
    security(("apiKey" = ["tenants:write"])),
)]
pub(crate) async fn delete_tenant(
    _: Authorized<TenantsWrite>,
    InPath(tenant): InPath<TenantRef>,
    mut query: QueryParams,
    prefer: Prefer,
    State(registry): State<Registry>,
    State(start): State<StartOperation>,
) -> Result<Response, Refusal> {
    let purge: Option<Now> = query.take("purge");
    query.finish()?;
    let tenant = tenant.find(&registry).await?;
    let begun = match purge {
        Some(Now) => start.run(tenant, OperationKind::Purge, Claim::default()).await?,
        None => start.deactivate(tenant).await?,
    };
    answer(&registry, begun, prefer, StatusCode::OK).await
}
