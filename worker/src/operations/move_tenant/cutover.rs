//! The moment of a move: writes wait while the last rows are brought, and the tenant is served from its new placement.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tenantry_domain::{operation::LeftPlacement, placement::PlacementState};
use tenantry_postgres::admin::{Closed, Transfer, WayBack};

use super::{
    LOCK_PATIENCE, Move, both, compare_catalogs, copied, epoch, flip, gone,
    live_copy::until_near,
    note_verified, of_way_back, source, stays,
    watch::{LockTries, connect, watched},
};
use crate::{
    engine::{Done, PlacedAt, StepResult, Work},
    operations::{own_server, placements::on_one_server},
    step_error::StepError,
};

/// For how long writes may wait, unless the caller accepts that they do. Less than a data plane holds them.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// How long an answer is waited for on a session that is there, until another is opened.
const KEPT_PATIENCE: Duration = Duration::from_secs(1);

/// Has writes held, closes the old placement and brings its last rows. With the record of this step it cannot be undone any more;
/// the tenant is served from the new placement by the next one.
/// Writes are held meanwhile, so what does not go at once is undone: nobody waits for a server that is away or full.
pub(super) async fn cutover(work: &Work<Move>) -> StepResult {
    drop(work.take_transferred());
    let (from, to) = both(work).await?;
    if let Some(plan) = &work.input.plan
        && work.resources.registry.plan_get(plan).await?.is_none()
    {
        return Err(StepError::permanent(format!("there is no plan {plan} any more; choose another one")));
    }
    let near = async {
        let mut transfer = connect(work, &from, &to).await?;
        // So that nobody waits for what will be refused, nor for the plan of the query.
        let shape = watched(work, &from, &to, transfer.shape()).await?;
        compare_shape(work, &from, &to, &shape).await?;
        if let Some(slot) = work.state().slot {
            until_near(work, &from, &to, &mut transfer, &slot).await?;
            watched(work, &from, &to, transfer.come_near(&slot)).await?;
        }
        Ok(transfer)
    };
    let own = own_server::is_own(work, from.placement.tier, from.placement.server_id).await?;
    let transfer = if from.placement.state == PlacementState::Cutover {
        // A worker died here: writes wait already.
        while_writes_wait(work, near).await?
    } else {
        near.await?
    };
    while_writes_wait(work, Box::pin(change_over(work, transfer, &from, &to, own))).await
}

/// What does not go in time, or not at once, is undone.
async fn while_writes_wait<T>(
    work: &Work<Move>,
    done: impl Future<Output = Result<T, StepError>>,
) -> Result<T, StepError> {
    let done = if work.input.offline {
        done.await
    } else {
        tokio::time::timeout(LONGEST_PAUSE, done).await.unwrap_or_else(|_| {
            Err(StepError::permanent(
                "the last rows took too long; ask for an offline move, in which writes wait",
            ))
        })
    };
    done.map_err(|error| match error {
        StepError::LeaseLost | StepError::RegistryAway { .. } => error,
        error => StepError::permanent(error.to_string()),
    })
}

/// What writes wait for. `own`: the server that the tenant leaves was made for it.
async fn change_over(
    work: &Work<Move>,
    mut transfer: Transfer<'_>,
    from: &PlacedAt,
    to: &PlacedAt,
    own: bool,
) -> StepResult {
    let (held_at, mut pause) = (work.resources.clock.now(), Pause::begin());
    // Data planes hold writes that come from now on.
    work.resources.registry.placement_hold_writes(&work.lease, from.placement.epoch).await?;
    pause.note("have them held");
    let mut tries = LockTries::while_writes_wait();
    let closed = loop {
        let attempt = watched(work, from, to, transfer.close_writes(LOCK_PATIENCE)).await;
        if let Some(closed) = tries.result(work, attempt).await? {
            break closed;
        }
    };
    pause.note("close the tables");
    let shape = bring(work, &mut transfer, closed, from, to).await?;
    compare_shape(work, from, to, &shape).await?;
    work.keep_transferred(transfer.end(), Arc::clone(&to.server));
    pause.note("bring the last rows, and close the tables to reads");
    pause.tell();
    work.update_state(|state| {
        state.held_at = Some(held_at);
        // An undoing is not undone in turn: asked for twice, it is not to take the tenant away again.
        state.left = (!work.input.undoes).then(|| LeftPlacement {
            tier: from.placement.tier,
            server: (!own).then_some(from.placement.server_id),
            plan: work.input.plan.as_ref().map(|_| work.tenant().plan.clone()),
        });
    });
    // A server may have been given up meanwhile, and its placement with it.
    stays(work, &from.placement, PlacementState::Cutover);
    stays(work, &to.placement, to.placement.state);
    Ok(Done::Now)
}

/// Refuses a tenant whose tables were changed since they were made at the new placement.
async fn compare_shape(
    work: &Work<Move>,
    from: &PlacedAt,
    to: &PlacedAt,
    shape: &str,
) -> Result<(), StepError> {
    let query = |shape: &str| shape.split_once(' ').map(|(query, _)| query.to_owned());
    match work.state().shape {
        // Another release of the worker looked before.
        Some(before) if query(&before) != query(shape) => compare_catalogs(from, to).await,
        Some(before) if before != shape => Err(StepError::permanent(
            "the tenant's tables were changed while it was being moved; move it when that is done",
        )),
        _ => Ok(()),
    }
}

/// Lets the tenant in at its new placement, and serves it from there. Not before the point of no return: a session of the tenant's
/// own may come there at once, and what it writes is neither to be dropped with the placement nor to have sequences set again.
pub(super) async fn open_target(work: &Work<Move>) -> StepResult {
    let by_kept = let_in_by_kept(work).await?;
    let (from, to) = if let Some(ends) = by_kept { ends } else { let_in_anew(work).await? };
    if !on_one_server(&from, &to) && work.tenant().status.is_served() {
        // Under the fence of the shared database, by which a suspension forbids it.
        drop(work.take_transferred());
        to.server.call(to.server.admin.set_role_login(work.owner(&to.placement), true)).await?;
    }
    // Another release of the worker has recorded that with the step before.
    if to.placement.state == PlacementState::Serving {
        return Ok(Done::Now);
    }
    flip(work, &from.placement, PlacementState::Cutover, PlacementState::Fenced);
    flip(work, &to.placement, to.placement.state, PlacementState::Serving);
    if let Some(plan) = &work.input.plan {
        work.change_plan(plan.clone());
    }
    let now = work.resources.clock.now();
    work.update_state(|state| {
        let pause = state.held_at.map(|held| now - held);
        state.pause_us = pause.and_then(|pause| pause.num_microseconds()).map(i64::unsigned_abs);
    });
    Ok(Done::Now)
}

/// Lets the tenant in by the session that has brought the last rows. None: it is not there any more, or takes long.
async fn let_in_by_kept(work: &Work<Move>) -> Result<Option<(PlacedAt, PlacedAt)>, StepError> {
    let Some((mut sessions, server)) = work.take_transferred() else { return Ok(None) };
    let state = work.state();
    let (from, to) = tokio::try_join!(
        work.placed_at_unprepared(epoch(state.from)?),
        work.placed_at_unprepared(epoch(state.to)?)
    )?;
    let (from, to) = (from.ok_or_else(gone)?, to.ok_or_else(gone)?);
    // It may lead to where the server was.
    if !Arc::ptr_eq(&server, &to.server) {
        return Ok(None);
    }
    let let_in = sessions.let_in(&to.server.admin, work.owner(&to.placement));
    let let_in = tokio::time::timeout(KEPT_PATIENCE, to.server.call(let_in)).await;
    if let Err(error) = let_in.unwrap_or_else(|_| Err(StepError::timed_out(KEPT_PATIENCE))) {
        tracing::info!(%error, "the tenant is let in on another connection: {error}");
        return Ok(None);
    }
    work.keep_transferred(sessions, server);
    Ok(Some((from, to)))
}

async fn let_in_anew(work: &Work<Move>) -> Result<(PlacedAt, PlacedAt), StepError> {
    let (from, to) = both(work).await?;
    let let_in = to.server.admin.let_in(&to.placement.database, work.owner(&to.placement));
    to.server.call(let_in).await?;
    Ok((from, to))
}

/// Brings what is not there yet: everything, or what was written last. Nobody reads at the source then. Answers its shape.
async fn bring(
    work: &Work<Move>,
    transfer: &mut Transfer<'_>,
    closed: Closed,
    from: &PlacedAt,
    to: &PlacedAt,
) -> Result<String, StepError> {
    let state = work.state();
    let Some(slot) = &state.slot else {
        let (held, shape) = watched(work, from, to, transfer.copy(copied(work))).await?;
        note_verified(work, held);
        return Ok(shape);
    };
    let way_back = state.undo_slot.as_deref().map(|slot| WayBack { publication: of_way_back(work), slot });
    watched(work, from, to, transfer.finish(slot, closed, way_back)).await
}

/// How long writes wait, and what for.
struct Pause {
    began: Instant,
    noted: Instant,
    parts: Vec<String>,
}

impl Pause {
    fn begin() -> Self {
        let now = Instant::now();
        Self { began: now, noted: now, parts: Vec::new() }
    }

    /// Notes what was done since the last note.
    fn note(&mut self, what: &str) {
        let took = self.noted.elapsed();
        self.noted += took;
        self.parts.push(format!("{took:.1?} to {what}"));
    }

    fn tell(self) {
        let took = self.noted - self.began;
        tracing::info!("writes have waited for {took:.1?}: {}", self.parts.join(", "));
    }
}

pub(super) async fn reopen(work: &Work<Move>) -> Result<(), StepError> {
    drop(work.take_transferred());
    // It came no further than its first step.
    if work.state().from.is_none() {
        return Ok(());
    }
    let from = source(work).await?;
    let open = from.server.admin.open_writes(&from.placement.database, work.owner(&from.placement));
    from.server.call(open).await?;
    if from.placement.state == PlacementState::Cutover {
        flip(work, &from.placement, PlacementState::Cutover, PlacementState::Serving);
    }
    Ok(())
}
