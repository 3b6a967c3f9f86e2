//! Resume: serves a suspended tenant again, also where a move that was abandoned has left its tables closed to writes.
//! Undone, the tenant is suspended.

use tenantry_domain::{
    operation::{NoState, OperationKind},
    tenant::TenantStatus,
};

use super::steps::{
    MIGRATION_LIMIT, forbid_login, migrate_tables, open_login, open_route, open_writes, restore_status,
};
use crate::{
    engine::{Definition, Sequence, TenantSubject},
    step, undo,
};

pub(super) struct Resume;

impl Definition for Resume {
    const KIND: OperationKind = OperationKind::Resume;
    type Subject = TenantSubject;
    type Input = TenantStatus;
    type State = NoState;
}

pub(super) fn define() -> Sequence<Resume> {
    Sequence::new("the tenant is served again")
        .step(step!(open_writes, "opening the tenant's tables"))
        // One that was hibernated was passed over by rollouts.
        .step(
            step!(migrate_tables, "bringing its tables to the version that new tenants get")
                .timeout(MIGRATION_LIMIT),
        )
        .step(step!(open_login, "allowing the tenant's own connections").undo(undo!(forbid_login)))
        .step(step!(open_route, "telling the data planes").undo(undo!(restore_status)))
}
