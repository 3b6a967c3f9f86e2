//! Fetches the public keys of issuers that tenants trust and whose keys are not written in their configuration. Data planes ask nobody
//! outside: they have the keys with the route.

use chrono::TimeDelta;
use futures::{StreamExt, stream};
use tenantry_outbound::issuer_keys::fetch;
use tenantry_registry::{DueIssuerKeys, RegistryError};

use super::Reconciled;
use crate::Resources;

/// Issuers asked in one round, and at once.
const BATCH: i64 = 200;
const AT_ONCE: usize = 20;
/// How long the keys count that were fetched last, when no later fetch succeeds.
const GOOD_FOR: TimeDelta = TimeDelta::days(1);
/// How soon an issuer is asked again because a token has a key that it did not have.
const EARLY_AFTER: TimeDelta = TimeDelta::minutes(1);
/// The pauses after failed fetches; the last one from then on.
const PAUSES: [TimeDelta; 4] =
    [TimeDelta::seconds(30), TimeDelta::minutes(1), TimeDelta::minutes(2), TimeDelta::minutes(5)];

/// Runs it once.
pub async fn run(resources: &Resources) -> Reconciled {
    let now = resources.clock.now();
    let due = resources.registry.issuer_keys_due(now, EARLY_AFTER, BATCH).await?;
    let mut fetches = stream::iter(due).map(|due| fetch_one(resources, due)).buffer_unordered(AT_ONCE);
    let mut count = 0;
    while let Some(done) = fetches.next().await {
        match done {
            Ok(succeeded) => count += u64::from(succeeded),
            // The others are asked all the same.
            Err(error) => tracing::warn!(%error, "what came of an issuer's keys cannot be noted: {error}"),
        }
    }
    Ok(count)
}

async fn fetch_one(resources: &Resources, due: DueIssuerKeys) -> Result<bool, RegistryError> {
    let DueIssuerKeys { source, failures } = due;
    let published = fetch(&resources.outbound, &source, resources.settings.issuer_timeout).await;
    let (registry, now) = (&resources.registry, resources.clock.now());
    let outcome = if published.is_ok() { "fetched" } else { "failed" };
    metrics::counter!("tenantry_issuer_key_fetches_total", "outcome" => outcome).increment(1);
    match published {
        Ok(published) => {
            let fresh_for = TimeDelta::from_std(published.fresh_for).unwrap_or(GOOD_FOR);
            registry
                .issuer_keys_fetched(&source, &published.keys, now, now + GOOD_FOR, now + fresh_for)
                .await?;
            Ok(true)
        }
        Err(error) => {
            let pause = PAUSES[PAUSES.len().min(failures as usize + 1) - 1];
            tracing::warn!(
                issuer = source.url(),
                failures = failures + 1,
                "the keys of issuer {} cannot be fetched, and are tried again in {} s: {error}",
                source.url(),
                pause.num_seconds()
            );
            registry.issuer_keys_failed(&source, &error.to_string(), now, now + pause).await?;
            Ok(false)
        }
    }
}
