//! What takes more than one call to the registry. Knows neither HTTP nor SQL.

pub(crate) mod await_operation;
pub(crate) mod create_tenant;
pub(crate) mod start_operation;

use tenantry_domain::{ids::OperationId, operation::Operation};
use tenantry_registry::{Registry, RegistryError, TenantDetails};

use crate::{
    claim::Claim,
    operation_watch::{OperationWatch, Subscription},
};

/// Work that was begun on a tenant.
pub(crate) struct Begun {
    /// The tenant, as it was then.
    pub(crate) tenant: TenantDetails,
    /// The operation, queued.
    pub(crate) operation: Operation,
    /// A watch on it that has missed nothing.
    pub(crate) subscription: Subscription,
}

impl Begun {
    /// Begins work, unless the same request has begun it before without being answered.
    async fn once<E: From<RegistryError>>(
        claim: Claim,
        registry: &Registry,
        watch: &OperationWatch,
        work: impl Future<Output = Result<Self, E>>,
    ) -> Result<Self, E> {
        if let Some(begun) = Self::before(claim, registry, watch).await? {
            return Ok(begun);
        }
        match work.await {
            // The first request may have been at work until now, and be what is in the way.
            Err(refused) => Self::before(claim, registry, watch).await?.ok_or(refused),
            begun => begun,
        }
    }

    /// What the same request has begun before without being answered.
    async fn before(
        claim: Claim,
        registry: &Registry,
        watch: &OperationWatch,
    ) -> Result<Option<Self>, RegistryError> {
        let Some(id) = claim.made_before().map(OperationId::from_uuid) else { return Ok(None) };
        let subscription = watch.subscribe(id);
        let Some(operation) = registry.operation_get(id).await? else { return Ok(None) };
        let tenant = registry.tenant_get(operation.tenant_id).await?;
        Ok(tenant.map(|tenant| Self { tenant, operation, subscription }))
    }
}
