//! Merges samples of usage into hours once they are some hours old, and forgets hours after a while.

use chrono::{DurationRound, TimeDelta};

use super::Reconciled;
use crate::Resources;

/// The last hours stay as they were appended.
const FINE: TimeDelta = TimeDelta::hours(2);
/// Samples merged in one round.
const ROUND: i64 = 50_000;

/// Runs it once.
pub async fn run(resources: &Resources) -> Reconciled {
    let (registry, now) = (&resources.registry, resources.clock.now());
    // How far back usage can be asked for.
    let kept = TimeDelta::days(resources.settings.retention.samples.into());
    // Whole hours, else every round would merge one more minute of its own.
    let before = (now - FINE).duration_trunc(TimeDelta::hours(1)).unwrap_or(now - FINE);
    let merged = registry.usage_compact(before, ROUND).await?;
    let forgotten = registry.usage_forget(now - kept).await? + registry.storage_forget(now - kept).await?;
    Ok(merged + forgotten)
}
