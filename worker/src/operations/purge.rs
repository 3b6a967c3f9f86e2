//! Purge: drops a tenant's data for good.
//!
//! Its point of no return is the first drop; cancelled before it, the tenant is what it was. One that was
//! started because the retention is over looks at that again, by the registry's clock.

use std::time::Duration;

use tenantry_domain::{
    operation::{NoState, OperationKind, PurgeReason},
    plan::Tier,
    tenant::{TenantPhase, TenantStatus},
};
use tenantry_registry::StatusChange;

use super::{
    own_server,
    steps::{back_to, ignore_foreign, set_login},
    undo_window,
};
use crate::{
    engine::{Definition, Done, Sequence, StepResult, TenantSubject, Work},
    step,
    step_error::StepError,
    undo,
};

pub(super) struct Purge;

pub(super) struct Input {
    pub(super) was: TenantStatus,
    pub(super) reason: PurgeReason,
}

impl Definition for Purge {
    const KIND: OperationKind = OperationKind::Purge;
    type Subject = TenantSubject;
    type Input = Input;
    type State = NoState;
}

/// Terabytes take a while to unlink.
const DROP_TIMEOUT: Duration = Duration::from_hours(1);

pub(super) fn define() -> Sequence<Purge> {
    Sequence::new("nothing is left of the tenant but its record")
        .step(step!(close_route, "telling the data planes").undo(undo!(reopen_route)))
        // Else a session of the tenant's own could hold a lock for ever.
        .step(step!(close_login, "ending the tenant's own connections").undo(undo!(reopen_login)))
        .point_of_no_return()
        .step(step!(drop_data, "dropping the tenant's data").timeout(DROP_TIMEOUT))
        .step(step!(drop_role, "dropping the tenant's role").timeout(DROP_TIMEOUT))
        .step(step!(delete_server, "deleting the tenant's own server"))
        .step(step!(forget, "freeing the tenant's names"))
}

async fn close_route(work: &Work<Purge>) -> StepResult {
    let due = match work.input.reason {
        PurgeReason::Asked => true,
        PurgeReason::RetentionOver => work.resources.registry.tenant_purge_is_due(work.tenant().id).await?,
    };
    if !due {
        return Err(StepError::permanent(
            "the tenant's retention is not over; it was restored, or deleted anew",
        ));
    }
    work.change_status(StatusChange::To(TenantPhase::Purging));
    Ok(Done::Now)
}

#[expect(clippy::unused_async, reason = "steps are async")]
async fn reopen_route(work: &Work<Purge>) -> Result<(), StepError> {
    work.change_status(back_to(work.input.was));
    Ok(())
}

async fn close_login(work: &Work<Purge>) -> StepResult {
    if !goes_with_its_server(work).await? {
        set_login(work, false).await?;
    }
    Ok(Done::Now)
}

/// Not for a tenant that was suspended or deleted before. The fence is taken all the same.
async fn reopen_login(work: &Work<Purge>) -> Result<(), StepError> {
    if goes_with_its_server(work).await? {
        return Ok(());
    }
    set_login(work, work.input.was.is_served()).await
}

/// Whether the tenant is on a server of its own, which is deleted as a whole, reachable or not.
async fn goes_with_its_server(work: &Work<Purge>) -> Result<bool, StepError> {
    match work.placement() {
        Some(placement) => own_server::is_own(work, placement.tier, placement.server_id).await,
        None => Ok(false),
    }
}

/// Drops the tenant's database or schema, and what its last move has kept.
async fn drop_data(work: &Work<Purge>) -> StepResult {
    let registry = &work.resources.registry;
    let server_goes = goes_with_its_server(work).await?;
    if let Some(window) = registry.undo_window_get(work.tenant().id).await? {
        registry.undo_window_set_closing(&work.lease, &window).await?;
        undo_window::close(&work.resources, &window, work.lease.fence(), server_goes).await?;
        registry.undo_window_closed(&window).await?;
    }
    if server_goes {
        return Ok(Done::Now);
    }
    // A tenant whose provisioning failed has no placement, and no data.
    if let Some((placement, server)) = work.placed_if_any().await? {
        let owner = work.owner(&placement);
        let drop = async {
            ignore_foreign(match placement.tier {
                Tier::Schema => server.admin.drop_schema(owner).await,
                Tier::Database | Tier::Instance => server.admin.drop_database(owner).await,
            })
        };
        server.call(drop).await?;
    }
    Ok(Done::Now)
}

/// Drops the tenant's role.
async fn drop_role(work: &Work<Purge>) -> StepResult {
    if goes_with_its_server(work).await? {
        return Ok(Done::Now);
    }
    if let Some((placement, server)) = work.placed_if_any().await? {
        let drop = async { ignore_foreign(server.admin.drop_role(work.owner(&placement)).await) };
        server.call(drop).await?;
    }
    Ok(Done::Now)
}

/// Deletes the tenant's own server with what it holds, if it has one.
async fn delete_server(work: &Work<Purge>) -> StepResult {
    own_server::delete(work, &own_server::all_but(work, None).await?).await?;
    Ok(Done::Now)
}

/// Forgets the tenant's placement, keys, domains, labels and audit log; its slug is free again.
async fn forget(work: &Work<Purge>) -> StepResult {
    while !work.resources.registry.tenant_purge_audit(work.tenant().id).await? {}
    work.resources.registry.tenant_forget(&work.lease).await?;
    own_server::forget(work, &own_server::all_but(work, None).await?).await?;
    Ok(Done::Now)
}
