//! Resize server: has a server changed by its provider into what its class is now, and waits until it serves again.

use std::time::Duration;

use tenantry_domain::{
    operation::{OperationKind, ResizeServerState},
    server_class::{ServerClass, ServerClassName},
};

use crate::{
    engine::{Definition, Done, Sequence, ServerSubject, StepResult, Work},
    providers::{Look, Order},
    step,
    step_error::StepError,
};

pub(super) struct ResizeServer;

impl Definition for ResizeServer {
    const KIND: OperationKind = OperationKind::ResizeServer;
    type Subject = ServerSubject;
    type Input = ServerClassName;
    type State = ResizeServerState;
}

/// How often a worker is looked for that can ask the provider.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(5);

pub(super) fn define() -> Sequence<ResizeServer> {
    Sequence::new("the server is what its class is")
        .step(step!(read_class, "reading its class"))
        .step(step!(resize, "having it changed"))
        .step(step!(settle, "waiting until it serves"))
}

/// Keeps what it is to be: its class may be changed meanwhile.
async fn read_class(work: &Work<ResizeServer>) -> StepResult {
    let class = work.resources.registry.server_class_get(&work.input).await?;
    let class = class
        .ok_or_else(|| StepError::permanent(format!("there is no server class {} any more", work.input)))?;
    work.update_state(|state| state.class = Some(class));
    Ok(Done::Now)
}

async fn resize(work: &Work<ResizeServer>) -> StepResult {
    let class = class(work)?;
    let Ok(provider) = work.resources.settings.providers.of(class.provider) else {
        return Ok(waits_for_a_worker(&class));
    };
    provider
        .resize(&Order {
            id: work.subject.id,
            label: work.lease.operation.subject_name.clone(),
            operation: work.lease.operation.id,
            template: class.template,
        })
        .await?;
    Ok(Done::Now)
}

async fn settle(work: &Work<ResizeServer>) -> StepResult {
    let class = class(work)?;
    let Ok(provider) = work.resources.settings.providers.of(class.provider) else {
        return Ok(waits_for_a_worker(&class));
    };
    match provider.look(work.subject.id).await? {
        Look::Ready(endpoint) => {
            let (registry, id) = (&work.resources.registry, work.subject.id);
            registry
                .server_moved(id, class.provider, &endpoint.host, endpoint.port, Some(&endpoint.tls))
                .await?;
            Ok(Done::Now)
        }
        Look::Making(message) => Ok(Done::Pending { again_after: provider.look_every(), message }),
        Look::Unknown | Look::Deleted => {
            Err(StepError::permanent(format!("provider {} has deleted the server", class.provider)))
        }
    }
}

fn waits_for_a_worker(class: &ServerClass) -> Done {
    let message = format!("waits for a worker that is set up with provider {}", class.provider);
    Done::Pending { again_after: ASK_AGAIN_AFTER, message }
}

fn class(work: &Work<ResizeServer>) -> Result<ServerClass, StepError> {
    work.state().class.ok_or_else(|| StepError::permanent("the operation does not know its class"))
}
