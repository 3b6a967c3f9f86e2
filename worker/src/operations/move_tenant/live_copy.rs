//! Copying a tenant while it is written to: what is written meanwhile is kept, and made again at the new placement.

use std::time::{Duration, Instant};

use tenantry_postgres::admin::{KeepPatience, Transfer};

use super::{
    LOCK_PATIENCE, Move, both, copied, forget_changes_at, goes_back, note_verified, source, target_if_any,
    watch::{LockTries, connect, watched},
};
use crate::{
    engine::{Done, PlacedAt, StepResult, Work},
    operations::placements::SMALL_LAG,
    step_error::StepError,
};

/// How long the lag may stay as it is.
const CATCH_UP_PATIENCE: Duration = Duration::from_mins(10);

/// Has the server keep what is written from now on.
pub(super) async fn keep_changes(work: &Work<Move>) -> StepResult {
    // On the way back they are kept since the move came.
    if !work.state().live || goes_back(work) {
        return Ok(Done::Now);
    }
    let (from, to) = both(work).await?;
    let mut transfer = connect(work, &from, &to).await?;
    let mut tries = LockTries::beside_writes();
    let slot = loop {
        let attempt = watched(work, &from, &to, transfer.keep_changes(keep_patience(work), 0)).await;
        if let Some(slot) = tries.result(work, attempt).await? {
            break slot;
        }
    };
    work.update_state(|state| state.slot = Some(slot));
    Ok(Done::Now)
}

pub(super) fn keep_patience(work: &Work<Move>) -> KeepPatience {
    KeepPatience { tables: LOCK_PATIENCE, transactions: work.resources.settings.move_transaction_patience }
}

pub(super) async fn forget_changes(work: &Work<Move>) -> Result<(), StepError> {
    if !work.state().live || goes_back(work) {
        return Ok(());
    }
    forget_changes_at(work, &source(work).await?).await?;
    match target_if_any(work).await? {
        Some(to) => forget_changes_at(work, &to).await,
        None => Ok(()),
    }
}

/// Copies what the tenant has, table by table, while it is written to.
pub(super) async fn copy(work: &Work<Move>) -> StepResult {
    let Some(slot) = work.state().slot else { return Ok(Done::Now) };
    let (from, to) = both(work).await?;
    let mut transfer = connect(work, &from, &to).await?;
    watched(work, &from, &to, transfer.copy_tables(&slot, work.resources.settings.move_rate, copied(work)))
        .await?;
    Ok(Done::Now)
}

/// Makes there what was written meanwhile, until it is nearly all.
pub(super) async fn catch_up(work: &Work<Move>) -> StepResult {
    let Some(slot) = work.state().slot else { return Ok(Done::Now) };
    let (from, to) = both(work).await?;
    let mut transfer = connect(work, &from, &to).await?;
    until_near(work, &from, &to, &mut transfer, &slot).await?;
    Ok(Done::Now)
}

pub(super) async fn until_near(
    work: &Work<Move>,
    from: &PlacedAt,
    to: &PlacedAt,
    transfer: &mut Transfer<'_>,
    slot: &str,
) -> Result<(), StepError> {
    let (mut least, mut since) = (u64::MAX, Instant::now());
    loop {
        let lag = watched(work, from, to, transfer.catch_up(slot)).await?;
        if lag <= SMALL_LAG {
            return Ok(());
        }
        work.progress(0.5, format!("{} kB of the log still to be read", lag >> 10));
        if lag < least {
            (least, since) = (lag, Instant::now());
        } else if since.elapsed() > CATCH_UP_PATIENCE {
            return Err(StepError::permanent(format!(
                "more is written than can be moved: {} MB of the log are still to be read; move the tenant when less is \
                 written, or ask for an offline move, in which writes wait",
                lag >> 20
            )));
        }
    }
}

/// Compares all rows as they are at one moment, and catches up with what was written meanwhile.
pub(super) async fn compare(work: &Work<Move>) -> StepResult {
    let Some(slot) = work.state().slot else { return Ok(Done::Now) };
    let (from, to) = both(work).await?;
    let mut transfer = connect(work, &from, &to).await?;
    until_near(work, &from, &to, &mut transfer, &slot).await?;
    let held = watched(work, &from, &to, transfer.compare(&slot, work.resources.settings.move_rate)).await?;
    note_verified(work, held);
    // For the planner, before anybody is served from there.
    watched(work, &from, &to, transfer.analyze()).await?;
    until_near(work, &from, &to, &mut transfer, &slot).await?;
    Ok(Done::Now)
}
