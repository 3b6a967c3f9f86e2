//! Wake server: has a hibernated server started by its provider, and lets its tenant in when it can be used. Undone, it is
//! hibernated again.

use tenantry_domain::{
    operation::{NoState, OperationKind},
    server::{Provider, ServerState},
};

use super::made_server::problems_of;
use crate::{
    engine::{Definition, Done, Sequence, ServerSubject, StepResult, Work},
    providers::Look,
    step,
    step_error::StepError,
    undo,
};

pub(super) struct WakeServer;

impl Definition for WakeServer {
    const KIND: OperationKind = OperationKind::WakeServer;
    type Subject = ServerSubject;
    /// Who made it.
    type Input = Provider;
    type State = NoState;
}

pub(super) fn define() -> Sequence<WakeServer> {
    Sequence::new("the server can be used again")
        .step(step!(start, "having it started").undo(undo!(stop)))
        .step(step!(settle, "waiting until it can be used"))
        .point_of_no_return()
        .step(step!(open, "having work on it go on"))
}

async fn start(work: &Work<WakeServer>) -> StepResult {
    if !is_hibernated(work).await? {
        return Err(StepError::permanent("the server is not hibernated; there is nothing to wake"));
    }
    let provider = work.resources.settings.providers.of(work.input)?;
    provider.hibernate(work.subject.id, false, work.lease.fence()).await?;
    Ok(Done::Now)
}

async fn stop(work: &Work<WakeServer>) -> Result<(), StepError> {
    // One that was woken since runs on, whoever tries this again. Its tenant may have been purged.
    if !is_hibernated(work).await? {
        return Ok(());
    }
    let provider = work.resources.settings.providers.of(work.input)?;
    if let Look::Unknown | Look::Deleted = provider.look(work.subject.id).await? {
        return Ok(());
    }
    provider.hibernate(work.subject.id, true, work.lease.fence()).await?;
    Ok(())
}

/// Whether work on it waits. Only operations on the server change that, of which there is one at a time.
async fn is_hibernated(work: &Work<WakeServer>) -> Result<bool, StepError> {
    let server = work.resources.registry.server_get(work.subject.id).await?;
    Ok(server.is_some_and(|known| known.server.state == ServerState::Hibernated))
}

async fn settle(work: &Work<WakeServer>) -> StepResult {
    let (registry, id) = (&work.resources.registry, work.subject.id);
    let provider = work.resources.settings.providers.of(work.input)?;
    let message = match provider.look(id).await? {
        Look::Ready(endpoint) => {
            registry.server_moved(id, work.input, &endpoint.host, endpoint.port, Some(&endpoint.tls)).await?;
            let Some(server) = registry.server_get(id).await? else {
                return Err(StepError::permanent("the server is not registered any more"));
            };
            // A provider may call it ready before it answers.
            match problems_of(&work.resources, server).await? {
                None => return Ok(Done::Now),
                Some(problems) => problems,
            }
        }
        Look::Making(message) => message,
        Look::Hibernated => "the provider is to begin".into(),
        Look::Unknown | Look::Deleted => {
            return Err(StepError::permanent(format!("provider {} has deleted the server", work.input)));
        }
    };
    Ok(Done::Pending { again_after: provider.look_every(), message })
}

async fn open(work: &Work<WakeServer>) -> StepResult {
    work.resources.registry.server_woken(&work.lease).await?;
    // What was prepared there is looked for anew.
    work.resources.servers.forget(work.subject.id);
    Ok(Done::Now)
}
