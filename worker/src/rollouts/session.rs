//! A session: claims of tenants that follow one another on one connection.
//!
//! The next tenants are claimed while the last ones of the claim before are migrated, and those are noted while the next are: a
//! server waits neither for the registry nor for a new connection. A session ends when nothing is left to claim, and with a claim
//! that waits too long for the one before: its tenants are for whoever has time.

use futures::{FutureExt, StreamExt, stream::FuturesUnordered};
use tenantry_domain::ids::ServerId;
use tenantry_registry::{ClaimLimits, ClaimSession, RolloutBatch};
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;

use super::batch;
use crate::Resources;

/// Tenants that are claimed at once: at first, and as many as the last claim had time for. Others are given back.
const TENANTS: u16 = 256;
const FEWEST: u16 = 32;
const MOST: u16 = 512;

/// How far a claim has come when its last tenants have their turn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Progress {
    /// Tenants that there was time for.
    pub(super) begun: usize,
    /// All that were claimed.
    pub(super) of: usize,
    /// Where they are.
    pub(super) server: ServerId,
}

/// How many tenants the next claim is to have after one that was to have `wanted`, got `of` them, and had time for `begun`.
fn next_claim(begun: usize, of: usize, wanted: u16) -> u16 {
    let tenants = if begun >= of { (of * 3 / 2).max(wanted.into()) } else { begun };
    u16::try_from(tenants).unwrap_or(MOST).clamp(FEWEST, MOST)
}

/// The tenants that a new session begins with, if there are some.
pub(super) async fn first_claim(resources: &Resources) -> Option<RolloutBatch> {
    claim(resources, TENANTS, None).await
}

async fn claim(resources: &Resources, tenants: u16, session: Option<ClaimSession>) -> Option<RolloutBatch> {
    let limits = ClaimLimits { tenants, at_least: FEWEST, lease: resources.settings.lease, session };
    match resources.registry.rollout_claim(limits).await {
        Ok(batch) => batch,
        Err(error) => {
            tracing::debug!(%error, "tenants of rollouts cannot be claimed");
            None
        }
    }
}

/// Migrates the tenants of a claim, and of others after it until there are none. Returns when what came of each is noted, or another
/// worker has them.
pub(super) async fn run(resources: &Resources, first: RolloutBatch, stop: &CancellationToken) {
    let id = first.session;
    // Held by the claim that is being migrated.
    let connection = Mutex::default();
    let (ends_soon, mut ending) = mpsc::unbounded_channel::<Progress>();
    let migrate = |batch| batch::run(resources, batch, &connection, &ends_soon, stop).boxed();
    let go_on = async |tenants, server| {
        if let Some(batch) = claim(resources, tenants, Some(ClaimSession { id, server })).await {
            migrate(batch).await;
        }
    };
    let mut tenants = TENANTS;
    let mut claims = FuturesUnordered::new();
    claims.push(migrate(first));
    loop {
        tokio::select! {
            biased;
            Some(progress) = ending.recv() => {
                tenants = next_claim(progress.begun, progress.of, tenants);
                if !stop.is_cancelled() {
                    claims.push(go_on(tenants, progress.server).boxed());
                }
            }
            over = claims.next() => {
                if over.is_none() {
                    break;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_as_large_as_there_was_time_for_in_the_one_before() {
        assert_eq!(next_claim(100, 256, 256), 100);
        assert_eq!(next_claim(1, 256, 256), FEWEST);
        // There was time for more.
        assert_eq!(next_claim(256, 256, 256), 384);
        assert_eq!(next_claim(400, 400, 400), MOST);
        // Fewer were left to claim, or others have their share.
        assert_eq!(next_claim(10, 10, 256), 256);
    }
}
