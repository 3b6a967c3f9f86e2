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

/// Tenants that are claimed at once; those for which there is no time are given back.
const TENANTS: u16 = 128;

/// How soon tenants are looked for again that were put off, while a rollout is under way here.
const SOON: Duration = Duration::from_millis(250);

/// Migrates tenants until `stop`.
pub(crate) async fn run(resources: Arc<Resources>, stop: CancellationToken) {
    let mut news = resources.registry.rollout_feed();
    let mut at_hand: JoinSet<()> = JoinSet::new();
    let most = resources.settings.concurrency.of(Lane::Fleet).max(1);
    let mut worked = false;
    loop {
        let pause = if worked { SOON } else { resources.settings.poll_interval };
        tokio::select! {
            () = stop.cancelled() => break,
            _ = news.next() => {}
            Some(ended) = at_hand.join_next() => {
                if let Err(panicked) = ended {
                    tracing::error!(error = %panicked, "migrating tenants panicked; they are tried again: {panicked}");
                }
            }
            () = tokio::time::sleep(pause) => {}
        }
        worked = !at_hand.is_empty();
        while at_hand.len() < most {
            match claim(&resources).await {
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

async fn claim(resources: &Resources) -> Result<Option<RolloutBatch>, RegistryError> {
    let limits = ClaimLimits { tenants: TENANTS, lease: resources.settings.lease };
    resources.registry.rollout_claim(limits).await
}
