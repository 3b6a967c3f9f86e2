//! Merges samples of usage into hours once they are some hours old, and forgets weeks of samples after a while.

use chrono::{DurationRound, TimeDelta};

use super::Reconciled;
use crate::Resources;

/// The last hours stay as they were appended.
const FINE: TimeDelta = TimeDelta::hours(2);
/// Samples merged in one statement.
const BATCH: i64 = 50_000;

/// Runs it once.
pub async fn run(resources: &Resources) -> Reconciled {
    let (registry, now) = (&resources.registry, resources.clock.now());
    // Whole hours, else every round would merge one more minute of its own.
    let before = (now - FINE).duration_trunc(TimeDelta::hours(1)).unwrap_or(now - FINE);
    let mut merged = 0;
    loop {
        let round = registry.usage_compact(before, BATCH).await?;
        merged += round;
        if round < BATCH.cast_unsigned() {
            break;
        }
    }
    registry.usage_forget_batches().await?;
    registry.daily_requests_forget((now - TimeDelta::days(2)).date_naive()).await?;
    registry.sample_weeks_make().await?;
    // How far back usage can be asked for.
    Ok(merged + registry.sample_weeks_drop(resources.settings.retention.samples).await?)
}
