//! Remove a lost server: gives up a server that is gone for good, with what it held. Its tenants are purged as
//! far as the registry goes, and their slugs are free again. Nothing is tried on the server.

use std::time::Duration;

use tenantry_domain::operation::{OperationKind, RemoveLostServerState};

use crate::{
    engine::{Definition, Done, Sequence, ServerSubject, StepResult, Work},
    step,
};

pub(super) struct RemoveLostServer;

impl Definition for RemoveLostServer {
    const KIND: OperationKind = OperationKind::RemoveLostServer;
    type Subject = ServerSubject;
    type Input = ();
    type State = RemoveLostServerState;
}

/// Tenants in one transaction.
const BATCH: i64 = 100;

pub(super) fn define() -> Sequence<RemoveLostServer> {
    Sequence::new("the server is removed with what it held")
        .point_of_no_return()
        .step(step!(mark_lost, "taking no more tenants"))
        .step(step!(give_up_tenants, "giving up its tenants"))
        .step(step!(forget, "forgetting the server"))
}

async fn mark_lost(work: &Work<RemoveLostServer>) -> StepResult {
    work.resources.registry.server_lose(&work.lease).await?;
    work.resources.servers.forget(work.subject.id);
    Ok(Done::Now)
}

/// A batch at a time; in between the worker is free for others.
async fn give_up_tenants(work: &Work<RemoveLostServer>) -> StepResult {
    let given_up = work.resources.registry.server_give_up_tenants(&work.lease, BATCH).await?;
    if given_up == 0 {
        return Ok(Done::Now);
    }
    work.update_state(|state| state.tenants += given_up);
    let message = format!("{} tenants are given up so far", work.state().tenants);
    Ok(Done::Pending { again_after: Duration::ZERO, message })
}

async fn forget(work: &Work<RemoveLostServer>) -> StepResult {
    // One that a provider made is not left to it.
    if let Some(known) = work.resources.registry.server_get(work.subject.id).await?
        && (known.server.owner.is_some() || known.server.class.is_some())
    {
        work.resources.settings.providers.of(known.server.provider)?.delete(work.subject.id).await?;
    }
    work.resources.registry.server_forget(&work.lease).await?;
    Ok(Done::Now)
}
