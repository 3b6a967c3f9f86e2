//! Restore: takes a deletion back; the tenant is served, with the version that new tenants get. Undone, it is deleted as before.

use std::time::{Duration, Instant};

use tenantry_domain::{
    operation::{NoState, OperationKind},
    tenant::TenantStatus,
};
use tenantry_postgres::admin::BatchLimits;

use super::steps::{forbid_login, open_login, open_route, restore_status};
use crate::{
    engine::{Definition, Done, Sequence, StepResult, TenantSubject, Work},
    step,
    step_error::StepError,
    undo,
};

pub(super) struct Restore;

impl Definition for Restore {
    const KIND: OperationKind = OperationKind::Restore;
    type Subject = TenantSubject;
    type Input = TenantStatus;
    type State = NoState;
}

/// Nobody uses the tables meanwhile.
const LONG: Duration = Duration::from_hours(6);

pub(super) fn define() -> Sequence<Restore> {
    Sequence::new("the tenant is served again")
        // Rollouts passed it over. Not taken back: deleted or not, it may have that version.
        .step(step!(migrate_tables, "bringing its tables to the version that new tenants get").timeout(LONG))
        .step(step!(open_login, "allowing the tenant's own connections").undo(undo!(forbid_login)))
        .step(step!(open_route, "telling the data planes").undo(undo!(restore_status)))
}

async fn migrate_tables(work: &Work<Restore>) -> StepResult {
    let Some((placement, server)) = work.placed_if_any().await? else { return Ok(Done::Now) };
    let app = work.app().await?;
    let Some(target) = app.version().filter(|target| Some(*target) > placement.schema_version) else {
        return Ok(Done::Now);
    };
    let limits = BatchLimits {
        lock_timeout: Duration::from_secs(5),
        statement_timeout: Duration::ZERO,
        until: Instant::now() + LONG,
    };
    let migrate = server.admin.migrate_to(&placement.database, work.owner(&placement), app, target, limits);
    match server.call(migrate).await {
        Ok(report) => work.note_schema_version(&placement, report.to),
        // It is served as it was, and the next rollout says the same again.
        Err(StepError::Permanent { message }) => {
            tracing::warn!(tenant.id = %work.tenant().id, "a restored tenant keeps its version: {message}");
        }
        Err(error) => return Err(error),
    }
    Ok(Done::Now)
}
