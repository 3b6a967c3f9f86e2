//! Resume: serves a suspended tenant again. No input. Undone, the tenant is suspended.

use tenantry_domain::{operation::OperationKind, tenant::TenantStatus};

use super::steps::{OpenLogin, SetStatus};
use crate::engine::Definition;

pub(super) fn define() -> Definition {
    Definition {
        kind: OperationKind::Resume,
        steps: vec![
            Box::new(OpenLogin),
            Box::new(SetStatus {
                name: "open_route",
                doing: "telling the data planes",
                to: TenantStatus::Active,
                back: TenantStatus::Suspended,
            }),
        ],
        no_return: 2,
        phase_when_done: None,
        phase_when_undone: None,
        done: "the tenant is served again",
    }
}
