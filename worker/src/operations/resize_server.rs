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
    let provider = work.resources.settings.providers.of(class.provider)?;
    provider
        .resize(&Order {
            id: work.subject.id,
            label: work.lease.operation.subject_name.clone(),
            operation: work.lease.operation.id,
            template: class.template,
        })
        .await?;
    let now = work.resources.registry.now().await?;
    work.update_state(|state| state.asked_at = Some(now));
    Ok(Done::Now)
}

async fn settle(work: &Work<ResizeServer>) -> StepResult {
    let class = class(work)?;
    let provider = work.resources.settings.providers.of(class.provider)?;
    match provider.look(work.subject.id).await? {
        // As it was before, perhaps.
        Look::Ready(_) if !shows_it(work, provider.shows_changes_within()).await? => {
            let message = "the provider is to begin".into();
            Ok(Done::Pending { again_after: provider.look_every(), message })
        }
        Look::Ready(endpoint) => {
            let (registry, id) = (&work.resources.registry, work.subject.id);
            registry
                .server_moved(id, class.provider, &endpoint.host, endpoint.port, Some(&endpoint.tls))
                .await?;
            Ok(Done::Now)
        }
        Look::Making(message) => {
            work.update_state(|state| state.changes = true);
            Ok(Done::Pending { again_after: provider.look_every(), message })
        }
        Look::Hibernated => {
            let message = "somebody has hibernated it at its provider".into();
            Ok(Done::Pending { again_after: provider.look_every(), message })
        }
        Look::Unknown | Look::Deleted => {
            Err(StepError::permanent(format!("provider {} has deleted the server", class.provider)))
        }
    }
}

/// Whether it was seen to change, or there has been time enough for that.
async fn shows_it(work: &Work<ResizeServer>, within: Duration) -> Result<bool, StepError> {
    let ResizeServerState { asked_at: Some(asked_at), changes: false, .. } = work.state() else {
        return Ok(true);
    };
    let now = work.resources.registry.now().await?;
    Ok((now - asked_at).to_std().is_ok_and(|since| since >= within))
}

fn class(work: &Work<ResizeServer>) -> Result<ServerClass, StepError> {
    work.state().class.ok_or_else(|| StepError::permanent("the operation does not know its class"))
}
