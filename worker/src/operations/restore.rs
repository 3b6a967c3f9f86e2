//! Restore: takes a deletion back; the tenant is served. No input. Undone, it is deleted as before.

use tenantry_domain::{operation::OperationKind, tenant::TenantStatus};

use super::steps::{OpenLogin, SetStatus};
use crate::engine::{Definition, Work};

pub(super) fn define(work: &Work) -> Definition {
    Definition {
        kind: OperationKind::Restore,
        steps: vec![
            Box::new(OpenLogin),
            Box::new(SetStatus {
                name: "open_route",
                doing: "telling the data planes",
                to: TenantStatus::Active,
                back: work.status_before(),
            }),
        ],
        no_return: 2,
        phase_when_done: None,
        phase_when_undone: None,
        done: "the tenant is served again",
    }
}
