//! Restore: takes a deletion back; the tenant is served, with the version that new tenants get. Undone, it is deleted as before.

use tenantry_domain::{
    operation::{NoState, OperationKind},
    tenant::TenantStatus,
};

use super::steps::{MIGRATION_LIMIT, forbid_login, migrate_tables, open_login, open_route, restore_status};
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
        // Rollouts passed it over. Not taken back: deleted or not, it may have that version.
        .step(
            step!(migrate_tables, "bringing its tables to the version that new tenants get")
                .timeout(MIGRATION_LIMIT),
        )
        .step(step!(open_login, "allowing the tenant's own connections").undo(undo!(forbid_login)))
        .step(step!(open_route, "telling the data planes").undo(undo!(restore_status)))
}
