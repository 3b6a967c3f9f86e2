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
    /// Who made it: once the registry has forgotten it nobody else knows.
    type Input = Provider;
    type State = NoState;
}

pub(super) fn define() -> Sequence<DeleteServer> {
    Sequence::new("the server is deleted")
        .step(step!(stop_placing, "taking no more tenants"))
        .point_of_no_return()
        .step(step!(forget, "forgetting the server"))
        .step(step!(delete, "deleting it at its provider"))
}

/// It stays so if the server is not empty, as after a drain.
async fn stop_placing(work: &Work<DeleteServer>) -> StepResult {
    let registry = &work.resources.registry;
    registry.server_drain(&work.lease).await?;
    if registry.server_is_empty(work.subject.id).await? {
        return Ok(Done::Now);
    }
    Err(StepError::permanent(
        "the server holds tenants, or what they have left; drain it, and delete it then",
    ))
}

async fn forget(work: &Work<DeleteServer>) -> StepResult {
    if !work.resources.registry.server_forget_empty(&work.lease).await? {
        return Err(StepError::transient("a tenant was placed on the server; drain it, and retry"));
    }
    work.resources.servers.forget(work.subject.id);
    Ok(Done::Now)
}

async fn delete(work: &Work<DeleteServer>) -> StepResult {
    work.resources.settings.providers.of(work.input)?.delete(work.subject.id).await?;
    Ok(Done::Now)
}
