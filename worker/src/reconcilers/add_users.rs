//! Makes the tables of users for tenants that were made before their app wanted any (`registration` in its manifest).

use std::collections::BTreeMap;

use tenantry_domain::{server::Server, signing_key::SealedSigningKey};
use tenantry_postgres::admin::Owner;
use tenantry_registry::PlacementWithoutUsers;

use super::{Reconciled, on_each, reachable_servers};
use crate::{Resources, servers, step_error::StepError};

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
    let (mut added, mut failed) = (0, Vec::new());
    for placement in placements {
        match add(resources, &access, placement).await {
            Ok(()) => added += 1,
            Err(error @ (StepError::ServerAway { .. } | StepError::RegistryAway { .. })) => {
                return Err(error);
            }
            // It is tried again in a later round, and does not keep the others.
            Err(error) => failed.push((placement.tenant, error)),
        }
    }
    if let Some((tenant, error)) = failed.first() {
        tracing::warn!(
            server.name = %server.name, tenant.id = %tenant, %error,
            "{} tenants on server {} have no users yet, {tenant} for one: {error}", failed.len(), server.name
        );
    }
    Ok(added)
}

async fn add(
    resources: &Resources,
    access: &servers::Server,
    PlacementWithoutUsers { tenant, epoch, database, schema, .. }: &PlacementWithoutUsers,
) -> Result<(), StepError> {
    let key = SealedSigningKey::generate(*tenant, &resources.kek, &mut rand::rng());
    resources.registry.signing_key_add_first(*tenant, &key).await?;
    let mark = Resources::owner_mark(*tenant);
    let owner = Owner { name: schema, mark: &mark, fence: None };
    access.call(access.admin.add_users(database, owner)).await?;
    Ok(resources.registry.placement_has_users(*tenant, *epoch).await?)
}
