//! Moving a tenant, and changing its plan, which moves it where the plan's tier is another.

use std::time::Duration;

use tenantry_domain::{
    ids::ServerId,
    inquiry::{Answer, MovePreflight, Question},
    operation::OperationInput,
    plan::{PlanName, Tier},
};
use tenantry_registry::{OperationStartError, Registry, RegistryError, TenantDetails};

use super::{
    Started,
    ask_worker::{AskWorker, Unanswered},
    start_operation::StartOperation,
};
use crate::{catalogue::Catalogue, claim::Claim};

/// Moves tenants.
#[derive(Clone)]
pub(crate) struct MoveTenant {
    pub(crate) registry: Registry,
    pub(crate) catalogue: Catalogue,
    pub(crate) start: StartOperation,
    pub(crate) ask: AskWorker,
    /// For how long a move can be undone.
    pub(crate) undo_for: Duration,
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
    /// There is no move to go back from.
    #[error("the tenant was not moved of late")]
    NothingToUndo,
    /// No worker said what a move would meet.
    #[error("no worker said what a move would meet")]
    Unanswered(Unanswered),
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
        let tier = tier_of(&tenant, target)?;
        self.begin(tenant, tier, target, None, claim).await
    }

    /// What a move would meet, and the tier that it would lead to.
    pub(crate) async fn preflight(
        &self,
        tenant: &TenantDetails,
        target: Target,
    ) -> Result<(Tier, MovePreflight), MoveTenantError> {
        let tier = tier_of(tenant, target)?;
        let Target { server, offline, .. } = target;
        let question = Question::PreflightMove { tenant: tenant.tenant.id, tier, server, offline };
        match self.ask.ask(&question).await.map_err(MoveTenantError::Unanswered)? {
            Answer::MovePreflighted(found) => Ok((tier, found)),
            _ => Err(MoveTenantError::Unanswered(Unanswered::foreign())),
        }
    }

    /// Takes a tenant back to where it was before its last move, with the plan that it had.
    pub(crate) async fn undo(&self, tenant: TenantDetails, claim: Claim) -> Result<Started, MoveTenantError> {
        let last = self.registry.move_last(tenant.tenant.id, self.undo_for).await?;
        let left = last.and_then(|last| last.left).ok_or(MoveTenantError::NothingToUndo)?;
        if let Some(plan) = &left.plan {
            self.catalogue.plan(plan).await?.ok_or(MoveTenantError::UnknownPlan)?;
        }
        let input = OperationInput::Move {
            tier: left.tier,
            server: left.server,
            plan: left.plan,
            offline: false,
            undoes: true,
            undo_window_seconds: 0,
        };
        Ok(self.start.move_tenant(tenant, input, claim).await?)
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
        let Target { server, offline, .. } = target;
        let input = OperationInput::Move {
            tier,
            server,
            plan,
            offline,
            undoes: false,
            undo_window_seconds: u32::try_from(self.undo_for.as_secs()).unwrap_or(u32::MAX),
        };
        Ok(self.start.move_tenant(tenant, input, claim).await?)
    }
}

/// The tier that a move leads to, unless the tenant is there.
fn tier_of(tenant: &TenantDetails, target: Target) -> Result<Tier, MoveTenantError> {
    let placement = tenant.placement.as_ref().ok_or(MoveTenantError::NotPlaced)?;
    let tier = target.tier.unwrap_or(placement.tier);
    // A server of its own that is not named is another one.
    let stays = target.server.map_or(tier != Tier::Instance, |server| server == placement.server_id);
    if tier == placement.tier && stays { Err(MoveTenantError::IsThere) } else { Ok(tier) }
}
