//! Restore: takes a deletion back; the tenant is served. Undone, it is deleted as before.

use tenantry_domain::{
    operation::{NoState, OperationKind},
    tenant::TenantStatus,
};

use super::steps::{forbid_login, open_login, open_route, restore_status};
use crate::{
    engine::{Definition, Sequence, TenantSubject},
    step, undo,
};

pub(super) struct Restore;

impl Definition for Restore {
    const KIND: OperationKind = OperationKind::Restore;
    type Subject = TenantSubject;
    type Input = TenantStatus;
    type State = NoState;
}

pub(super) fn define() -> Sequence<Restore> {
    Sequence::new("the tenant is served again")
        .step(step!(open_login, "allowing the tenant's own connections").undo(undo!(forbid_login)))
        .step(step!(open_route, "telling the data planes").undo(undo!(restore_status)))
}
