//! One file per kind of operation. Each reads top-down: what it is given, its steps with their
//! undo and the point of no return, then the steps themselves.

mod deactivate;
mod delete_server;
mod drain_server;
mod hibernate_server;
mod made_server;
pub(crate) mod move_tenant;
mod order_server;
mod own_server;
mod placements;
mod provision;
mod purge;
mod remove_lost_server;
mod resize_server;
mod restore;
mod resume;
mod rollout;
mod steps;
mod suspend;
pub(crate) mod undo_window;
mod users;
mod wake_server;

use std::{sync::Arc, time::Duration};

use tenantry_domain::{
    operation::{OperationInput as Input, OperationKind, Subject},
    plan::Tier,
};
use tenantry_registry::{Lease, TenantWithPlan};

pub(crate) use made_server::name_of;

use crate::{
    Resources,
    engine::{Definitions, Outline, ServerSubject, Steps, TenantSubject, Work},
    step_error::StepError,
};

/// Every kind of operation.
#[derive(Debug, Clone, Copy, Default)]
pub struct Operations;

impl Definitions for Operations {
    fn kinds(&self) -> &[OperationKind] {
        OperationKind::ALL
    }

    fn begin(
        &self,
        lease: Lease,
        tenant: Option<TenantWithPlan>,
        resources: Arc<Resources>,
    ) -> Result<Box<dyn Steps>, StepError> {
        let (input, subject) = (lease.operation.input.clone(), lease.operation.subject);
        let tenant = tenant.map(TenantSubject::new);
        match (input, subject, tenant) {
            (Input::Provision { admin }, _, Some(tenant)) => {
                let work = Work::<provision::Provision>::new(lease, admin, tenant, resources)?;
                // The plan may have changed since the tenant was placed.
                let tier = work.placement().map_or(work.subject.plan.tier, |placement| placement.tier);
                Ok(provision::define(tier).on(work))
            }
            (Input::Suspend { was }, _, Some(tenant)) => {
                Ok(suspend::define().on(Work::new(lease, was, tenant, resources)?))
            }
            (Input::Resume { was }, _, Some(tenant)) => {
                Ok(resume::define().on(Work::new(lease, was, tenant, resources)?))
            }
            (Input::Deactivate { was, retention_days }, _, Some(tenant)) => {
                let input = deactivate::Input { was, retention_days };
                Ok(deactivate::define().on(Work::new(lease, input, tenant, resources)?))
            }
            (Input::Restore { was }, _, Some(tenant)) => {
                Ok(restore::define().on(Work::new(lease, was, tenant, resources)?))
            }
            (Input::Purge { was, reason }, _, Some(tenant)) => {
                let input = purge::Input { was, reason };
                Ok(purge::define().on(Work::new(lease, input, tenant, resources)?))
            }
            (Input::Move { tier, server, plan, offline, undoes, undo_window_seconds }, _, Some(tenant)) => {
                let undo_window = Duration::from_secs(undo_window_seconds.into());
                let input = move_tenant::Input { tier, server, plan, offline, undoes, undo_window };
                Ok(move_tenant::define().on(Work::new(lease, input, tenant, resources)?))
            }
            (Input::DrainServer { keep, at_once }, Subject::Server(id), None) => {
                let input = drain_server::Input { keep, at_once };
                let server = ServerSubject { id };
                Ok(drain_server::define().on(Work::new(lease, input, server, resources)?))
            }
            (Input::RemoveLostServer, Subject::Server(id), None) => {
                let server = ServerSubject { id };
                Ok(remove_lost_server::define().on(Work::new(lease, (), server, resources)?))
            }
            (Input::OrderServer { class }, Subject::Server(id), None) => {
                let server = ServerSubject { id };
                Ok(order_server::define().on(Work::new(lease, class, server, resources)?))
            }
            (Input::DeleteServer { provider }, Subject::Server(id), None) => {
                let server = ServerSubject { id };
                Ok(delete_server::define().on(Work::new(lease, provider, server, resources)?))
            }
            (Input::ResizeServer { class }, Subject::Server(id), None) => {
                let server = ServerSubject { id };
                Ok(resize_server::define().on(Work::new(lease, class, server, resources)?))
            }
            (Input::HibernateServer { provider }, Subject::Server(id), None) => {
                let server = ServerSubject { id };
                Ok(hibernate_server::define().on(Work::new(lease, provider, server, resources)?))
            }
            (Input::WakeServer { provider }, Subject::Server(id), None) => {
                let server = ServerSubject { id };
                Ok(wake_server::define().on(Work::new(lease, provider, server, resources)?))
            }
            (Input::Rollout, Subject::Rollout(id), None) => {
                let subject = rollout::RolloutSubject { id };
                Ok(rollout::define().on(Work::new(lease, (), subject, resources)?))
            }
            (input, subject, _) => {
                Err(StepError::permanent(format!("{} does not apply to {subject}", input.kind())))
            }
        }
    }
}

/// What every operation is made of, with the tier of its tenant where that makes a difference.
pub fn outlines() -> Vec<(Option<Tier>, Outline)> {
    vec![
        (Some(Tier::Schema), provision::define(Tier::Schema).outline()),
        (Some(Tier::Database), provision::define(Tier::Database).outline()),
        (Some(Tier::Instance), provision::define(Tier::Instance).outline()),
        (None, suspend::define().outline()),
        (None, resume::define().outline()),
        (None, deactivate::define().outline()),
        (None, restore::define().outline()),
        (None, purge::define().outline()),
        (None, move_tenant::define().outline()),
        (None, drain_server::define().outline()),
        (None, remove_lost_server::define().outline()),
        (None, order_server::define().outline()),
        (None, delete_server::define().outline()),
        (None, resize_server::define().outline()),
        (None, hibernate_server::define().outline()),
        (None, wake_server::define().outline()),
        (None, rollout::define().outline()),
    ]
}
