//! Moving a tenant, and changing its plan, which moves it where the plan's tier is another.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tenantry_domain::{
    ids::ServerId,
    inquiry::{Answer, MovePreflight, Question},
    operation::{LeftPlacement, OperationInput},
    plan::{Plan, PlanName, Tier},
    server::ServerName,
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
    /// For how long a move can be undone, where the plan does not say.
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

/// Where a tenant goes back to when its last move is undone.
#[derive(Debug)]
pub(crate) struct WayBack {
    pub(crate) tier: Tier,
    /// None: another one of its own, or its own is gone.
    pub(crate) server: Option<ServerName>,
    /// The plan that it will have.
    pub(crate) plan: PlanName,
    pub(crate) until: DateTime<Utc>,
    /// What it has left is kept up to date.
    pub(crate) kept: bool,
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
        let plan = self.catalogue.plan(&tenant.tenant.plan).await?.ok_or(MoveTenantError::UnknownPlan)?;
        let undo_window_seconds = self.undo_window_seconds(&plan);
        let Target { server, offline, .. } = target;
        let input =
            OperationInput::Move { tier, server, plan: None, offline, undoes: false, undo_window_seconds };
        Ok(self.start.move_tenant(tenant, input, claim).await?)
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
        let (left, _) = self.left(&tenant).await?;
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

    /// Where a tenant would go back to.
    pub(crate) async fn way_back(&self, tenant: &TenantDetails) -> Result<WayBack, MoveTenantError> {
        let (left, until) = self.left(tenant).await?;
        let server = match left.server {
            Some(id) => self.registry.server_get(id).await?.map(|known| known.server.name),
            None => None,
        };
        let window = self.registry.undo_window_get(tenant.tenant.id).await?;
        Ok(WayBack {
            tier: left.tier,
            server,
            plan: left.plan.unwrap_or_else(|| tenant.tenant.plan.clone()),
            until,
            kept: window.is_some_and(|window| !window.over && !window.closing),
        })
    }

    /// Where a tenant was before its last move, and until when that can be undone.
    async fn left(&self, tenant: &TenantDetails) -> Result<(LeftPlacement, DateTime<Utc>), MoveTenantError> {
        let last = self.registry.move_last(tenant.tenant.id).await?;
        last.and_then(|last| Some((last.state.left?, last.until))).ok_or(MoveTenantError::NothingToUndo)
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
        let input = OperationInput::Move {
            tier: found.tier,
            server: None,
            plan: Some(plan.clone()),
            offline: downtime,
            undoes: false,
            undo_window_seconds: self.undo_window_seconds(&found),
        };
        Ok(Some(self.start.move_tenant(tenant, input, claim).await?))
    }

    /// For how long a move to a plan can be undone.
    fn undo_window_seconds(&self, plan: &Plan) -> u32 {
        let length = plan.undo_moves_hours.map(|hours| Duration::from_hours(hours.into()));
        u32::try_from(length.unwrap_or(self.undo_for).as_secs()).unwrap_or(u32::MAX)
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
