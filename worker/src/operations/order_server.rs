//! Order server: has a server made by the provider of its class, and registers it when it can be used.
//!
//! A provider that fails is asked again for as long as nobody cancels: the room is needed, and an order that ended would be
//! followed by the next one.

use std::time::Duration;

use tenantry_domain::{
    operation::{OperationKind, OrderServerState},
    server_class::{ServerClass, ServerClassName},
};

use super::made_server::made_server;
use crate::{
    engine::{Definition, Done, Sequence, ServerSubject, StepResult, Work},
    providers::{Endpoint, Look, Order, ProviderError},
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

/// How often an order is looked at, and one whose provider fails.
const LOOK_EVERY: Duration = Duration::from_millis(500);
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(5);

pub(super) fn define() -> Sequence<OrderServer> {
    Sequence::new("the server takes tenants")
        .step(step!(order, "having it made").undo(undo!(give_back)))
        .point_of_no_return()
        .step(step!(register, "letting tenants in"))
}

/// What became of the order, or what it waits for.
enum Ordered {
    Ready(Endpoint),
    Waits(Done),
}

async fn order(work: &Work<OrderServer>) -> StepResult {
    let class = class(work).await?;
    Ok(match ask(work, &class).await? {
        Ordered::Ready(_) => Done::Now,
        Ordered::Waits(pending) => pending,
    })
}

async fn register(work: &Work<OrderServer>) -> StepResult {
    let class = class(work).await?;
    let endpoint = match ask(work, &class).await? {
        Ordered::Ready(endpoint) => endpoint,
        Ordered::Waits(pending) => return Ok(pending),
    };
    let name = &work.lease.operation.subject_name;
    let mut new = made_server(&work.resources, work.subject.id, name, class.provider, endpoint)?;
    new.server.region = class.region;
    new.server.class = Some(class.name);
    new.server.tiers = class.tiers;
    new.server.capacity = class.capacity;
    new.server.max_connections = class.max_connections;
    work.resources.registry.server_register(&work.lease, &new).await?;
    Ok(Done::Now)
}

/// Orders it, unless it is ordered, and looks at it.
async fn ask(work: &Work<OrderServer>, class: &ServerClass) -> Result<Ordered, StepError> {
    let id = work.subject.id;
    let Ok(provider) = work.resources.settings.providers.of(class.provider) else {
        let message = format!("waits for a worker that is set up with provider {}", class.provider);
        return Ok(Ordered::Waits(fails(work, message)));
    };
    let order =
        Order { id, label: work.lease.operation.subject_name.clone(), parameters: class.parameters.clone() };
    let looked = async {
        provider.order(&order).await?;
        provider.look(id).await
    };
    match looked.await {
        Ok(Look::Ready(endpoint)) => {
            work.update_state(|state| state.failing = None);
            Ok(Ordered::Ready(endpoint))
        }
        Ok(Look::Making(message)) => {
            work.update_state(|state| state.failing = None);
            Ok(Ordered::Waits(Done::Pending { again_after: LOOK_EVERY, message }))
        }
        Ok(Look::Unknown | Look::Deleted) => {
            Err(StepError::permanent(format!("provider {} has deleted the server", class.provider)))
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

async fn class(work: &Work<OrderServer>) -> Result<ServerClass, StepError> {
    let class = work.resources.registry.server_class_get(&work.input).await?;
    class.ok_or_else(|| StepError::permanent(format!("there is no server class {} any more", work.input)))
}

async fn give_back(work: &Work<OrderServer>) -> Result<(), StepError> {
    // Whoever deleted the class meanwhile has seen to it that nothing is ordered any more.
    let Some(class) = work.resources.registry.server_class_get(&work.input).await? else { return Ok(()) };
    work.resources.settings.providers.of(class.provider)?.delete(work.subject.id).await?;
    Ok(())
}
