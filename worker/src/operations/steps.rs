//! Steps that several operations share.

use std::time::Duration;

use tenantry_domain::tenant::{TenantPhase, TenantStatus};
use tenantry_postgres::admin::BatchLimits;
use tenantry_registry::StatusChange;

use crate::{
    engine::{Definition, Done, StepResult, TenantSubject, Work},
    step_error::StepError,
};

/// What has the tenant's name and not its mark is somebody else's: nothing of the tenant's is left to drop.
pub(super) fn ignore_foreign(
    dropped: Result<(), tenantry_postgres::admin::AdminError>,
) -> Result<(), tenantry_postgres::admin::AdminError> {
    match dropped {
        Err(error @ tenantry_postgres::admin::AdminError::Taken { .. }) => {
            tracing::warn!(%error, "left alone: {error}");
            Ok(())
        }
        dropped => dropped,
    }
}

/// The change to a status as it was before.
pub(super) fn back_to(status: TenantStatus) -> StatusChange {
    match status {
        TenantStatus::Deactivated { purge_at } => StatusChange::DeactivatedUntil(purge_at),
        other => StatusChange::To(other.phase()),
    }
}

/// The tenant is served.
pub(super) async fn open_route<D: Definition<Subject = TenantSubject>>(work: &Work<D>) -> StepResult {
    work.change_status(StatusChange::To(TenantPhase::Active));
    Ok(Done::Now)
}

/// Gives the tenant the status that it had before the operation.
pub(super) async fn restore_status<D>(work: &Work<D>) -> Result<(), StepError>
where
    D: Definition<Subject = TenantSubject, Input = TenantStatus>,
{
    work.change_status(back_to(work.input));
    Ok(())
}

/// Allows or forbids the tenant's role to log in. Forbidden, its sessions end, so that credentials handed out
/// stop working too.
pub(super) async fn set_login<D: Definition<Subject = TenantSubject>>(
    work: &Work<D>,
    enabled: bool,
) -> Result<(), StepError> {
    // A tenant whose provisioning failed has no role.
    if let Some((placement, server)) = work.placed_if_any().await? {
        server.call(server.admin.set_role_login(work.owner(&placement), enabled)).await?;
    }
    Ok(())
}

/// How long tables are migrated that nobody uses meanwhile.
pub(super) const MIGRATION_LIMIT: Duration = Duration::from_hours(6);

/// Brings a tenant that is not served to the version that new tenants get: rollouts may have passed it over. Not taken back: served
/// or not, it may have that version.
pub(super) async fn migrate_tables<D: Definition<Subject = TenantSubject>>(work: &Work<D>) -> StepResult {
    let app = work.app().await?;
    let version = work.placement().and_then(|placement| placement.schema_version);
    let Some(target) = app.version() else { return Ok(Done::Now) };
    let Some((placement, server)) = work.placed_if_any().await? else { return Ok(Done::Now) };
    let limits = BatchLimits { lock_timeout: Duration::from_secs(5), statement_timeout: Duration::ZERO };
    let (admin, database, owner) = (&server.admin, &placement.database, work.owner(&placement));
    let migrated = async {
        // A worker that died at it may not have noted what it did.
        let at = admin.fenced_version(database, owner).await?;
        if at >= Some(target) {
            return Ok(at);
        }
        let migrated = admin.migrate_to(database, owner, app, target, limits, work.cancelled()).await?;
        Ok(migrated.to)
    };
    match server.call(migrated).await {
        Ok(at) if at == version => {}
        Ok(at) => work.note_schema_version(&placement, at),
        // It is served as it was, and the next rollout says the same again.
        Err(StepError::Permanent { message }) => {
            tracing::warn!(tenant.id = %work.tenant().id, "the tenant keeps its version: {message}");
        }
        Err(error) => return Err(error),
    }
    Ok(Done::Now)
}

pub(super) async fn close_login<D: Definition<Subject = TenantSubject>>(work: &Work<D>) -> StepResult {
    set_login(work, false).await?;
    Ok(Done::Now)
}

pub(super) async fn open_writes<D: Definition<Subject = TenantSubject>>(work: &Work<D>) -> StepResult {
    let (placement, server) = work.placed().await?;
    server.call(server.admin.open_writes(&placement.database, work.owner(&placement))).await?;
    Ok(Done::Now)
}

pub(super) async fn open_login<D: Definition<Subject = TenantSubject>>(work: &Work<D>) -> StepResult {
    set_login(work, true).await?;
    Ok(Done::Now)
}

pub(super) async fn forbid_login<D: Definition<Subject = TenantSubject>>(
    work: &Work<D>,
) -> Result<(), StepError> {
    set_login(work, false).await
}
