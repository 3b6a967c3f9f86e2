//! Suspend: stops serving a tenant and keeps its data. No input. Undone, the tenant is served again.

use tenantry_domain::{operation::OperationKind, tenant::TenantStatus};

use super::steps::{CloseLogin, SetStatus};
use crate::engine::Definition;

pub(super) fn define() -> Definition {
    Definition {
        kind: OperationKind::Suspend,
        steps: vec![
            Box::new(SetStatus {
                name: "close_route",
                doing: "telling the data planes",
                to: TenantStatus::Suspended,
                back: TenantStatus::Active,
            }),
            Box::new(CloseLogin { reopen: true }),
        ],
        no_return: 2,
        phase_when_done: None,
        phase_when_undone: None,
        done: "the tenant is suspended",
    }
}
