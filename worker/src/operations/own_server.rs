//! A server of the tenant's own, for operations that need one: the steps that order it, and its end.
//!
//! Its id and its provider are recorded before that hears of it, so that whoever goes on asks the same one for the same server.

use std::{sync::Arc, time::Duration};

use tenantry_domain::{
    ids::ServerId,
    operation::{MoveState, OwnServerOrder, ProvisionState},
    plan::Tier,
    server_class::{ServerClass, ServerClassName},
};
use tenantry_registry::{OwnServer, PlaceError};

use super::{
    made_server::{made_server, name_of, problems_of},
    provision::place_error,
};
use crate::{
    engine::{Definition, Done, StepResult, TenantSubject, Work},
    providers::{self, Endpoint, Look, Order, Provider},
    step_error::StepError,
};

/// How often one looks for room again that waits for a server. Who lets tenants in there calls him.
const WAIT_FOR_ROOM: Duration = Duration::from_secs(10);

/// The states of operations that may order a server.
pub(super) trait OrdersServer {
    fn own(&mut self) -> &mut OwnServerOrder;
}

impl OrdersServer for ProvisionState {
    fn own(&mut self) -> &mut OwnServerOrder {
        &mut self.own
    }
}

impl OrdersServer for MoveState {
    fn own(&mut self) -> &mut OwnServerOrder {
        &mut self.own
    }
}

/// The server that was ordered, if one was.
pub(super) fn ordered<D>(work: &Work<D>) -> Option<ServerId>
where
    D: Definition<Subject = TenantSubject, State: OrdersServer>,
{
    work.state().own().server
}

/// Orders a server of the tenant's own, waits, without a worker, until it can be used, and registers it. Not where one is
/// given, or one of that class is free; where no class is named, any of the tier.
pub(super) async fn order<D>(
    work: &Work<D>,
    given: Option<ServerId>,
    class: Option<ServerClassName>,
) -> StepResult
where
    D: Definition<Subject = TenantSubject, State: OrdersServer>,
{
    let none = ordered(work).is_none();
    let registry = &work.resources.registry;
    if none && (given.is_some() || registry.server_is_free_for_instance(class.as_ref()).await?) {
        return Ok(Done::Now);
    }
    order_one(work, class).await
}

/// The same whether another one is free or not: for one who found that somebody else was faster.
pub(super) async fn order_one<D>(work: &Work<D>, class: Option<ServerClassName>) -> StepResult
where
    D: Definition<Subject = TenantSubject, State: OrdersServer>,
{
    let mut state = work.state();
    let known = ordered(work);
    let class = if known.is_some() { state.own().class.clone() } else { class };
    let from = class_of(work, class.as_ref()).await?;
    let (id, provider) = if let Some(id) = known {
        (id, provider_of(work, state.own(), from.as_ref())?)
    } else {
        let provider = provider(work, from.as_ref())?;
        let id = ServerId::generate(work.resources.clock.now(), &mut rand::rng());
        *state.own() = OwnServerOrder { server: Some(id), class, provider: Some(provider.kind()) };
        let stored = serde_json::to_value(&state).expect("states are plain data");
        work.resources.registry.operation_keep_state(&work.lease, &stored).await?;
        work.set_stored_state(state);
        (id, provider)
    };
    let label = work.tenant().slug.to_string();
    let template = from.as_ref().map(|class| class.template.clone()).unwrap_or_default();
    let order = Order { id, label, operation: work.lease.operation.id, template };
    match providers::ordered(provider.as_ref(), &order).await? {
        Look::Ready(endpoint) => {
            register(work, provider.as_ref(), id, endpoint, from).await?;
            Ok(Done::Now)
        }
        Look::Making(message) => Ok(Done::Pending { again_after: provider.look_every(), message }),
        Look::Hibernated => {
            let message = "somebody has hibernated it at its provider".into();
            Ok(Done::Pending { again_after: provider.look_every(), message })
        }
        Look::Unknown | Look::Deleted => {
            Err(StepError::permanent(format!("provider {} has deleted the server", provider.kind())))
        }
    }
}

async fn register<D>(
    work: &Work<D>,
    provider: &dyn Provider,
    id: ServerId,
    endpoint: Endpoint,
    class: Option<ServerClass>,
) -> Result<(), StepError>
where
    D: Definition<Subject = TenantSubject>,
{
    let name = name_of(work.tenant().slug.as_str(), id);
    let mut new = made_server(&work.resources, id, &name, provider.kind(), endpoint, class.as_ref())?;
    new.server.owner = Some(work.tenant().id);
    // It may answer a moment later; one that is made wrong is given back, and whoever waits learns what is wrong with it.
    if let Some(problems) = problems_of(&work.resources, new.clone()).await? {
        return Err(StepError::transient(format!("server {name}, made for the tenant: {problems}")));
    }
    Ok(work.resources.registry.server_register(&work.lease, &new).await?)
}

/// What to do when no server has room: to order one, where that is possible.
pub(super) async fn instead<D>(
    work: &Work<D>,
    tier: Tier,
    class: Option<ServerClassName>,
    error: PlaceError,
) -> StepResult
where
    D: Definition<Subject = TenantSubject, State: OrdersServer>,
{
    // For one that was made for it, nobody else's does.
    if ordered(work).is_none()
        && let Some(coming) = work.resources.registry.server_to_come(tier, class.as_ref()).await?
    {
        let message = format!("no server has room for tier {tier}; {coming}");
        return Ok(Done::Pending { again_after: WAIT_FOR_ROOM, message });
    }
    if tier != Tier::Instance || work.resources.settings.providers.all().is_empty() {
        return Err(place_error(error));
    }
    if let Some(id) = ordered(work)
        && let Some(known) = work.resources.registry.server_get(id).await?
    {
        return Err(StepError::permanent(format!(
            "server {}, which was made for the tenant, takes no tenants: make it active, and retry",
            known.server.name
        )));
    }
    match order_one(work, class).await? {
        // It can be used now: once more.
        Done::Now => Ok(Done::Pending { again_after: Duration::ZERO, message: "its server is ready".into() }),
        pending @ Done::Pending { .. } => Ok(pending),
    }
}

/// Gives back what was ordered, with what it holds.
pub(super) async fn give_back<D>(work: &Work<D>) -> Result<(), StepError>
where
    D: Definition<Subject = TenantSubject, State: OrdersServer>,
{
    let Some(id) = ordered(work) else { return Ok(()) };
    let mut state = work.state();
    let from = class_of(work, state.own().class.as_ref()).await?;
    provider_of(work, state.own(), from.as_ref())?.delete(id).await?;
    work.resources.servers.forget(id);
    work.resources.registry.own_server_forget(&work.lease, id).await?;
    work.update_state(|state| *state.own() = OwnServerOrder::default());
    Ok(())
}

/// What it is made from, where that is said. A class stays for as long as an operation has its name.
async fn class_of<D>(work: &Work<D>, name: Option<&ServerClassName>) -> Result<Option<ServerClass>, StepError>
where
    D: Definition<Subject = TenantSubject>,
{
    let Some(name) = name else { return Ok(None) };
    let class = work.resources.registry.server_class_get(name).await?;
    class.map(Some).ok_or_else(|| StepError::permanent(format!("there is no server class {name} any more")))
}

/// Who makes what is ordered, whatever this worker would choose today.
fn provider_of<'a, D>(
    work: &'a Work<D>,
    order: &OwnServerOrder,
    class: Option<&ServerClass>,
) -> Result<&'a Arc<dyn Provider>, StepError>
where
    D: Definition<Subject = TenantSubject>,
{
    match order.provider {
        Some(kind) => work.resources.settings.providers.of(kind),
        None => provider(work, class),
    }
}

/// Who is to make one.
fn provider<'a, D>(work: &'a Work<D>, class: Option<&ServerClass>) -> Result<&'a Arc<dyn Provider>, StepError>
where
    D: Definition<Subject = TenantSubject>,
{
    let providers = &work.resources.settings.providers;
    if let Some(class) = class {
        return providers.of(class.provider);
    }
    providers.first().ok_or_else(|| {
        StepError::permanent(format!(
            "no server of tier {} is free, and no provider is set up that makes any: register one for that tier, or start \
             workers with --local-servers",
            Tier::Instance
        ))
    })
}

/// The tenant's own servers but for one.
pub(super) async fn all_but<D>(work: &Work<D>, stays: Option<ServerId>) -> Result<Vec<OwnServer>, StepError>
where
    D: Definition<Subject = TenantSubject>,
{
    let mut own = work.resources.registry.own_servers(&work.lease).await?;
    own.retain(|server| stays != Some(server.id));
    Ok(own)
}

/// Deletes servers at their providers. They are still registered.
pub(super) async fn delete<D: Definition>(work: &Work<D>, servers: &[OwnServer]) -> Result<(), StepError> {
    for server in servers {
        work.resources.settings.providers.of(server.provider)?.delete(server.id).await?;
        work.resources.servers.forget(server.id);
    }
    Ok(())
}

/// Forgets servers that are deleted, and hold no placement any more.
pub(super) async fn forget<D: Definition>(work: &Work<D>, servers: &[OwnServer]) -> Result<(), StepError> {
    for server in servers {
        work.resources.registry.own_server_forget(&work.lease, server.id).await?;
    }
    Ok(())
}

/// Whether a server was made for the tenant alone: what the tenant has there goes with it.
pub(super) async fn is_own<D>(work: &Work<D>, tier: Tier, server: ServerId) -> Result<bool, StepError>
where
    D: Definition<Subject = TenantSubject>,
{
    if tier != Tier::Instance {
        return Ok(false);
    }
    let own = work.resources.registry.own_servers(&work.lease).await?;
    Ok(own.iter().any(|server_of_own| server_of_own.id == server))
}
