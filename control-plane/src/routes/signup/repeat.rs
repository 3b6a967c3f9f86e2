//! A sign-up that failed on our side left a failed tenant, which has the slug. The same visitor, asking
//! for it again, takes that one up.

use tenantry_domain::{Clock, Slug, domain_name::DomainName, ids::OperationId, tenant::DisplayName};
use tenantry_registry::{Registry, RetryError, TenantChange};

use crate::{
    refusal::Refusal,
    use_cases::{
        Started,
        create_tenant::{CreateTenantError, domain_token},
        start_operation::StartOperation,
    },
};

/// What the visitor asks for this time.
pub(super) struct Again<'a> {
    pub(super) slug: &'a Slug,
    pub(super) name: &'a DisplayName,
    pub(super) domain: Option<&'a DomainName>,
    pub(super) visitor: &'a str,
}

/// Takes up the visitor's own failed sign-up with this slug; none if there is none.
pub(super) async fn take_up(
    registry: &Registry,
    start: &StartOperation,
    clock: &dyn Clock,
    again: &Again<'_>,
) -> Result<Option<Started>, Refusal> {
    let Some(operation) = registry.public_signup_failed(again.slug, again.visitor).await? else {
        return Ok(None);
    };
    let Some(tenant) = registry.tenant_find(again.slug).await? else { return Ok(None) };
    let tenant = tenant.tenant;
    if let Some(domain) = again.domain {
        let added = registry.domain_add(tenant.id, domain, &domain_token(), clock.now()).await;
        added.map_err(CreateTenantError::from)?;
    }
    if tenant.name != *again.name {
        let change = TenantChange { name: Some(again.name.clone()), ..TenantChange::default() };
        registry.tenant_change(tenant.id, &change, clock.now()).await?;
    }
    run_again(start, operation).await.map(Some)
}

/// Runs a sign-up's failed operation again.
pub(super) async fn run_again(start: &StartOperation, failed: OperationId) -> Result<Started, Refusal> {
    start.again(failed).await.map_err(|error| match error {
        RetryError::Start(error) => error.into(),
        // The same visitor has taken it up at the same moment.
        RetryError::NotFailed(_) | RetryError::Unreadable(_) | RetryError::NotFound => {
            CreateTenantError::SlugTaken.into()
        }
    })
}
