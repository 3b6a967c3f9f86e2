//! Rollouts: migrates the tenants of apps whose version is being carried to all of them. ADR 22.
//!
//! The operation `rollout` drives one: its waves, its end. Here the work is done, by every worker: each claims some tenants of a
//! server at a time, and notes what came of each.

mod batch;

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use tenantry_domain::operation::Lane;
use tenantry_registry::{ClaimLimits, RegistryError, RolloutBatch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::Resources;

/// Tenants that are claimed at once: at first, and as many as the last claims had time for. Others are given back.
const TENANTS: u16 = 256;
const FEWEST: u16 = 32;
const MOST: u16 = 512;

/// How soon tenants are looked for again that were put off, while a rollout is under way here.
const SOON: Duration = Duration::from_millis(250);

/// Migrates tenants until `stop`.
pub(crate) async fn run(resources: Arc<Resources>, stop: CancellationToken) {
    let mut news = resources.registry.rollout_feed();
    let mut at_hand: JoinSet<Begun> = JoinSet::new();
    let mut tenants = TENANTS;
    let most = resources.settings.concurrency.of(Lane::Fleet).max(1);
    let mut worked = false;
    loop {
        let pause = if worked { SOON } else { resources.settings.poll_interval };
        tokio::select! {
            () = stop.cancelled() => break,
            _ = news.next() => {}
            Some(ended) = at_hand.join_next() => {
                match ended {
                    Ok(begun) => tenants = begun.next_claim(tenants),
                    Err(panicked) => {
                        tracing::error!(error = %panicked, "migrating tenants panicked; they are tried again: {panicked}");
                    }
                }
            }
            () = tokio::time::sleep(pause) => {}
        }
        worked = !at_hand.is_empty();
        while at_hand.len() < most {
            match claim(&resources, tenants).await {
                Ok(Some(batch)) => {
                    worked = true;
                    let (resources, stop) = (Arc::clone(&resources), stop.clone());
                    at_hand.spawn(async move { batch::run(&resources, batch, &stop).await });
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::debug!(%error, "tenants of rollouts cannot be claimed");
                    break;
                }
            }
        }
    }
    let all = async { while at_hand.join_next().await.is_some() {} };
    // What takes longer is taken over by another worker, when the claim is over.
    let _ = tokio::time::timeout(resources.settings.stop_grace, all).await;
}

/// What became of a claim.
#[derive(Debug, Clone, Copy)]
struct Begun {
    /// Tenants that there was time for.
    tenants: usize,
    /// All that were claimed.
    of: usize,
}

impl Begun {
    /// How many the next claim is to have, where it would have been so many.
    fn next_claim(self, most: u16) -> u16 {
        let tenants = if self.tenants == self.of { (self.of * 2).max(most.into()) } else { self.tenants };
        u16::try_from(tenants).unwrap_or(MOST).clamp(FEWEST, MOST)
    }
}

async fn claim(resources: &Resources, tenants: u16) -> Result<Option<RolloutBatch>, RegistryError> {
    let limits = ClaimLimits { tenants, at_least: FEWEST, lease: resources.settings.lease };
    resources.registry.rollout_claim(limits).await
}
