//! Hibernate server: has a tenant's own server stopped by its provider, with what it holds, while the tenant is suspended.
//! Undone, it runs again.

use tenantry_domain::{
    operation::{NoState, OperationKind},
    server::Provider,
};

use crate::{
    engine::{Definition, Done, Sequence, ServerSubject, StepResult, Work},
    providers::Look,
    step,
    step_error::StepError,
    undo,
};

pub(super) struct HibernateServer;

impl Definition for HibernateServer {
    const KIND: OperationKind = OperationKind::HibernateServer;
    type Subject = ServerSubject;
    /// Who made it.
    type Input = Provider;
    type State = NoState;
}

pub(super) fn define() -> Sequence<HibernateServer> {
    Sequence::new("the server is hibernated")
        .step(step!(close, "having work on it wait").undo(undo!(open)))
        .step(step!(stop, "having it stopped").undo(undo!(start)))
        .step(step!(settle, "waiting until it has stopped"))
}

async fn close(work: &Work<HibernateServer>) -> StepResult {
    let name = &work.lease.operation.subject_name;
    let reason = format!("server {name} is hibernated; wake it with `tenantry servers wake {name}`");
    if !work.resources.registry.server_hibernate(&work.lease, &reason).await? {
        return Err(StepError::permanent("the server is not active, or not a tenant's own any more"));
    }
    work.resources.servers.forget(work.subject.id);
    Ok(Done::Now)
}

async fn open(work: &Work<HibernateServer>) -> Result<(), StepError> {
    Ok(work.resources.registry.server_woken(&work.lease).await?)
}

/// Once work on it waits: what began before is seen, and what begins now waits.
async fn stop(work: &Work<HibernateServer>) -> StepResult {
    if let Some(tenant) = work.resources.registry.server_awake_tenant(work.subject.id).await? {
        let why = if tenant.at_work { "is being worked on" } else { "is not suspended" };
        return Err(StepError::permanent(format!(
            "tenant {} {why}; wait or suspend it, and retry",
            tenant.slug
        )));
    }
    let provider = work.resources.settings.providers.of(work.input)?;
    provider.hibernate(work.subject.id, true, work.lease.fence()).await?;
    Ok(Done::Now)
}

async fn start(work: &Work<HibernateServer>) -> Result<(), StepError> {
    let provider = work.resources.settings.providers.of(work.input)?;
    // Its tenant may have been purged.
    if let Look::Unknown | Look::Deleted = provider.look(work.subject.id).await? {
        return Ok(());
    }
    provider.hibernate(work.subject.id, false, work.lease.fence()).await?;
    Ok(())
}

async fn settle(work: &Work<HibernateServer>) -> StepResult {
    let provider = work.resources.settings.providers.of(work.input)?;
    let message = match provider.look(work.subject.id).await? {
        Look::Hibernated => return Ok(Done::Now),
        Look::Making(message) => message,
        Look::Ready(_) => "the provider is to begin".into(),
        Look::Unknown | Look::Deleted => {
            return Err(StepError::permanent(format!("provider {} has deleted the server", work.input)));
        }
    };
    Ok(Done::Pending { again_after: provider.look_every(), message })
}
