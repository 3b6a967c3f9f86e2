//! One file per kind of operation. Each reads top-down: what it is given, its steps with their
//! undo and the point of no return, then the steps themselves.

mod deactivate;
mod provision;
mod purge;
mod remove_lost_server;
mod restore;
mod resume;
mod steps;
mod suspend;

use std::sync::Arc;

use tenantry_domain::operation::{OperationInput as Input, OperationKind, Subject};
use tenantry_registry::{Lease, TenantWithPlan};

use crate::{
    Resources,
    engine::{Definitions, ServerSubject, Steps, TenantSubject, Work},
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
        let (input, subject) = (lease.operation.input, lease.operation.subject);
        let tenant = tenant.map(TenantSubject::new);
        match (input, subject, tenant) {
            (Input::Provision, _, Some(tenant)) => {
                Ok(provision::define(Work::new(lease, (), tenant, resources)?).boxed())
            }
            (Input::Suspend { was }, _, Some(tenant)) => {
                Ok(suspend::define(Work::new(lease, was, tenant, resources)?).boxed())
            }
            (Input::Resume { was }, _, Some(tenant)) => {
                Ok(resume::define(Work::new(lease, was, tenant, resources)?).boxed())
            }
            (Input::Deactivate { was, retention_days }, _, Some(tenant)) => {
                let input = deactivate::Input { was, retention_days };
                Ok(deactivate::define(Work::new(lease, input, tenant, resources)?).boxed())
            }
            (Input::Restore { was }, _, Some(tenant)) => {
                Ok(restore::define(Work::new(lease, was, tenant, resources)?).boxed())
            }
            (Input::Purge { was, reason }, _, Some(tenant)) => {
                let input = purge::Input { was, reason };
                Ok(purge::define(Work::new(lease, input, tenant, resources)?).boxed())
            }
            (Input::RemoveLostServer, Subject::Server(id), None) => {
                let server = ServerSubject { id };
                Ok(remove_lost_server::define(Work::new(lease, (), server, resources)?).boxed())
            }
            (input, subject, _) => {
                Err(StepError::permanent(format!("{} does not apply to {subject}", input.kind())))
            }
        }
    }
}
