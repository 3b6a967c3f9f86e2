//! Deactivate: deletes a tenant so that it can be restored until its retention is over, by the registry's
//! clock. Undone, the tenant is as it was: served, or suspended.

use tenantry_domain::{
    operation::{NoState, OperationKind},
    server::ServerState,
    tenant::TenantStatus,
};
use tenantry_registry::StatusChange;

use super::steps::{back_to, set_login};
use crate::{
    engine::{Definition, Done, Sequence, StepResult, TenantSubject, Work},
    step,
    step_error::StepError,
    undo,
};

pub(super) struct Deactivate;

pub(super) struct Input {
    pub(super) was: TenantStatus,
    pub(super) retention_days: u16,
}

impl Definition for Deactivate {
    const KIND: OperationKind = OperationKind::Deactivate;
    type Subject = TenantSubject;
    type Input = Input;
    type State = NoState;
}

pub(super) fn define() -> Sequence<Deactivate> {
    Sequence::new("the tenant is deleted; it can be restored until its retention is over")
        .step(step!(close_route, "telling the data planes").undo(undo!(reopen_route)))
        .step(step!(close_login, "ending the tenant's own connections").undo(undo!(reopen_login)))
}

async fn close_route(work: &Work<Deactivate>) -> StepResult {
    work.change_status(StatusChange::DeactivatedForDays(work.input.retention_days));
    Ok(Done::Now)
}

#[expect(clippy::unused_async, reason = "steps are async")]
async fn reopen_route(work: &Work<Deactivate>) -> Result<(), StepError> {
    work.change_status(back_to(work.input.was));
    Ok(())
}

async fn close_login(work: &Work<Deactivate>) -> StepResult {
    if !sleeps(work).await? {
        set_login(work, false).await?;
    }
    Ok(Done::Now)
}

/// Not for a tenant that was suspended before. The fence is taken all the same: a twin that is still to close
/// the login must not come later.
async fn reopen_login(work: &Work<Deactivate>) -> Result<(), StepError> {
    if sleeps(work).await? {
        return Ok(());
    }
    set_login(work, work.input.was.is_served()).await
}

/// Whether the tenant is on a server that is hibernated, where nobody logs in: its login was closed before. One that is served
/// again waits for the server.
async fn sleeps(work: &Work<Deactivate>) -> Result<bool, StepError> {
    let Some(placement) = work.placement() else { return Ok(false) };
    if work.input.was.is_served() {
        return Ok(false);
    }
    let server = work.resources.registry.server_get(placement.server_id).await?;
    Ok(server.is_some_and(|known| known.server.state == ServerState::Hibernated))
}
