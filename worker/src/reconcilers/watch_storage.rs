//! Looks every minute at tenants whose data takes nearly as much as it may, or more: their writes are refused soon after they
//! have too much, and served again soon after they no longer have.

use chrono::{DurationRound, TimeDelta};

use super::{Reconciled, on_each, reachable_servers, sample_usage::measure};
use crate::Resources;

/// How old what is known may be.
const FRESH: TimeDelta = TimeDelta::seconds(50);
/// Tenants of one server in one round.
const ROUND: i64 = 500;

/// Runs it once.
pub async fn run(resources: &Resources) -> Reconciled {
    let now = resources.clock.now();
    let hour = now.duration_trunc(TimeDelta::hours(1)).unwrap_or(now);
    let servers = reachable_servers(resources).await?;
    on_each(resources, &servers, "storage near its limit is not known", |server| async move {
        let near = resources.registry.storage_near_limit(server.id, now - FRESH, ROUND).await?;
        measure(resources, server, hour, near).await
    })
    .await
}
