//! `POST /api/v1/tenants/{tenant}/suspend`

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

/// Stop serving a tenant; its data is kept
///
/// Its traffic gets 403 `tenant_suspended` from then on. One that is suspended is answered as it is.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/suspend", tag = "tenants",
    params(OfTenant, WorkHeaders),
    responses(TransitionAnswers),
    security(("apiKey" = ["tenants:write"])),
)]
pub(crate) async fn suspend_tenant(
    _: Authorized<TenantsWrite>,
    InPath(tenant): InPath<TenantRef>,
    prefer: Prefer,
    claim: Claim,
    State(registry): State<Registry>,
    State(start): State<StartOperation>,
) -> Result<Response, Refusal> {
    let tenant = tenant.find(&registry).await?;
    let id = tenant.tenant.id;
    let started = start.suspend(tenant, claim).await;
    conclude(&registry, id, started, TenantPhase::Suspended, prefer).await
}
