//! Deactivate: deletes a tenant so that it can be restored until its retention is over.
//!
//! Input: `{"purgeAt": <RFC 3339>}`; without it, the plan's retention from now. Undone, the tenant
//! is as it was: served, or suspended.

use chrono::{DateTime, Duration, Utc};
use tenantry_domain::{operation::OperationKind, tenant::TenantStatus};

use super::steps::{CloseLogin, SetStatus};
use crate::engine::{Definition, Work};

pub(super) fn define(work: &Work) -> Definition {
    let given = work.lease.operation.input.get("purgeAt").and_then(|text| text.as_str());
    let purge_at = given.and_then(|text| DateTime::parse_from_rfc3339(text).ok()).map_or_else(
        || work.lease.operation.created_at + Duration::days(work.plan.retention_days.into()),
        |at| at.with_timezone(&Utc),
    );
    let was = work.status_before();
    Definition {
        kind: OperationKind::Deactivate,
        steps: vec![
            Box::new(SetStatus {
                name: "close_route",
                doing: "telling the data planes",
                to: TenantStatus::Deactivated { purge_at },
                back: was,
            }),
            Box::new(CloseLogin { reopen: was == TenantStatus::Active }),
        ],
        no_return: 2,
        phase_when_done: None,
        phase_when_undone: None,
        done: "the tenant is deleted; it can be restored until its retention is over",
    }
}
