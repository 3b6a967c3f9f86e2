//! Asking for an issuer's keys to be fetched early: a token has one that is not among those of the route. Nobody waits for it.

use chrono::{DateTime, TimeDelta, Utc};
use tenantry_domain::trusted_issuer::KeySource;
use tenantry_registry::{Registry, RegistryError};

use crate::outbox::{Outbox, Told};

/// How often one issuer's are asked for. Workers have the same bound for all data planes.
const EVERY: TimeDelta = TimeDelta::minutes(1);
/// Issuers of which is known when they were asked for.
const REMEMBERED: usize = 10_000;

impl Told for KeySource {
    const WHAT: &'static str = "early fetches of issuer keys";

    async fn append(registry: &Registry, sources: &[Self]) -> Result<(), RegistryError> {
        registry.issuer_keys_ask(sources).await
    }
}

/// See the module.
pub(crate) struct KeyAsks {
    pub(crate) outbox: Outbox<KeySource>,
    asked: quick_cache::sync::Cache<KeySource, DateTime<Utc>>,
}

impl KeyAsks {
    pub(crate) fn new() -> Self {
        Self { outbox: Outbox::new(), asked: quick_cache::sync::Cache::new(REMEMBERED) }
    }

    /// Asks, unless that was done lately.
    pub(crate) fn ask(&self, source: &KeySource, now: DateTime<Utc>) {
        if self.asked.get(source).is_none_or(|asked| now - asked >= EVERY) {
            self.asked.insert(source.clone(), now);
            self.outbox.put(source.clone());
        }
    }
}
