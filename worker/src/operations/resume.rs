//! Resume: serves a suspended tenant again. Undone, the tenant is suspended.

use tenantry_domain::{
    operation::{NoState, OperationKind},
    tenant::{TenantPhase, TenantStatus},
};
use tenantry_registry::StatusChange;

use super::steps::{back_to, forbid_login, open_login};
use crate::{
    engine::{Definition, Done, Sequence, StepResult, TenantSubject, Work},
    step,
    step_error::StepError,
    undo,
};

pub(super) struct Resume;

impl Definition for Resume {
    const KIND: OperationKind = OperationKind::Resume;
    type Subject = TenantSubject;
    type Input = TenantStatus;
    type State = NoState;
}

pub(super) fn define() -> Sequence<Resume> {
    Sequence::new("the tenant is served again")
        .step(step!(open_login, "allowing the tenant's own connections").undo(undo!(forbid_login)))
        .step(step!(open_route, "telling the data planes").undo(undo!(close_route)))
}

async fn open_route(work: &Work<Resume>) -> StepResult {
    work.change_status(StatusChange::To(TenantPhase::Active));
    Ok(Done::Now)
}

#[expect(clippy::unused_async, reason = "steps are async")]
async fn close_route(work: &Work<Resume>) -> Result<(), StepError> {
    work.change_status(back_to(work.input));
    Ok(())
}
