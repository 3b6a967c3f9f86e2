//! The undo window: what this move keeps for one that undoes it, and what it takes of the last one.

use tenantry_domain::{operation::MoveState, placement::Placement};
use tenantry_postgres::admin::MoveError;
use tenantry_registry::UndoWindow;

use super::{
    Move, both, epoch, forget_changes_at, forget_publication, goes_back,
    live_copy::keep_patience,
    of_way_back, source, target_if_any,
    watch::{connect_for, watched_as},
};
use crate::{
    engine::{Done, PlacedAt, StepResult, Work},
    operations::{
        own_server,
        placements::{between, on_one_server},
        undo_window,
    },
    step_error::StepError,
};

/// Replication slots of a server that undo windows leave to moves.
const SPARE_SLOTS: u32 = 3;

/// Takes what the last move has kept, where this one undoes that; else it is dropped, since it may be in the way.
pub(super) async fn end_undo_window(work: &Work<Move>) -> StepResult {
    let registry = &work.resources.registry;
    let Some(window) = registry.undo_window_get(work.tenant().id).await? else {
        if work.input.undoes {
            know_of_taking(work).await?;
        }
        return Ok(Done::Now);
    };
    // Nothing is taken of which nobody knows whether it is there.
    if work.input.undoes && !window.closing && work.placed_at(window.kept).await?.is_some() {
        let state = MoveState {
            live: true,
            slot: Some(window.slot.clone()),
            undone: Some(window.operation),
            ..work.state()
        };
        let stored = serde_json::to_value(&state).expect("states are plain data");
        if let Some(to) = registry.undo_window_take(&work.lease, &window, &stored).await? {
            work.set_stored_state(MoveState { to: Some(to), ..state });
            return Ok(Done::Now);
        }
    }
    registry.undo_window_set_closing(&work.lease, &window).await?;
    undo_window::close(&work.resources, &window, work.lease.fence(), false).await?;
    registry.undo_window_closed(&window).await?;
    Ok(Done::Now)
}

/// The window may be taken already, and the answer was lost.
async fn know_of_taking(work: &Work<Move>) -> Result<(), StepError> {
    let stored = work.resources.registry.operation_get(work.lease.operation.id).await?;
    let stored = stored.map(|operation| operation.durable_state).unwrap_or_default();
    if let Ok(state) = serde_json::from_value::<MoveState>(stored)
        && state.undone.is_some()
    {
        work.set_stored_state(state);
    }
    Ok(())
}

/// Drops what was kept: after a move back that did not come to its end it is not up to date any more.
pub(super) async fn drop_kept(work: &Work<Move>) -> Result<(), StepError> {
    if work.input.undoes && !goes_back(work) {
        know_of_taking(work).await?;
    }
    let state = work.state();
    let (Some(operation), Some(kept), Some(slot)) = (state.undone, state.to, state.slot) else {
        return Ok(());
    };
    let serving = epoch(state.from)?;
    let tenant = work.tenant().id;
    let window = UndoWindow { tenant, operation, kept, serving, slot, over: true, closing: true };
    undo_window::close(&work.resources, &window, work.lease.fence(), false).await?;
    Ok(work.resources.registry.placement_left(&work.lease, kept).await?)
}

/// Has the new placement keep what will be written there, so that the old one can be kept up to date. Where that is
/// impossible the move says why, and has no undo window.
pub(super) async fn keep_way_back(work: &Work<Move>) -> StepResult {
    let state = work.state();
    if state.slot.is_none() || work.input.undo_window.is_zero() {
        return Ok(Done::Now);
    }
    let (from, to) = both(work).await?;
    let kept = match begin_way_back(work, &from, &to).await? {
        Ok(slot) => (Some(slot), None),
        Err(why) => {
            tracing::info!("it will have no undo window: {why}");
            (None, Some(why))
        }
    };
    work.update_state(|state| (state.undo_slot, state.no_undo_window) = kept);
    Ok(Done::Now)
}

/// Answers the slot at the new placement, or why there is none.
async fn begin_way_back(
    work: &Work<Move>,
    from: &PlacedAt,
    to: &PlacedAt,
) -> Result<Result<String, String>, StepError> {
    if own_server::is_own(work, from.placement.tier, from.placement.server_id).await? {
        return Ok(Err("the server that it leaves was its own, and is deleted".into()));
    }
    let Placement { database, schema, .. } = &to.placement;
    let survey = to.server.call(to.server.admin.survey(database, schema)).await?;
    let obstacles = [survey.obstacles, survey.live_obstacles].concat();
    if !obstacles.is_empty() {
        return Ok(Err(obstacles.join("; ")));
    }
    let mut back = connect_for(work, to, from, of_way_back(work)).await?;
    match watched_as(work, to, from, back.keep_changes(keep_patience(work), SPARE_SLOTS)).await? {
        Ok(slot) => Ok(Ok(slot)),
        Err(error @ (MoveError::NoSlot(_) | MoveError::Blocked(_))) => {
            forget_publication(work, to, of_way_back(work)).await?;
            Ok(Err(match error {
                MoveError::Blocked(who) => {
                    format!("its new server waited in vain for transactions to end: {who}")
                }
                _ => format!("all replication slots of its new server but {SPARE_SLOTS} are used"),
            }))
        }
        Err(error) => Err(between(to, from, error)),
    }
}

pub(super) async fn forget_way_back(work: &Work<Move>) -> Result<(), StepError> {
    if work.input.undo_window.is_zero() || !work.state().live {
        return Ok(());
    }
    if let Some(to) = target_if_any(work).await? {
        forget_publication(work, &to, of_way_back(work)).await?;
    }
    forget_publication(work, &source(work).await?, of_way_back(work)).await
}

/// Keeps the old placement, closed to everybody but who keeps it up to date.
pub(super) async fn keep_old(work: &Work<Move>, to: &PlacedAt, slot: &str) -> StepResult {
    forget_changes_at(work, to).await?;
    let left = epoch(work.state().from)?;
    // First, so that what is kept for it is bounded, however long its server is away.
    work.resources
        .registry
        .undo_window_open(&work.lease, left, to.placement.epoch, slot, work.input.undo_window)
        .await?;
    // Given up with its server: the window ends by that.
    let Some(from) = work.placed_at(left).await? else { return Ok(Done::Now) };
    let owner = work.owner(&from.placement);
    let admin = &from.server.admin;
    if !on_one_server(&from, to) {
        from.server.call(admin.set_role_login(owner, false)).await?;
    }
    from.server.call(admin.open_to_replication(&from.placement.database, owner)).await?;
    match forget_changes_at(work, &from).await {
        // The slot is gone. Somebody reads a table there; how its rows are known may stay until it is dropped.
        Err(StepError::Transient { message }) => tracing::info!("{message}"),
        forgot => forgot?,
    }
    Ok(Done::Now)
}
