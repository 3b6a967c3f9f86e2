//! Notes once an hour what each tenant takes on disk. What it uses otherwise, the data planes append.

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use tenantry_domain::{names::ObjectName, plan::Tier, server::Server};
use tenantry_registry::{StorageSample, UnsampledTenant};

use super::{Reconciled, on_each, reachable_servers};
use crate::Resources;

/// Tenants per statement.
const BATCH: usize = 200;
/// Tenants of one server in one round: a round stays within seconds, and the next one is near.
const ROUND: i64 = 2_000;

/// Runs it once.
pub async fn run(resources: &Resources) -> Reconciled {
    let now = resources.clock.now();
    let hour = now.duration_trunc(TimeDelta::hours(1)).unwrap_or(now);
    let servers = reachable_servers(resources).await?;
    on_each(resources, &servers, "storage is not known", |server| sample_server(resources, server, hour))
        .await
}

async fn sample_server(resources: &Resources, server: &Server, hour: DateTime<Utc>) -> Reconciled {
    let unsampled = resources.registry.storage_unsampled(server.id, hour, ROUND).await?;
    measure(resources, server, hour, unsampled).await
}

/// Looks at what tenants of a server take, and notes it.
pub(super) async fn measure(
    resources: &Resources,
    server: &Server,
    hour: DateTime<Utc>,
    tenants: Vec<UnsampledTenant>,
) -> Reconciled {
    if tenants.is_empty() {
        return Ok(0);
    }
    let access = resources.servers.get(server.id, server.revision).await?;
    let mut sampled = 0;
    let (schemas, databases): (Vec<_>, Vec<_>) =
        tenants.into_iter().partition(|tenant| tenant.tier == Tier::Schema);
    for batch in schemas.chunk_by(|a, b| a.database == b.database).flat_map(|chunk| chunk.chunks(BATCH)) {
        let (database, names) = (&batch[0].database, schemas_of(batch));
        let sizes = access.call(access.admin.schema_sizes(database, &names)).await?;
        let users = if batch.iter().any(|tenant| tenant.has_users) {
            access.call(access.admin.user_counts(database, &names)).await?
        } else {
            vec![None; batch.len()]
        };
        sampled += keep(resources, hour, batch, sizes, users).await?;
    }
    for batch in databases.chunks(BATCH) {
        let names: Vec<ObjectName> = batch.iter().map(|tenant| tenant.database.clone()).collect();
        let sizes = access.call(access.admin.database_sizes(&names)).await?;
        let mut users = Vec::with_capacity(batch.len());
        for tenant in batch {
            if !tenant.has_users {
                users.push(None);
                continue;
            }
            let (database, schema) = (&tenant.database, std::slice::from_ref(&tenant.schema));
            // A database that goes meanwhile does not keep the others.
            let counted = access.call(access.admin.user_counts(database, schema)).await;
            users.push(counted.ok().and_then(|counted| counted.into_iter().next().flatten()));
        }
        sampled += keep(resources, hour, batch, sizes, users).await?;
    }
    Ok(sampled)
}

fn schemas_of(tenants: &[UnsampledTenant]) -> Vec<ObjectName> {
    tenants.iter().map(|tenant| tenant.schema.clone()).collect()
}

async fn keep(
    resources: &Resources,
    hour: DateTime<Utc>,
    tenants: &[UnsampledTenant],
    sizes: Vec<u64>,
    users: Vec<Option<u64>>,
) -> Reconciled {
    let samples: Vec<_> = tenants
        .iter()
        .zip(sizes)
        .zip(users)
        .map(|((tenant, bytes), users)| StorageSample { tenant_id: tenant.tenant_id, bytes, users })
        .collect();
    Ok(resources.registry.storage_add(resources.clock.now(), hour, &samples).await?)
}
