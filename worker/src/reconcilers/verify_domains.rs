//! Looks for the TXT records of custom domains that are not proven yet.

use futures::{StreamExt, stream};
use tenantry_dns::{Proof, look_for_proof};
use tenantry_registry::TenantDomain;

use super::Reconciled;
use crate::Resources;

/// Domains looked at in one round, and at once.
const BATCH: i64 = 100;
const AT_ONCE: usize = 10;

/// Runs it once.
pub async fn run(resources: &Resources) -> Reconciled {
    let domains = resources.registry.domain_unverified(BATCH).await?;
    let mut checks = stream::iter(domains).map(|domain| check(resources, domain)).buffer_unordered(AT_ONCE);
    let mut proven = 0;
    while let Some(checked) = checks.next().await {
        match checked {
            Ok(found) => proven += u64::from(found),
            // The others are looked at all the same.
            Err(error) => tracing::warn!(%error, "a domain's check cannot be recorded: {error}"),
        }
    }
    Ok(proven)
}

async fn check(resources: &Resources, domain: TenantDomain) -> Result<bool, crate::StepError> {
    let proven = match look_for_proof(&*resources.resolver, &domain.name, &domain.token).await {
        Ok(proof) => proof == Proof::Found,
        Err(error) => {
            tracing::debug!(domain = %domain.name, %error, "the record of {} cannot be looked up", domain.name);
            false
        }
    };
    resources.registry.domain_checked(&domain.name, &domain.token, proven, resources.clock.now()).await?;
    Ok(proven)
}
