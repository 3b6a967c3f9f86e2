//! Move: takes a tenant to another placement (tier, server or both) while it is being served, and gives it another plan
//! with that.
//!
//! Its tables are made at the new placement first. Then its rows are copied, while writes wait: the data planes hold them,
//! and the old placement refuses them by itself, so that a data plane that heard nothing cannot write there either. What
//! was copied is compared, and the tenant is served from the new placement from then on.
//!
//! A tenant that is too much for that is copied before, while it is written to; its changes are kept and made again there.
//! Writes wait for the last of them only.
//!
//! Its point of no return is that moment. Undone before, it is served where it was. ADR 12.
//!
//! A move that undoes one by its undo window goes to a placement that data planes may still know. That is opened when
//! the point of no return is recorded, and not before: what is written there is not to be lost.

use std::time::{Duration, Instant};

use tenantry_domain::{
    app::App,
    ids::ServerId,
    operation::{LeftPlacement, MoveState, OperationKind},
    placement::{Epoch, Placement, PlacementState},
    plan::{PlanName, Tier},
};
use tenantry_postgres::admin::{
    KeepPatience, MoveError, PublicationId, RoleLimits, RoleSpec, Survey, TableContents, Transfer, WayBack,
};
use tenantry_registry::{PlaceError, PlaceRequest, Placed, PlacementChange, UndoWindow};

use super::{
    own_server,
    placements::{LOOK_EVERY, SMALL_LAG, away, between, drop_placement, on_one_server, site},
    provision::place_error,
    undo_window,
};
use crate::{
    engine::{Definition, Done, PlacedAt, Sequence, StepResult, TenantSubject, Work},
    servers::Server,
    step,
    step_error::StepError,
    undo,
};

pub(super) struct Move;

pub(crate) struct Input {
    pub(crate) tier: Tier,
    pub(crate) server: Option<ServerId>,
    pub(crate) plan: Option<PlanName>,
    /// Writes wait for as long as it takes.
    pub(crate) offline: bool,
    /// It takes the tenant back to where it was before its last move.
    pub(crate) undoes: bool,
    /// For how long the old placement is kept, and kept up to date; zero: not at all.
    pub(crate) undo_window: Duration,
}

impl Definition for Move {
    const KIND: OperationKind = OperationKind::Move;
    type Subject = TenantSubject;
    type Input = Input;
    type State = MoveState;
}

/// Making tables, copying rows and dropping them takes as long as it takes.
const LONG: Duration = Duration::from_hours(6);

/// For how long writes may wait, unless the caller accepts that they do. Less than a data plane holds them.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// How long the lag may stay as it is.
const CATCH_UP_PATIENCE: Duration = Duration::from_mins(10);

/// Replication slots of a server that undo windows leave to moves.
const SPARE_SLOTS: u32 = 3;

/// How long the lock of a table is waited for, in which others wait too, and how often.
const LOCK_PATIENCE: Duration = Duration::from_millis(100);
const LOCK_TRIES: u32 = 20;

pub(super) fn define() -> Sequence<Move> {
    Sequence::new("the tenant is served from its new placement")
        .step(step!(preflight, "looking at what has to move"))
        .step(
            step!(end_undo_window, "taking or dropping what its last move has kept")
                .undo(undo!(drop_kept))
                .timeout(LONG),
        )
        .step(step!(order_server, "making a server of the tenant's own").undo(undo!(give_server_back)))
        .step(step!(place, "choosing where it goes").undo(undo!(forget_target)))
        .step(step!(prepare, "making the tables there").undo(undo!(drop_target)).timeout(LONG))
        .step(
            step!(keep_changes, "keeping what is written from now on")
                .undo(undo!(forget_changes))
                .timeout(LONG),
        )
        .step(step!(copy, "copying the rows").timeout(LONG))
        .step(step!(catch_up, "making the changes there").timeout(LONG))
        .step(step!(compare, "comparing the rows").timeout(LONG))
        .step(
            step!(keep_way_back, "keeping what will be written there")
                .undo(undo!(forget_way_back))
                .timeout(LONG),
        )
        .step(
            step!(cutover, "bringing the last rows, and serving from there")
                .undo(undo!(reopen))
                .timeout(LONG),
        )
        .point_of_no_return()
        .step(step!(open_kept, "opening what the tenant goes back to"))
        .step(step!(clean_up, "keeping or dropping what the tenant has left").timeout(LONG))
}

/// Looks whether everything can move. Changes nothing.
async fn preflight(work: &Work<Move>) -> StepResult {
    let (from, server) = work.placed().await?;
    let found = look(&server, &from, &work.input, work.resources.settings.move_at_once).await?;
    if !found.obstacles.is_empty() {
        return Err(StepError::permanent(format!("it cannot be moved: {}", found.obstacles.join("; "))));
    }
    work.update_state(|state| {
        state.from = Some(from.epoch);
        state.bytes = found.survey.bytes;
        state.live = found.live;
    });
    Ok(Done::Now)
}

/// What a move of a tenant meets where it is.
pub(crate) struct Preflight {
    pub(crate) survey: Survey,
    /// It is copied while it is written to.
    pub(crate) live: bool,
    /// What keeps it from being moved, as sentences.
    pub(crate) obstacles: Vec<String>,
}

/// See [`preflight`]; also for one who only asks.
pub(crate) async fn look(
    server: &Server,
    from: &Placement,
    input: &Input,
    move_at_once: u64,
) -> Result<Preflight, StepError> {
    let survey = server.call(server.admin.survey(&from.database, &from.schema)).await?;
    let live = !input.offline && survey.bytes > move_at_once;
    let mut obstacles = survey.obstacles.clone();
    if input.server.is_some() && input.server == not_server(from, input.tier) {
        obstacles
            .push(format!("tier {} of that server is where the tenant is; name another one", input.tier));
    }
    if live && !survey.live_obstacles.is_empty() {
        obstacles.push(format!(
            "the tenant takes {} MB and cannot be moved while it is written to: {}; or ask for an offline move, in which \
             writes wait",
            survey.bytes >> 20,
            survey.live_obstacles.join("; ")
        ));
    }
    Ok(Preflight { survey, live, obstacles })
}

/// Takes what the last move has kept, where this one undoes that; else it is dropped, since it may be in the way.
async fn end_undo_window(work: &Work<Move>) -> StepResult {
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
async fn drop_kept(work: &Work<Move>) -> Result<(), StepError> {
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

async fn order_server(work: &Work<Move>) -> StepResult {
    if work.input.tier != Tier::Instance || goes_back(work) {
        return Ok(Done::Now);
    }
    own_server::order(work, work.input.server).await
}

async fn give_server_back(work: &Work<Move>) -> Result<(), StepError> {
    own_server::give_back(work).await
}

/// The server to which it cannot go: the one that it is on, where the new placement would have the same name. Of a tenant's
/// two tiers with a database, both give it the same one.
pub(crate) fn not_server(from: &Placement, tier: Tier) -> Option<ServerId> {
    (from.tier == tier || (from.tier != Tier::Schema && tier != Tier::Schema)).then_some(from.server_id)
}

/// Records a placement for it, on the server with most room or the one that was asked for.
async fn place(work: &Work<Move>) -> StepResult {
    if goes_back(work) {
        return Ok(Done::Now);
    }
    let from = source(work).await?;
    let app = app(work, &from.placement).await?;
    let registry = &work.resources.registry;
    let request = PlaceRequest {
        tier: work.input.tier,
        name: work.tenant().slug.object_name(),
        // The same password: what was handed out of it goes on working.
        role_password: from.role_password.clone(),
        region: None,
        tenants_per_login: work.resources.tenants_per_login(&app),
        warm: None,
        server: work.state().own_server.or(work.input.server),
        not_server: not_server(&from.placement, work.input.tier),
        durable_state: serde_json::to_value(work.state()).expect("states are plain data"),
    };
    let placed = match registry.placement_choose(&work.lease, &request).await {
        Err(PlaceError::NoLogin(server)) => {
            work.resources.add_login(server, &app).await?;
            registry.placement_choose(&work.lease, &request).await
        }
        placed => placed,
    };
    let placed = match placed {
        Err(full @ PlaceError::NoRoom(_)) if work.input.server.is_none() => {
            return own_server::instead(work, work.input.tier, full).await;
        }
        placed => placed.map_err(place_error)?,
    };
    let (Placed::Now(target, _) | Placed::Before(target, _)) = placed;
    work.update_state(|state| state.to = Some(target.epoch));
    Ok(Done::Now)
}

async fn forget_target(work: &Work<Move>) -> Result<(), StepError> {
    if goes_back(work) {
        return Ok(());
    }
    if let Some(to) = target_epoch(work).await? {
        let state = MoveState { to: None, ..work.state() };
        let stored = serde_json::to_value(&state).expect("states are plain data");
        work.resources.registry.placement_forget(&work.lease, to, false, &stored).await?;
        work.set_stored_state(state);
    }
    Ok(())
}

/// Makes the tables there as they are here, without rows, and lets nobody in yet.
async fn prepare(work: &Work<Move>) -> StepResult {
    let (from, to) = both(work).await?;
    let place = |placed: &PlacedAt| {
        let Placement { server_id, database, schema, .. } = &placed.placement;
        (*server_id, database.clone(), schema.clone())
    };
    if place(&from) == place(&to) {
        return Err(StepError::permanent(
            "the tenant's new placement is where it is; move it to another server",
        ));
    }
    // What an abandoned move may have left.
    forget_changes_at(work, &from).await?;
    let app = app(work, &from.placement).await?;
    if let Some(what_to_do) = to.server.call(to.server.admin.may_copy()).await? {
        return Err(StepError::permanent(what_to_do));
    }
    work.resources.ensure_login(&to.server, &to.placement.login).await?;
    let (owner, database) = (work.owner(&to.placement), &to.placement.database);
    let secret = work.role_password(&from.placement).await?;
    let role = RoleSpec {
        secret: &secret,
        login: &to.placement.login,
        limits: RoleLimits::of(&work.subject.plan.database, work.resources.settings.tenant_connections),
        // On a server of which the tenant does not know yet nobody comes as it.
        may_log_in: on_one_server(&from, &to) && work.tenant().status.is_served(),
    };
    let admin = &to.server.admin;
    let make = async {
        match to.placement.tier {
            Tier::Schema => {
                admin.ensure_extensions(database, &app.manifest.extensions).await?;
                admin.create_schema(owner, &role, &app).await
            }
            Tier::Database | Tier::Instance => {
                admin.create_database(owner, &role, &app, &work.resources.settings.label).await?;
                admin.adopt_schema(owner, &to.placement.login, &app).await
            }
        }
    };
    if let Some(of) = work.state().undone {
        undo_window::end_follower(&from, of).await?;
        undo_window::end_follower(&to, of).await?;
    } else {
        let report = to.server.call(make).await?;
        work.note_schema_version(&to.placement, report.to);
        to.server.call(admin.await_contents(database, owner)).await?;
    }
    let schema = &from.placement.schema;
    let shape = from.server.call(from.server.admin.schema_shape(&from.placement.database, schema)).await?;
    work.update_state(|state| state.shape = Some(shape));
    let here = from.server.call(from.server.admin.schema_catalog(&from.placement.database, schema)).await?;
    let there = to.server.call(admin.schema_catalog(database, schema)).await?;
    let differences = here.differences(&there, "at the tenant", "in the app's version");
    if !differences.is_empty() {
        let (count, some) =
            (differences.len(), differences.into_iter().take(5).collect::<Vec<_>>().join("; "));
        return Err(StepError::permanent(format!(
            "the tenant's tables are not those of version {} of its app, by {count} objects: {some}; bring them into \
             line first",
            from.placement.schema_version.map(|version| version.to_string()).unwrap_or_default()
        )));
    }
    Ok(Done::Now)
}

async fn drop_target(work: &Work<Move>) -> Result<(), StepError> {
    if goes_back(work) {
        return Ok(());
    }
    if let Some(to) = target_if_any(work).await? {
        let from = source(work).await?;
        drop_placement(&to, Some(&from), work.owner(&to.placement)).await?;
    }
    Ok(())
}

/// Has the server keep what is written from now on.
async fn keep_changes(work: &Work<Move>) -> StepResult {
    // On the way back they are kept since the move came.
    if !work.state().live || goes_back(work) {
        return Ok(Done::Now);
    }
    let (from, to) = both(work).await?;
    let mut transfer = connect(work, &from, &to).await?;
    let mut tries = LockTries::default();
    let slot = loop {
        let attempt = watched(work, &from, &to, transfer.keep_changes(keep_patience(work), 0)).await;
        if let Some(slot) = tries.result(work, attempt).await? {
            break slot;
        }
    };
    work.update_state(|state| state.slot = Some(slot));
    Ok(Done::Now)
}

fn keep_patience(work: &Work<Move>) -> KeepPatience {
    KeepPatience { tables: LOCK_PATIENCE, transactions: work.resources.settings.move_transaction_patience }
}

async fn forget_changes(work: &Work<Move>) -> Result<(), StepError> {
    if !work.state().live {
        return Ok(());
    }
    forget_changes_at(work, &source(work).await?).await?;
    match target_if_any(work).await? {
        Some(to) => forget_changes_at(work, &to).await,
        None => Ok(()),
    }
}

async fn forget_changes_at(work: &Work<Move>, placed: &PlacedAt) -> Result<(), StepError> {
    forget_publication(work, placed, of_tenant(work)).await
}

async fn forget_publication(
    work: &Work<Move>,
    placed: &PlacedAt,
    publication: PublicationId,
) -> Result<(), StepError> {
    let PlacedAt { placement, server, .. } = placed;
    server.call(server.admin.forget_changes(&placement.database, work.owner(placement), publication)).await
}

fn of_tenant(work: &Work<Move>) -> PublicationId {
    PublicationId(work.tenant().id.as_uuid().as_u128())
}

/// What keeps changes at the new placement for the undo window of this move.
fn of_way_back(work: &Work<Move>) -> PublicationId {
    undo_window::publication(work.lease.operation.id)
}

/// Whether it takes the tenant back by the undo window of its last move.
fn goes_back(work: &Work<Move>) -> bool {
    work.state().undone.is_some()
}

/// Copies what the tenant has, table by table, while it is written to.
async fn copy(work: &Work<Move>) -> StepResult {
    let Some(slot) = work.state().slot else { return Ok(Done::Now) };
    let (from, to) = both(work).await?;
    let mut transfer = connect(work, &from, &to).await?;
    watched(work, &from, &to, transfer.copy_tables(&slot, work.resources.settings.move_rate, copied(work)))
        .await?;
    Ok(Done::Now)
}

/// Makes there what was written meanwhile, until it is nearly all.
async fn catch_up(work: &Work<Move>) -> StepResult {
    let Some(slot) = work.state().slot else { return Ok(Done::Now) };
    let (from, to) = both(work).await?;
    let mut transfer = connect(work, &from, &to).await?;
    until_near(work, &from, &to, &mut transfer, &slot).await?;
    Ok(Done::Now)
}

async fn until_near(
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
async fn compare(work: &Work<Move>) -> StepResult {
    let Some(slot) = work.state().slot else { return Ok(Done::Now) };
    let (from, to) = both(work).await?;
    let mut transfer = connect(work, &from, &to).await?;
    until_near(work, &from, &to, &mut transfer, &slot).await?;
    let held = watched(work, &from, &to, transfer.compare(&slot)).await?;
    note_verified(work, held);
    // For the planner, before anybody is served from there.
    watched(work, &from, &to, transfer.analyze()).await?;
    until_near(work, &from, &to, &mut transfer, &slot).await?;
    Ok(Done::Now)
}

fn note_verified(work: &Work<Move>, held: Vec<TableContents>) {
    work.update_state(|state| {
        state.verified = held.into_iter().map(|table| (table.table, table.rows, table.hash)).collect();
    });
}

/// Tells how much was copied.
fn copied(work: &Work<Move>) -> impl FnMut(u64) + Send + '_ {
    let bytes = work.state().bytes.max(1);
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    move |copied: u64| {
        work.progress((copied as f32 / bytes as f32).min(0.9), format!("{} kB copied", copied >> 10));
    }
}

/// Has the new placement keep what will be written there, so that the old one can be kept up to date. Where that is
/// impossible the move says why, and has no undo window.
async fn keep_way_back(work: &Work<Move>) -> StepResult {
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

async fn forget_way_back(work: &Work<Move>) -> Result<(), StepError> {
    if work.input.undo_window.is_zero() || !work.state().live {
        return Ok(());
    }
    if let Some(to) = target_if_any(work).await? {
        forget_publication(work, &to, of_way_back(work)).await?;
    }
    forget_publication(work, &source(work).await?, of_way_back(work)).await
}

/// Has writes held, closes the old placement, brings its last rows, and serves from the new one: what is recorded with the
/// end of this step.
/// Writes are held meanwhile, so what does not go at once is undone: nobody waits for a server that is away or full.
async fn cutover(work: &Work<Move>) -> StepResult {
    let (from, to) = both(work).await?;
    if let Some(plan) = &work.input.plan
        && work.resources.registry.plan_get(plan).await?.is_none()
    {
        return Err(StepError::permanent(format!("there is no plan {plan} any more; choose another one")));
    }
    let near = async {
        let mut transfer = connect(work, &from, &to).await?;
        if let Some(slot) = work.state().slot {
            until_near(work, &from, &to, &mut transfer, &slot).await?;
        }
        Ok(transfer)
    };
    let transfer = if from.placement.state == PlacementState::Cutover {
        // A worker died here: writes wait already.
        while_writes_wait(work, near).await?
    } else {
        near.await?
    };
    let own = own_server::is_own(work, from.placement.tier, from.placement.server_id).await?;
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
    let slot = work.state().slot;
    let began = Instant::now();
    // Data planes hold writes that come from now on.
    work.resources.registry.placement_hold_writes(&work.lease, from.placement.epoch).await?;
    let mut tries = LockTries::default();
    loop {
        let attempt = watched(work, from, to, transfer.close_writes(LOCK_PATIENCE)).await;
        if tries.result(work, attempt).await?.is_some() {
            break;
        }
    }
    let shape = watched(work, from, to, transfer.shape()).await?;
    if work.state().shape.is_some_and(|before| before != shape) {
        return Err(StepError::permanent(
            "the tenant's tables were changed while it was being moved; move it when that is done",
        ));
    }
    bring(work, transfer, slot.as_deref(), from, to).await?;
    let pause = began.elapsed();
    work.update_state(|state| {
        state.pause_us = Some(u64::try_from(pause.as_micros()).unwrap_or(u64::MAX));
        // An undoing is not undone in turn: asked for twice, it is not to take the tenant away again.
        state.left = (!work.input.undoes).then(|| LeftPlacement {
            tier: from.placement.tier,
            server: (!own).then_some(from.placement.server_id),
            plan: work.input.plan.as_ref().map(|_| work.tenant().plan.clone()),
        });
    });
    if !goes_back(work) {
        serve_from(work, from, to);
    }
    Ok(Done::Now)
}

/// The tenant is served from its new placement, by its new plan, from the record of the step on.
fn serve_from(work: &Work<Move>, from: &PlacedAt, to: &PlacedAt) {
    flip(work, &from.placement, PlacementState::Cutover, PlacementState::Fenced);
    flip(work, &to.placement, to.placement.state, PlacementState::Serving);
    if let Some(plan) = &work.input.plan {
        work.change_plan(plan.clone());
    }
}

/// Lets the tenant in at the placement that it goes back to, and serves it from there.
async fn open_kept(work: &Work<Move>) -> StepResult {
    if goes_back(work) {
        let (from, to) = both(work).await?;
        to.server.call(to.server.admin.let_in(&to.placement.database, work.owner(&to.placement))).await?;
        serve_from(work, &from, &to);
    }
    Ok(Done::Now)
}

/// For one who needs the tenant's tables for himself and waits for whoever is at it, a little at a time.
#[derive(Default)]
struct LockTries(u32);

impl LockTries {
    /// What an attempt gave; none: try again.
    async fn result<T>(
        &mut self,
        work: &Work<Move>,
        attempt: Result<T, StepError>,
    ) -> Result<Option<T>, StepError> {
        self.0 += 1;
        match attempt {
            Err(StepError::Transient { .. }) if self.0 < LOCK_TRIES && !work.cancelled().is_cancelled() => {
                tokio::time::sleep(LOCK_PATIENCE).await;
                Ok(None)
            }
            Err(StepError::Transient { message }) => Err(StepError::permanent(format!(
                "the tenant's tables cannot be closed to writes, because a transaction goes on for long: {message}"
            ))),
            done => done.map(Some),
        }
    }
}

/// Brings what is not there yet: everything, or what was written last.
async fn bring(
    work: &Work<Move>,
    mut transfer: Transfer<'_>,
    slot: Option<&str>,
    from: &PlacedAt,
    to: &PlacedAt,
) -> Result<(), StepError> {
    if let Some(slot) = slot {
        let undo_slot = work.state().undo_slot;
        let way_back = undo_slot.as_deref().map(|slot| WayBack { publication: of_way_back(work), slot });
        watched(work, from, to, transfer.finish(slot, way_back, !goes_back(work))).await?;
    } else {
        note_verified(work, watched(work, from, to, transfer.copy(copied(work))).await?);
    }
    if !on_one_server(from, to) && work.tenant().status.is_served() {
        let admin = &to.server.admin;
        to.server.call(admin.set_role_login(work.owner(&to.placement), true)).await?;
    }
    watched(work, from, to, transfer.close_reads()).await
}

/// Connects both ends. Its sessions are the only ones there that the move has meanwhile.
async fn connect<'a>(
    work: &'a Work<Move>,
    from: &'a PlacedAt,
    to: &'a PlacedAt,
) -> Result<Transfer<'a>, StepError> {
    let publication = work.state().undone.map_or_else(|| of_tenant(work), undo_window::publication);
    connect_for(work, from, to, publication).await
}

async fn connect_for<'a>(
    work: &'a Work<Move>,
    from: &'a PlacedAt,
    to: &'a PlacedAt,
    publication: PublicationId,
) -> Result<Transfer<'a>, StepError> {
    let connect = Transfer::connect(site(from), site(to), work.owner(&from.placement), publication);
    Box::pin(watched(work, from, to, connect)).await
}

/// Waits for work on both servers, looking meanwhile whether they are there, the work is still wanted, and the old server
/// does not keep too much for it.
async fn watched<T>(
    work: &Work<Move>,
    from: &PlacedAt,
    to: &PlacedAt,
    done: impl Future<Output = Result<T, MoveError>>,
) -> Result<T, StepError> {
    watched_as(work, from, to, done).await?.map_err(|error| between(from, to, error))
}

/// As [`watched`], with what became of the work as it is.
async fn watched_as<T>(
    work: &Work<Move>,
    from: &PlacedAt,
    to: &PlacedAt,
    done: impl Future<Output = Result<T, MoveError>>,
) -> Result<Result<T, MoveError>, StepError> {
    let trouble = async {
        tokio::select! {
            () = work.cancelled().cancelled() => StepError::transient("it was asked to stop"),
            error = away(from) => error,
            error = away(to) => error,
            error = too_much_wal(work) => error,
        }
    };
    tokio::select! {
        biased;
        done = Box::pin(done) => Ok(done),
        error = Box::pin(trouble) => Err(error),
    }
}

/// Waits until a server keeps more WAL for the move than it may.
async fn too_much_wal(work: &Work<Move>) -> StepError {
    let Some(slot) = work.state().slot else { return std::future::pending().await };
    let from = match source(work).await {
        Ok(from) => from,
        Err(error) => return error,
    };
    let most = work.resources.settings.move_wal_keep_size;
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        // That the server is away is noticed elsewhere.
        if let Ok(Some(kept)) = from.server.admin.wal_kept_for(&slot).await
            && kept > most
        {
            return StepError::permanent(format!(
                "its server keeps more than {} MB of WAL for the move, and may not (--move-wal-keep-size of the worker); move \
                 it when less is written on that server, or ask for an offline move, in which writes wait",
                most >> 20
            ));
        }
    }
}

async fn reopen(work: &Work<Move>) -> Result<(), StepError> {
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

/// Tells the planner what the new tables hold.
async fn analyze(work: &Work<Move>, to: &PlacedAt) -> Result<(), StepError> {
    to.server.call(to.server.admin.analyze(&to.placement.database, work.owner(&to.placement))).await
}

/// Drops the old placement, or keeps it for the undo window.
async fn clean_up(work: &Work<Move>) -> StepResult {
    let state = work.state();
    let to = work.placed_at(epoch(state.to)?).await?.ok_or_else(gone)?;
    if let Some(slot) = &state.undo_slot {
        return keep_old(work, &to, slot).await;
    }
    if let Some(undone) = state.undone {
        // What it was closed with when the tenant left it.
        let open = to.server.admin.open_writes(&to.placement.database, work.owner(&to.placement));
        to.server.call(open).await?;
        forget_publication(work, &to, undo_window::publication(undone)).await?;
    }
    if state.live {
        forget_changes_at(work, &to).await?;
    } else {
        analyze(work, &to).await?;
    }
    let left = epoch(state.from)?;
    let registry = &work.resources.registry;
    if let Some(known) = registry.placement_get(work.tenant().id, left).await? {
        // A server of the tenant's own goes as a whole.
        if !own_server::is_own(work, known.placement.tier, known.placement.server_id).await?
            && let Some(from) = work.placed_at(left).await?
        {
            if state.live {
                forget_changes_at(work, &from).await?;
            }
            if let Some(undone) = state.undone {
                forget_publication(work, &from, undo_window::publication(undone)).await?;
            }
            drop_placement(&from, Some(&to), work.owner(&from.placement)).await?;
        }
        registry.placement_left(&work.lease, left).await?;
    }
    let gone = own_server::all_but(work, Some(to.placement.server_id)).await?;
    own_server::delete(work, &gone).await?;
    own_server::forget(work, &gone).await?;
    Ok(Done::Now)
}

/// Keeps the old placement, closed to everybody but who keeps it up to date.
async fn keep_old(work: &Work<Move>, to: &PlacedAt, slot: &str) -> StepResult {
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

/// The tenant's app as it has it: nothing after the version of its tables.
async fn app(work: &Work<Move>, placement: &Placement) -> Result<App, StepError> {
    let name = &work.tenant().app;
    let app = work.resources.registry.app_get(name).await?;
    let mut app = app.ok_or_else(|| StepError::permanent(format!("there is no app {name} any more")))?;
    app.promoted = placement.schema_version;
    Ok(app.into_promoted())
}

/// A change of state with the end of the step.
fn flip(work: &Work<Move>, placement: &Placement, before: PlacementState, after: PlacementState) {
    work.change_placement(PlacementChange {
        epoch: placement.epoch,
        transition: before.to(after),
        schema_version: None,
    });
}

fn epoch(known: Option<Epoch>) -> Result<Epoch, StepError> {
    known.ok_or_else(|| StepError::permanent("the move does not know its placements"))
}

fn gone() -> StepError {
    StepError::permanent("a placement of the move is not registered any more")
}

async fn source(work: &Work<Move>) -> Result<PlacedAt, StepError> {
    work.placed_at(epoch(work.state().from)?).await?.ok_or_else(gone)
}

async fn target_epoch(work: &Work<Move>) -> Result<Option<Epoch>, StepError> {
    match work.state().to {
        Some(to) => Ok(Some(to)),
        // Recorded by a worker that died before it could record the step.
        None => Ok(work.resources.registry.placement_preparing(work.tenant().id).await?),
    }
}

/// What is to be taken back where the tenant would have gone; none too where that goes with the server that was made for it.
async fn target_if_any(work: &Work<Move>) -> Result<Option<PlacedAt>, StepError> {
    if own_server::ordered(work).is_some() {
        return Ok(None);
    }
    match target_epoch(work).await? {
        Some(to) => work.placed_at(to).await,
        None => Ok(None),
    }
}

async fn both(work: &Work<Move>) -> Result<(PlacedAt, PlacedAt), StepError> {
    let from = source(work).await?;
    let to = work.placed_at(epoch(work.state().to)?).await?.ok_or_else(gone)?;
    Ok((from, to))
}
