//! One file per kind of operation. Each reads top-down: what it is given, its steps with their
//! undo, its point of no return.

mod deactivate;
mod provision;
mod purge;
mod restore;
mod resume;
mod steps;
mod suspend;

use tenantry_domain::operation::OperationKind;

use crate::engine::{Definition, Work};

/// The steps of an operation of a kind for a tenant.
pub(crate) fn define(kind: OperationKind, work: &Work) -> Definition {
    match kind {
        OperationKind::Provision => provision::define(work),
        OperationKind::Suspend => suspend::define(),
        OperationKind::Resume => resume::define(),
        OperationKind::Deactivate => deactivate::define(work),
        OperationKind::Restore => restore::define(work),
        OperationKind::Purge => purge::define(work),
    }
}
