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
use crate::{
    Resources,
    data_audit::{Place, begin, bring_away},
    servers,
    step_error::StepError,
};

/// The placements of a server that are to be audited.
pub type Audited = BTreeSet<(TenantId, Epoch)>;

/// When all of them are looked at although nothing has changed: a worker that slept for long may have woken up, and undone it.
const LOOK_AGAIN: Duration = Duration::from_secs(15);

/// How long each lock is waited for; the tenant's requests wait behind.
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
    let servers: Vec<_> = servers.into_iter().filter(|server| on.contains_key(&server.id)).collect();
    on_each(resources, &servers, "changes of data are not audited", |server| {
        at(resources, server, &on[&server.id])
    })
    .await
}

async fn at(resources: &Resources, server: &Server, placements: &[AuditedPlacement]) -> Reconciled {
    let began = Instant::now();
    let wanted: Audited = placements
        .iter()
        .filter(|placement| placement.wanted)
        .map(|placement| (placement.tenant, placement.epoch))
        .collect();
    let is_so = |placement: &AuditedPlacement| {
        !placement.is_served || placement.wanted && placement.state == Some(DataAudit::On)
    };
    let is_known = placements.iter().all(is_so) && resources.audited.is_known(server.id, &wanted, LOOK_AGAIN);
    let access = resources.servers.get(server.id, server.revision).await?;
    let (mut changed, mut all_are_seen_to) = (0, true);
    for here in placements.chunk_by(|a, b| a.database == b.database) {
        let mut ended = Vec::new();
        // Elsewhere somebody else makes and drops the tables.
        for placement in here.iter().filter(|placement| placement.is_served && !is_known) {
            match see_to(resources, &access, placement).await {
                Ok(()) if placement.wanted => changed += u64::from(placement.state != Some(DataAudit::On)),
                Ok(()) => ended.push(placement),
                Err(error @ (StepError::ServerAway { .. } | StepError::RegistryAway { .. })) => {
                    return Err(error);
                }
                // A table that is in use is tried again in the next round, and does not keep the others.
                Err(error) => {
                    all_are_seen_to = false;
                    let tenant = placement.tenant;
                    tracing::warn!(
                        tenant.id = %tenant, %error,
                        "whether changes of tenant {tenant}'s data are audited is not yet as configured: {error}"
                    );
                }
            }
        }
        match bring_away(&resources.registry, &access, &here[0].database, None).await {
            Ok(brought) => changed += brought,
            Err(error @ (StepError::ServerAway { .. } | StepError::RegistryAway { .. })) => {
                return Err(error);
            }
            Err(error) => {
                tracing::warn!(database = %here[0].database, %error, "changes of data stay where they are noted: {error}");
                continue;
            }
        }
        for placement in ended {
            resources.registry.data_audit_ended(placement.tenant, placement.epoch).await?;
            changed += 1;
        }
    }
    if all_are_seen_to {
        resources.audited.note(server.id, wanted, began);
    }
    Ok(changed)
}

/// Brings one placement to what is wanted there.
async fn see_to(
    resources: &Resources,
    access: &servers::Server,
    placement: &AuditedPlacement,
) -> Result<(), StepError> {
    let AuditedPlacement { tenant, epoch, database, schema, wanted, state, .. } = placement;
    let mark = Resources::owner_mark(*tenant);
    let owner = Owner { name: schema, mark: &mark, fence: None };
    let registry = &resources.registry;
    if *wanted {
        let place = Place { tenant: *tenant, epoch: *epoch, database, owner };
        return begin(registry, access, place, *state == Some(DataAudit::On), PATIENCE).await;
    }
    // Known until nothing is noted any more.
    registry.data_audit_set(*tenant, *epoch, DataAudit::Ending).await?;
    access.call(access.admin.stop_auditing_data(database, owner, PATIENCE)).await
}
