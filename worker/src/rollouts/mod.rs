//! Rollouts: migrates the tenants of apps whose version is being carried to all of them. ADR 22.
//!
//! The operation `rollout` drives one: its waves, its end. Here the work is done, by every worker: each has some sessions, which
//! claim some tenants of a server at a time, and note what came of each.

mod batch;
mod session;

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use tenantry_domain::operation::Lane;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::Resources;

/// How soon tenants are looked for again that were put off, while a rollout is under way here.
const SOON: Duration = Duration::from_millis(250);

/// Migrates tenants until `stop`.
pub(crate) async fn run(resources: Arc<Resources>, stop: CancellationToken) {
    let mut news = resources.registry.rollout_feed();
    let mut at_hand = JoinSet::new();
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
            let Some(first) = session::first_claim(&resources).await else { break };
            worked = true;
            let (resources, stop) = (Arc::clone(&resources), stop.clone());
            at_hand.spawn(async move { session::run(&resources, first, &stop).await });
        }
    }
    let all = async { while at_hand.join_next().await.is_some() {} };
    // What takes longer is taken over by another worker, when the claim is over.
    let _ = tokio::time::timeout(resources.settings.stop_grace, all).await;
}
