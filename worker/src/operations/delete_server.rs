//! Delete server: takes an empty server away that a provider has made.

use tenantry_domain::{
    operation::{NoState, OperationKind},
    server::Provider,
};

use crate::{
    engine::{Definition, Done, Sequence, ServerSubject, StepResult, Work},
    step,
    step_error::StepError,
};

pub(super) struct DeleteServer;

impl Definition for DeleteServer {
    const KIND: OperationKind = OperationKind::DeleteServer;
    type Subject = ServerSubject;
    /// Who made it: from its first step on the registry does not know it any more.
    type Input = Provider;
    type State = NoState;
}

pub(super) fn define() -> Sequence<DeleteServer> {
    Sequence::new("the server is deleted")
        .step(step!(close, "letting no tenants in"))
        .point_of_no_return()
        .step(step!(delete, "deleting it at its provider"))
}

async fn close(work: &Work<DeleteServer>) -> StepResult {
    if !work.resources.registry.server_close(&work.lease).await? {
        return Err(StepError::permanent("the server holds tenants; drain it, and delete it then"));
    }
    work.resources.servers.forget(work.subject.id);
    Ok(Done::Now)
}

async fn delete(work: &Work<DeleteServer>) -> StepResult {
    work.resources.settings.providers.of(work.input)?.delete(work.subject.id).await?;
    Ok(Done::Now)
}
