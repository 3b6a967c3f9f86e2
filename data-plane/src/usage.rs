//! Counts of requests and bytes per tenant: kept in memory, appended to the registry now and then.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tenantry_domain::{
    Clock,
    ids::{TenantId, UsageBatchId},
};
use tenantry_registry::{Registry, RegistryError, UsageBatch, UsageSample};
use tokio_util::sync::CancellationToken;

/// What tenants used since the last sample. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Usage(Arc<Inner>);

struct Inner {
    /// Taken, and not known to be in the registry. Held by whoever sends them.
    unsent: tokio::sync::Mutex<Vec<UsageBatch>>,
    shards: Box<[Mutex<HashMap<TenantId, Counts>>]>,
    hasher: RandomState,
}

#[derive(Default, Clone, Copy)]
struct Counts {
    requests: u64,
    bytes_in: u64,
    bytes_out: u64,
    errors: u64,
    duration: Duration,
    database: Duration,
}

/// One request that was answered.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Answered {
    /// Bytes of its body.
    pub(crate) bytes_in: usize,
    /// Bytes of the answer's body.
    pub(crate) bytes_out: usize,
    /// Answered with 5xx.
    pub(crate) is_error: bool,
    /// How long it took, to the answer's head.
    pub(crate) took: Duration,
}

const SHARDS: usize = 16;
/// While the registry is down, tenants beyond this many per shard are not counted: memory is bounded.
const MAX_TENANTS_PER_SHARD: usize = 16_384;
/// Rows per statement.
const BATCH: usize = 5_000;
/// At the end, the registry may be gone already.
const LAST_FLUSH: Duration = Duration::from_secs(3);

impl Usage {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner {
            unsent: tokio::sync::Mutex::default(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
        }))
    }

    /// Counts one answered request.
    pub(crate) fn count(&self, tenant: TenantId, answered: Answered) {
        self.add(tenant, |counts| {
            counts.requests += 1;
            counts.bytes_in += answered.bytes_in as u64;
            counts.bytes_out += answered.bytes_out as u64;
            counts.errors += u64::from(answered.is_error);
            counts.duration += answered.took;
        });
    }

    /// The database has worked for a tenant.
    pub(crate) fn worked(&self, tenant: TenantId, time: Duration) {
        self.add(tenant, |counts| counts.database += time);
    }

    fn add(&self, tenant: TenantId, to: impl FnOnce(&mut Counts)) {
        let shard =
            usize::try_from(self.0.hasher.hash_one(tenant) % SHARDS as u64).expect("a remainder of 16");
        let mut shard = self.0.shards[shard].lock().unwrap_or_else(PoisonError::into_inner);
        if shard.len() >= MAX_TENANTS_PER_SHARD && !shard.contains_key(&tenant) {
            return;
        }
        to(shard.entry(tenant).or_default());
    }

    fn take(&self) -> Vec<UsageSample> {
        let mut samples = Vec::new();
        for shard in &self.0.shards {
            let counts = std::mem::take(&mut *shard.lock().unwrap_or_else(PoisonError::into_inner));
            samples.extend(counts.into_iter().map(|(tenant_id, counts)| UsageSample {
                tenant_id,
                requests: counts.requests,
                bytes_in: counts.bytes_in,
                bytes_out: counts.bytes_out,
                errors: counts.errors,
                duration_us: microseconds(counts.duration),
                database_us: microseconds(counts.database),
            }));
        }
        samples
    }

    async fn flush(&self, registry: &Registry, clock: &dyn Clock) {
        let mut unsent = self.0.unsent.lock().await;
        let sent = async {
            // What was left, as it was. While the registry is away, what is counted since adds up.
            send(registry, &mut unsent).await?;
            let (samples, now) = (self.take(), clock.now());
            unsent.extend(samples.chunks(BATCH).map(|samples| UsageBatch {
                id: UsageBatchId::generate(now, &mut rand::rng()),
                at: now,
                samples: samples.to_vec(),
            }));
            send(registry, &mut unsent).await
        };
        if let Err(error) = sent.await {
            tracing::warn!(error = &error as &dyn std::error::Error, "usage is kept in memory: {error}");
        }
    }

    /// Appends to the registry every `interval`, and once more when told to stop.
    pub(crate) async fn report(
        self,
        registry: Registry,
        clock: Arc<dyn Clock>,
        interval: Duration,
        stop: CancellationToken,
    ) {
        while stop.run_until_cancelled(tokio::time::sleep(interval)).await.is_some() {
            self.flush(&registry, &*clock).await;
        }
    }

    /// The last report, after the last request.
    pub(crate) async fn report_last(&self, registry: &Registry, clock: &dyn Clock) {
        let _ = tokio::time::timeout(LAST_FLUSH, self.flush(registry, clock)).await;
    }
}

fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

async fn send(registry: &Registry, unsent: &mut Vec<UsageBatch>) -> Result<(), RegistryError> {
    while let Some(batch) = unsent.last() {
        registry.usage_append(batch).await?;
        unsent.pop();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tenantry_domain::SystemClock;
    use tenantry_registry::Part;
    use uuid::Uuid;

    use super::*;

    fn tenant(number: u128) -> TenantId {
        TenantId::from_uuid(Uuid::from_u128(number))
    }

    #[test]
    fn requests_add_up_per_tenant() {
        let usage = Usage::new();
        let answered = |bytes_in, bytes_out| Answered {
            bytes_in,
            bytes_out,
            is_error: bytes_in == 0,
            took: Duration::from_micros(7),
        };
        usage.count(tenant(1), answered(1, 10));
        usage.count(tenant(1), answered(2, 20));
        usage.worked(tenant(1), Duration::from_micros(5));
        usage.count(tenant(2), answered(0, 5));
        let mut samples = usage.take();
        samples.sort_by_key(|sample| sample.tenant_id);
        let first = UsageSample {
            tenant_id: tenant(1),
            requests: 2,
            bytes_in: 3,
            bytes_out: 30,
            errors: 0,
            duration_us: 14,
            database_us: 5,
        };
        assert_eq!(samples[0], first);
        assert_eq!(samples.len(), 2);
        assert!(usage.take().is_empty());
    }

    #[tokio::test]
    async fn nothing_is_lost_while_the_registry_is_down() {
        let usage = Usage::new();
        usage.count(tenant(1), Answered::default());
        let registry =
            Registry::connect_lazy("postgres://nobody@127.0.0.1:1/none", Part::DataPlane, 1).unwrap();
        registry.close().await;
        usage.flush(&registry, &SystemClock).await;
        usage.count(tenant(2), Answered::default());
        usage.flush(&registry, &SystemClock).await;
        assert_eq!((usage.0.unsent.lock().await.len(), usage.take().len()), (1, 1));
    }
}
