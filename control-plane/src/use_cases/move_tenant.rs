//! Moving a tenant, and changing its plan, which moves it where the plan's tier is another.

use tenantry_domain::{
    ids::ServerId,
    operation::OperationInput,
    plan::{PlanName, Tier},
};
use tenantry_registry::{OperationStartError, Registry, RegistryError, TenantDetails};

use super::{Started, start_operation::StartOperation};
use crate::{catalogue::Catalogue, claim::Claim};

/// Moves tenants.
#[derive(Clone)]
pub(crate) struct MoveTenant {
    pub(crate) registry: Registry,
    pub(crate) catalogue: Catalogue,
    pub(crate) start: StartOperation,
}

/// Where to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target {
    /// None: the tier that it has.
    pub(crate) tier: Option<Tier>,
    /// None: the server with most room.
    pub(crate) server: Option<ServerId>,
    /// Writes wait for as long as it takes.
    pub(crate) offline: bool,
}

/// A move is refused; nothing was written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MoveTenantError {
    /// There is nothing to move.
    #[error("the tenant has no placement")]
    NotPlaced,
    /// It would go where it is.
    #[error("the tenant is there already")]
    IsThere,
    /// There is no such plan.
    #[error("there is no such plan")]
    UnknownPlan,
    /// An operation cannot begin.
    #[error(transparent)]
    Start(#[from] OperationStartError),
    /// The registry failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

impl MoveTenant {
    /// Moves a tenant, with the plan that it has.
    pub(crate) async fn to(
        &self,
        tenant: TenantDetails,
        target: Target,
        claim: Claim,
    ) -> Result<Started, MoveTenantError> {
        let placement = tenant.placement.as_ref().ok_or(MoveTenantError::NotPlaced)?;
        let tier = target.tier.unwrap_or(placement.tier);
        // A server of its own that is not named is another one.
        let stays = target.server.map_or(tier != Tier::Instance, |server| server == placement.server_id);
        if tier == placement.tier && stays {
            return Err(MoveTenantError::IsThere);
        }
        self.begin(tenant, tier, target, None, claim).await
    }

    /// Gives a tenant another plan; none: that was done at once, because its tier is the same.
    pub(crate) async fn change_plan(
        &self,
        tenant: TenantDetails,
        plan: &PlanName,
        downtime: bool,
        claim: Claim,
    ) -> Result<Option<Started>, MoveTenantError> {
        let found = self.catalogue.plan(plan).await?.ok_or(MoveTenantError::UnknownPlan)?;
        let placement = tenant.placement.as_ref().ok_or(MoveTenantError::NotPlaced)?;
        if found.tier == placement.tier {
            return match self.registry.tenant_change_plan(tenant.tenant.id, plan).await? {
                Ok(()) => Ok(None),
                Err(busy) => Err(OperationStartError::Busy(busy).into()),
            };
        }
        let target = Target { tier: None, server: None, offline: downtime };
        self.begin(tenant, found.tier, target, Some(plan.clone()), claim).await.map(Some)
    }

    async fn begin(
        &self,
        tenant: TenantDetails,
        tier: Tier,
        target: Target,
        plan: Option<PlanName>,
        claim: Claim,
    ) -> Result<Started, MoveTenantError> {
        let input = OperationInput::Move { tier, server: target.server, plan, offline: target.offline };
        Ok(self.start.move_tenant(tenant, input, claim).await?)
    }
}
