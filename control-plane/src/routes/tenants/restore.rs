//! `POST /api/v1/tenants/{tenant}/restore`

use axum::{extract::State, response::Response};
use tenantry_domain::tenant::TenantPhase;
use tenantry_registry::Registry;

use super::transition::{OfTenant, TransitionAnswers, WorkHeaders, conclude};
use crate::{
    auth::{Authorized, scopes::TenantsWrite},
    claim::Claim,
    input::{InPath, Prefer, TenantRef},
    refusal::Refusal,
    use_cases::start_operation::StartOperation,
};

/// Take a deletion back
///
/// Possible until the tenant's `purgeAt`. One that is active is answered as it is.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/restore", tag = "tenants",
    params(OfTenant, WorkHeaders),
    responses(TransitionAnswers),
    security(("apiKey" = ["tenants:write"])),
)]
pub(crate) async fn restore_tenant(
    _: Authorized<TenantsWrite>,
    InPath(tenant): InPath<TenantRef>,
    prefer: Prefer,
    claim: Claim,
    State(registry): State<Registry>,
    State(start): State<StartOperation>,
) -> Result<Response, Refusal> {
    let tenant = tenant.find(&registry).await?;
    let id = tenant.tenant.id;
    let started = start.restore(tenant, claim).await;
    conclude(&registry, id, started, TenantPhase::Active, prefer).await
}
