//! `DELETE /api/v1/tenants/{tenant}`

use std::str::FromStr;

use axum::{extract::State, response::Response};
use tenantry_domain::{Invalid, tenant::TenantPhase};
use tenantry_registry::Registry;

use super::transition::{OfTenant, TransitionAnswers, conclude};
use crate::{
    auth::{Authorized, scopes::TenantsWrite},
    input::{InPath, Prefer, QueryParams, TenantRef},
    refusal::Refusal,
    use_cases::start_operation::StartOperation,
    vocabulary,
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
/// then. With `purge=now` the data is dropped at once. One that is deleted (or, with `purge=now`, purged) is
/// answered as it is: its time of purge stays.
#[utoipa::path(
    delete, path = "/api/v1/tenants/{tenant}", tag = "tenants",
    params(
        OfTenant,
        ("purge" = Option<vocabulary::PurgeTime>, Query, description = "`now`: drop the data at once, for good", example = "now"),
        ("Prefer" = Option<String>, Header, description = "`wait=N`: answer when it is done, at most N seconds later", example = "wait=10"),
    ),
    responses(TransitionAnswers),
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
    let id = tenant.tenant.id;
    let (started, goal) = match purge {
        Some(Now) => (start.purge(tenant).await, TenantPhase::Purged),
        None => (start.deactivate(tenant).await, TenantPhase::Deactivated),
    };
    conclude(&registry, id, started, goal, prefer).await
}
