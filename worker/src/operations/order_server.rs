//! Order server: has a server made by the provider of its class, and registers it when it can be used.
//!
//! A provider that fails is asked again for as long as nobody cancels: the room is needed, and an order that ended would be
//! followed by the next one.

use tenantry_domain::{
    operation::{OperationKind, OrderServerState},
    server_class::{ServerClass, ServerClassName},
};

use super::made_server::{made_server, problems_of};
use crate::{
    engine::{Definition, Done, Sequence, ServerSubject, StepResult, Work},
    providers::{ASK_AGAIN_AFTER, Endpoint, Look, Order, ProviderError, ordered},
    step,
    step_error::StepError,
    undo,
};

pub(super) struct OrderServer;

impl Definition for OrderServer {
    const KIND: OperationKind = OperationKind::OrderServer;
    type Subject = ServerSubject;
    type Input = ServerClassName;
    type State = OrderServerState;
}

pub(super) fn define() -> Sequence<OrderServer> {
    Sequence::new("the server takes tenants")
        .step(step!(read_class, "reading its class"))
        .step(step!(order, "having it made").undo(undo!(give_back)))
        .step(step!(register, "letting tenants in").undo(undo!(forget)))
}

/// Keeps what it is made from: its class may be changed, for others.
async fn read_class(work: &Work<OrderServer>) -> StepResult {
    let class = work.resources.registry.server_class_get(&work.input).await?;
    let class = class
        .ok_or_else(|| StepError::permanent(format!("there is no server class {} any more", work.input)))?;
    work.update_state(|state| state.class = Some(class));
    Ok(Done::Now)
}

async fn order(work: &Work<OrderServer>) -> StepResult {
    Ok(match ask(work, &class(work)?).await? {
        Ordered::Ready(_) => Done::Now,
        Ordered::Waits(pending) => pending,
    })
}

async fn register(work: &Work<OrderServer>) -> StepResult {
    let class = class(work)?;
    let endpoint = match ask(work, &class).await? {
        Ordered::Ready(endpoint) => endpoint,
        Ordered::Waits(pending) => return Ok(pending),
    };
    let name = &work.lease.operation.subject_name;
    let (id, provider) = (work.subject.id, class.provider);
    let mut new = made_server(&work.resources, id, name, provider, endpoint, Some(&class))?;
    new.server.tiers = class.tiers;
    new.server.capacity = class.capacity;
    // One that can hold nobody would be no room, and the next one would be ordered, made as badly.
    if let Some(problems) = problems_of(&work.resources, new.clone()).await? {
        return Ok(fails(work, problems));
    }
    work.resources.registry.server_register(&work.lease, &new).await?;
    Ok(Done::Now)
}

async fn forget(work: &Work<OrderServer>) -> Result<(), StepError> {
    if !work.resources.registry.server_forget_empty(&work.lease).await? {
        return Err(StepError::permanent(
            "the server holds tenants already; abandon its order, and it stays",
        ));
    }
    work.resources.servers.forget(work.subject.id);
    Ok(())
}

async fn give_back(work: &Work<OrderServer>) -> Result<(), StepError> {
    let class = class(work)?;
    work.resources.settings.providers.of(class.provider)?.delete(work.subject.id).await?;
    Ok(())
}

/// What became of the order, or what it waits for.
enum Ordered {
    Ready(Endpoint),
    Waits(Done),
}

/// Orders it, unless it is ordered, and looks at it.
async fn ask(work: &Work<OrderServer>, class: &ServerClass) -> Result<Ordered, StepError> {
    let provider = work.resources.settings.providers.of(class.provider)?;
    let label = work.lease.operation.subject_name.clone();
    let (id, operation) = (work.subject.id, work.lease.operation.id);
    let order = Order { id, label, operation, template: class.template.clone() };
    match ordered(provider.as_ref(), &order).await {
        Ok(Look::Ready(endpoint)) => {
            work.update_state(|state| state.failing = None);
            Ok(Ordered::Ready(endpoint))
        }
        Ok(Look::Making(message)) => {
            work.update_state(|state| state.failing = None);
            Ok(Ordered::Waits(Done::Pending { again_after: provider.look_every(), message }))
        }
        Ok(Look::Hibernated) => {
            Ok(Ordered::Waits(fails(work, "somebody has hibernated it at its provider".into())))
        }
        // Nor is it ever made again: another one is ordered, where room is missing.
        Ok(Look::Unknown | Look::Deleted) => {
            Err(StepError::permanent(format!("provider {} has deleted the server", class.provider)))
        }
        Err(busy @ ProviderError::Busy) => {
            let message = busy.to_string();
            Ok(Ordered::Waits(Done::Pending { again_after: ASK_AGAIN_AFTER, message }))
        }
        Err(ProviderError::Transient(message) | ProviderError::Permanent(message)) => {
            Ok(Ordered::Waits(fails(work, message)))
        }
    }
}

fn fails(work: &Work<OrderServer>, message: String) -> Done {
    work.update_state(|state| state.failing = Some(message.clone()));
    Done::Pending { again_after: ASK_AGAIN_AFTER, message }
}

fn class(work: &Work<OrderServer>) -> Result<ServerClass, StepError> {
    work.state().class.ok_or_else(|| StepError::permanent("the order does not know its class"))
}
