//! Suspend: stops serving a tenant and keeps its data. Undone, the tenant is served again.

use tenantry_domain::{
    operation::{NoState, OperationKind},
    tenant::{TenantPhase, TenantStatus},
};
use tenantry_registry::StatusChange;

use super::steps::{close_login, restore_status, set_login};
use crate::{
    engine::{Definition, Done, Sequence, StepResult, TenantSubject, Work},
    step,
    step_error::StepError,
    undo,
};

pub(super) struct Suspend;

impl Definition for Suspend {
    const KIND: OperationKind = OperationKind::Suspend;
    type Subject = TenantSubject;
    type Input = TenantStatus;
    type State = NoState;
}

pub(super) fn define() -> Sequence<Suspend> {
    Sequence::new("the tenant is suspended")
        .step(step!(close_route, "telling the data planes").undo(undo!(restore_status)))
        .step(step!(close_login, "ending the tenant's own connections").undo(undo!(reopen_login)))
}

async fn close_route(work: &Work<Suspend>) -> StepResult {
    work.change_status(StatusChange::To(TenantPhase::Suspended));
    Ok(Done::Now)
}

async fn reopen_login(work: &Work<Suspend>) -> Result<(), StepError> {
    set_login(work, true).await
}
