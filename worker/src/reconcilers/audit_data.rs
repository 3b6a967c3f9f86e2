//! Has changes of data noted where a tenant's configuration says `audit.data`, and no more where it does not; and brings what is
//! noted to the audit log.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use tenantry_domain::{ids::TenantId, placement::Epoch, server::Server};
use tenantry_postgres::admin::Owner;
use tenantry_registry::{AuditedPlacement, DataAudit};

use super::{Reconciled, on_each, reachable_servers};
use crate::{Resources, data_audit::bring_away, servers, step_error::StepError};

/// The placements of a server that are to be audited.
pub type Audited = BTreeSet<(TenantId, Epoch)>;

/// When all of them are looked at although nothing has changed: a worker that slept for long may have woken up, and undone it.
const LOOK_AGAIN: Duration = Duration::from_mins(1);

/// How long each table is waited for; its tenant's requests wait behind.
const PATIENCE: Duration = Duration::from_millis(500);

/// Runs it once.
pub async fn run(resources: &Resources) -> Reconciled {
    let mut on: BTreeMap<_, Vec<AuditedPlacement>> = BTreeMap::new();
    for placement in resources.registry.data_audit_list().await? {
        on.entry(placement.server).or_default().push(placement);
    }
    if on.is_empty() {
        return Ok(0);
    }
    let servers = reachable_servers(resources).await?;
    on_each(resources, &servers, "changes of data are not audited", |server| {
        at(resources, server, on.get(&server.id).map_or(&[][..], Vec::as_slice))
    })
    .await
}

async fn at(resources: &Resources, server: &Server, placements: &[AuditedPlacement]) -> Reconciled {
    if placements.is_empty() {
        return Ok(0);
    }
    let began = Instant::now();
    let wanted: Audited = placements
        .iter()
        .filter(|placement| placement.wanted)
        .map(|placement| (placement.tenant, placement.epoch))
        .collect();
    let all_are_on = placements.iter().all(|placement| {
        placement.wanted == (placement.state == Some(DataAudit::On)) || !placement.is_served
    });
    let is_known = all_are_on && resources.audited.is_known(server.id, &wanted, LOOK_AGAIN);
    let access = resources.servers.get(server.id, server.revision).await?;
    let mut changed = 0;
    for placement in placements.iter().filter(|placement| placement.is_served && !is_known) {
        changed += see_to(resources, &access, placement).await?;
    }
    // Where somebody else makes or drops the tables, only what is noted is brought away.
    for here in placements.chunk_by(|a, b| a.database == b.database) {
        match bring_away(&resources.registry, &access, &here[0].database).await {
            Ok(brought) => changed += brought,
            Err(error @ StepError::ServerAway { .. }) => return Err(error),
            // It may be gone by now.
            Err(error) => {
                tracing::debug!(database = %here[0].database, %error, "changes of data stay where they are noted");
                continue;
            }
        }
        for ended in here.iter().filter(|placement| placement.state == Some(DataAudit::Ending)) {
            resources.registry.data_audit_set(ended.tenant, ended.epoch, None).await?;
        }
    }
    if is_known || all_are_on {
        resources.audited.note(server.id, wanted, began);
    }
    Ok(changed)
}

/// Brings one placement to what is wanted there.
async fn see_to(
    resources: &Resources,
    access: &servers::Server,
    placement: &AuditedPlacement,
) -> Result<u64, StepError> {
    let AuditedPlacement { tenant, epoch, database, schema, wanted, state, .. } = placement;
    let mark = Resources::owner_mark(*tenant);
    let owner = Owner { name: schema, mark: &mark, fence: None };
    let set = async |state| resources.registry.data_audit_set(*tenant, *epoch, Some(state)).await;
    // What comes first is known before anything is noted, and until nothing is any more.
    let (first, last) =
        if *wanted { (DataAudit::Beginning, Some(DataAudit::On)) } else { (DataAudit::Ending, None) };
    if last != *state && Some(first) != *state {
        set(first).await?;
    }
    let admin = &access.admin;
    let change = async {
        if *wanted {
            admin.audit_data(database, owner, tenant.as_uuid(), PATIENCE).await
        } else {
            admin.stop_auditing_data(database, owner, PATIENCE).await
        }
    };
    match access.call(change).await {
        Ok(()) => {}
        Err(error @ StepError::ServerAway { .. }) => return Err(error),
        // A table that is in use is tried again in the next round, and keeps the others from nothing.
        Err(error) => {
            tracing::warn!(
                tenant.id = %tenant, %error,
                "whether changes of tenant {tenant}'s data are audited is not yet as configured: {error}"
            );
            return Ok(0);
        }
    }
    if let Some(last) = last.filter(|last| Some(*last) != *state) {
        set(last).await?;
        return Ok(1);
    }
    Ok(0)
}
