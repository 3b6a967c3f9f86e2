//! Notes once an hour what each tenant takes on disk. What it uses otherwise, the data planes append.

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use tenantry_domain::{names::ObjectName, plan::Tier};
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

async fn sample_server(
    resources: &Resources,
    server: &tenantry_domain::server::Server,
    hour: DateTime<Utc>,
) -> Reconciled {
    let unsampled = resources.registry.storage_unsampled(server.id, hour, ROUND).await?;
    if unsampled.is_empty() {
        return Ok(0);
    }
    let access = resources.servers.get(server.id, server.revision).await?;
    let mut sampled = 0;
    let (schemas, databases): (Vec<_>, Vec<_>) =
        unsampled.into_iter().partition(|tenant| tenant.tier == Tier::Schema);
    for batch in schemas.chunk_by(|a, b| a.database == b.database).flat_map(|chunk| chunk.chunks(BATCH)) {
        let names: Vec<ObjectName> = batch.iter().map(|tenant| tenant.schema.clone()).collect();
        let sizes = access.call(access.admin.schema_sizes(&batch[0].database, &names)).await?;
        sampled += keep(resources, hour, batch, sizes).await?;
    }
    for batch in databases.chunks(BATCH) {
        let names: Vec<ObjectName> = batch.iter().map(|tenant| tenant.database.clone()).collect();
        let sizes = access.call(access.admin.database_sizes(&names)).await?;
        sampled += keep(resources, hour, batch, sizes).await?;
    }
    Ok(sampled)
}

async fn keep(
    resources: &Resources,
    hour: DateTime<Utc>,
    tenants: &[UnsampledTenant],
    sizes: Vec<u64>,
) -> Reconciled {
    let samples = tenants.iter().zip(sizes);
    let samples: Vec<_> = samples
        .map(|(tenant, bytes)| StorageSample { tenant_id: tenant.tenant_id, bytes, users: None })
        .collect();
    Ok(resources.registry.storage_add(resources.clock.now(), hour, &samples).await?)
}
