//! What takes more than one call to the registry. Knows neither HTTP nor SQL.

pub(crate) mod ask_worker;
pub(crate) mod await_operation;
pub(crate) mod check_server;
pub(crate) mod create_tenant;
pub(crate) mod lint_version;
pub(crate) mod make_way;
pub(crate) mod move_tenant;
pub(crate) mod rebalance;
pub(crate) mod start_operation;
pub(crate) mod start_rollout;
pub(crate) mod try_version;
pub(crate) mod verify_audit;

use tenantry_domain::{ids::OperationId, operation::Operation};
use tenantry_registry::{Registry, RegistryError, TenantDetails};

use crate::{
    claim::Claim,
    operation_watch::{OperationWatch, Subscription},
};

/// Work that was started.
pub(crate) struct Started {
    /// The tenant that it is on, as it was then; none: it is on something else.
    pub(crate) tenant: Option<TenantDetails>,
    /// The operation, queued.
    pub(crate) operation: Operation,
    /// A watch on it that has missed nothing.
    pub(crate) subscription: Subscription,
}

impl Started {
    /// Begins work, unless the same request has started it before without being answered.
    async fn once<E: From<RegistryError>>(
        claim: Claim,
        registry: &Registry,
        watch: &OperationWatch,
        work: impl Future<Output = Result<Self, E>>,
    ) -> Result<Self, E> {
        if let Some(started) = Self::before(claim, registry, watch).await? {
            return Ok(started);
        }
        match work.await {
            // The first request may have been at work until now, and be what is in the way.
            Err(refused) => Self::before(claim, registry, watch).await?.ok_or(refused),
            started => started,
        }
    }

    /// What the same request has started before without being answered.
    async fn before(
        claim: Claim,
        registry: &Registry,
        watch: &OperationWatch,
    ) -> Result<Option<Self>, RegistryError> {
        let Some(id) = claim.made_before().map(OperationId::from_uuid) else { return Ok(None) };
        let subscription = watch.subscribe(id);
        let Some(operation) = registry.operation_get(id).await? else { return Ok(None) };
        let tenant = tenant_of(registry, &operation).await?;
        Ok(Some(Self { tenant, operation, subscription }))
    }
}

/// The tenant that an operation is on.
pub(crate) async fn tenant_of(
    registry: &Registry,
    operation: &Operation,
) -> Result<Option<TenantDetails>, RegistryError> {
    match operation.subject.tenant() {
        Some(tenant) => registry.tenant_get(tenant).await,
        None => Ok(None),
    }
}
