//! Makes the tables of users for tenants that were made before their app wanted any (`registration` in its manifest).

use std::collections::BTreeMap;

use tenantry_domain::{server::Server, signing_key::SealedSigningKey};
use tenantry_postgres::admin::Owner;
use tenantry_registry::PlacementWithoutUsers;

use super::{Reconciled, on_each, reachable_servers};
use crate::{Resources, step_error::StepError};

/// Tenants in one round.
const ROUND: i64 = 500;

/// Runs it once.
pub async fn run(resources: &Resources) -> Reconciled {
    let mut on: BTreeMap<_, Vec<PlacementWithoutUsers>> = BTreeMap::new();
    for placement in resources.registry.placements_without_users(ROUND).await? {
        on.entry(placement.server).or_default().push(placement);
    }
    if on.is_empty() {
        return Ok(0);
    }
    let mut servers = reachable_servers(resources).await?;
    servers.retain(|server| on.contains_key(&server.id));
    on_each(resources, &servers, "tenants have no users yet", |server| at(resources, server, &on[&server.id]))
        .await
}

async fn at(resources: &Resources, server: &Server, placements: &[PlacementWithoutUsers]) -> Reconciled {
    let access = resources.servers.get(server.id, server.revision).await?;
    resources.ensure_users_login(&access).await?;
    let mut added = 0;
    for PlacementWithoutUsers { tenant, epoch, database, schema, .. } in placements {
        let key = SealedSigningKey::generate(*tenant, &resources.kek, &mut rand::rng());
        resources.registry.signing_key_add_first(*tenant, &key).await?;
        let mark = Resources::owner_mark(*tenant);
        let owner = Owner { name: schema, mark: &mark, fence: None };
        match access.call(access.admin.add_users(database, owner)).await {
            Ok(()) => {
                resources.registry.placement_has_users(*tenant, *epoch).await?;
                added += 1;
            }
            Err(error @ StepError::ServerAway { .. }) => return Err(error),
            // One that fails is tried again in the next round, and does not keep the others.
            Err(error) => {
                tracing::warn!(tenant.id = %tenant, %error, "tenant {tenant} has no users yet: {error}");
            }
        }
    }
    Ok(added)
}
