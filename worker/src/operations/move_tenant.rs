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
//! The new placement is opened when that is recorded, and not before: sessions of the tenant's own may come there at once, and
//! after a move that undoes one data planes that still know it. What they write there is not to be lost.

mod cutover;
mod live_copy;
mod watch;
mod way_back;

use std::time::Duration;

use tenantry_domain::{
    app::App,
    connection::Connection,
    ids::ServerId,
    operation::{MoveState, OperationKind},
    placement::{Epoch, Placement, PlacementState, PlacementTransition},
    plan::{Plan, PlanName, Tier},
};
use tenantry_postgres::admin::{PublicationId, RoleLimits, RoleSpec, Survey, TableContents};
use tenantry_registry::{PlaceError, PlaceRequest, Placed, PlacementChange};

use self::{
    cutover::{cutover, open_target, reopen},
    live_copy::{catch_up, compare, copy, forget_changes, keep_changes},
    way_back::{drop_kept, end_undo_window, forget_way_back, keep_old, keep_way_back},
};
use super::{
    own_server,
    placements::{self, bring_noted_away, drop_placement, on_one_server},
    provision::place_error,
    undo_window, users,
};
use crate::{
    data_audit::{self, Place},
    engine::{Definition, Done, PlacedAt, Sequence, StepResult, TenantSubject, Work},
    servers::Server,
    step,
    step_error::StepError,
    undo,
};

/// How long a table is waited for that nobody uses yet.
const NEW_TABLES: Duration = Duration::from_secs(10);

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

/// How long the lock of a table is waited for, in which others wait too.
const LOCK_PATIENCE: Duration = Duration::from_millis(100);

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
        .step(step!(cutover, "bringing the last rows").undo(undo!(reopen)).timeout(LONG))
        .point_of_no_return()
        .step(step!(open_target, "serving it from there"))
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
    // With 0 each tenant is, however little it has.
    let live = !input.offline && survey.row_bytes >= move_at_once;
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

async fn order_server(work: &Work<Move>) -> StepResult {
    if work.input.tier != Tier::Instance || goes_back(work) {
        return Ok(Done::Now);
    }
    let class = next_plan(work).await?.server_class;
    own_server::order(work, work.input.server, class).await
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
    let plan = next_plan(work).await?;
    let connection = Connection::of(&app, work.input.tier, &plan.database);
    let class =
        plan.server_class.filter(|_| work.input.tier == Tier::Instance && work.input.server.is_none());
    let request = PlaceRequest {
        tier: work.input.tier,
        name: work.tenant().slug.object_name(),
        // The same password: what was handed out of it goes on working.
        role_password: from.role_password.clone(),
        region: None,
        connection,
        tenants_per_login: work.resources.settings.tenants_per_login,
        warm: None,
        server: work.state().own.server.or(work.input.server),
        not_server: not_server(&from.placement, work.input.tier),
        class: class.clone(),
        durable_state: serde_json::to_value(work.state()).expect("states are plain data"),
    };
    let placed = match placements::choose(&work.resources, &work.lease, &request).await? {
        Err(full @ PlaceError::NoRoom(_)) if work.input.server.is_none() => {
            return own_server::instead(work, work.input.tier, class, full).await;
        }
        placed => placed.map_err(place_error)?,
    };
    let (Placed::Now(target, _) | Placed::Before(target, _)) = placed;
    work.update_state(|state| state.to = Some(target.epoch));
    Ok(Done::Now)
}

/// The plan that it has from then on.
async fn next_plan(work: &Work<Move>) -> Result<Plan, StepError> {
    let next = match &work.input.plan {
        Some(plan) => work.resources.registry.plan_get(plan).await?,
        None => None,
    };
    // A plan that is gone is met again before the flip, which refuses it.
    Ok(next.unwrap_or_else(|| work.subject.plan.clone()))
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
    forget_publication(work, &from, of_tenant(work)).await?;
    let admin = &to.server.admin;
    if let Some(what_to_do) = to.server.call(admin.may_copy()).await? {
        return Err(StepError::permanent(what_to_do));
    }
    work.resources.ensure_login(&to.server, &to.placement.login).await?;
    if let Some(of) = work.state().undone {
        undo_window::end_follower(&from, of).await?;
        undo_window::end_follower(&to, of).await?;
    } else {
        make_tables(work, &from, &to).await?;
    }
    let schema = &from.placement.schema;
    let shape = from.server.call(from.server.admin.schema_shape(&from.placement.database, schema)).await?;
    work.update_state(|state| state.shape = Some(shape));
    compare_catalogs(&from, &to).await?;
    Ok(Done::Now)
}

/// Refuses tables that are not the same at both ends.
async fn compare_catalogs(from: &PlacedAt, to: &PlacedAt) -> Result<(), StepError> {
    let catalog = async |placed: &PlacedAt| {
        let Placement { database, schema, .. } = &placed.placement;
        placed.server.call(placed.server.admin.schema_catalog(database, schema)).await
    };
    let (here, there) = (catalog(from).await?, catalog(to).await?);
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
    Ok(())
}

async fn make_tables(work: &Work<Move>, from: &PlacedAt, to: &PlacedAt) -> Result<(), StepError> {
    let app = app(work, &from.placement).await?;
    let (owner, database) = (work.owner(&to.placement), &to.placement.database);
    let secret = work.role_password(&from.placement).await?;
    let role = RoleSpec {
        secret: &secret,
        login: &to.placement.login,
        limits: RoleLimits::of(&work.subject.plan.database, work.resources.settings.tenant_connections),
        // On a server of which the tenant does not know yet nobody comes as it.
        may_log_in: on_one_server(from, to) && work.tenant().status.is_served(),
    };
    users::prepare(&work.resources, &to.server, work.tenant().id, &app).await?;
    let has_users = users::bring_into_line(work, from, &app).await?;
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
    let report = to.server.call(make).await?;
    work.note_tables(&to.placement, report.to, has_users);
    if has_users {
        to.server.call(admin.add_users(database, owner)).await?;
    }
    audit_there(work, to).await?;
    to.server.call(admin.await_contents(database, owner)).await?;
    Ok(())
}

/// What changes the tenant's data there is noted from the first request on, where it is to be. Rows that come from here are not.
async fn audit_there(work: &Work<Move>, to: &PlacedAt) -> Result<(), StepError> {
    let (registry, tenant) = (&work.resources.registry, work.tenant().id);
    if registry.data_audit_is_wanted(tenant).await? {
        let Placement { epoch, ref database, .. } = to.placement;
        let place = Place { tenant, epoch, database, owner: work.owner(&to.placement) };
        data_audit::begin(registry, &to.server, place, false, NEW_TABLES).await?;
    }
    Ok(())
}

async fn drop_target(work: &Work<Move>) -> Result<(), StepError> {
    if goes_back(work) {
        return Ok(());
    }
    if let Some(to) = target_if_any(work).await? {
        let from = source(work).await?;
        drop_placement(&work.resources, &to, Some(&from), work.owner(&to.placement)).await?;
    }
    Ok(())
}

async fn forget_changes_at(work: &Work<Move>, placed: &PlacedAt) -> Result<(), StepError> {
    forget_publication(work, placed, publication(work)).await
}

async fn forget_publication(
    work: &Work<Move>,
    placed: &PlacedAt,
    publication: PublicationId,
) -> Result<(), StepError> {
    let PlacedAt { placement, server, .. } = placed;
    server.call(server.admin.forget_changes(&placement.database, work.owner(placement), publication)).await
}

/// What keeps the changes that this move makes at its new placement.
fn publication(work: &Work<Move>) -> PublicationId {
    work.state().undone.map_or_else(|| of_tenant(work), undo_window::publication)
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

/// Tells the planner what the new tables hold.
async fn analyze(work: &Work<Move>, to: &PlacedAt) -> Result<(), StepError> {
    to.server.call(to.server.admin.analyze(&to.placement.database, work.owner(&to.placement))).await
}

/// Drops the old placement, or keeps it for the undo window.
async fn clean_up(work: &Work<Move>) -> StepResult {
    if let Some((sessions, _)) = work.take_transferred() {
        sessions.finish();
    }
    let state = work.state();
    let to = work.placed_at(epoch(state.to)?).await?.ok_or_else(gone)?;
    if let Some(slot) = &state.undo_slot {
        return keep_old(work, &to, slot).await;
    }
    if goes_back(work) {
        // What it was closed with when the tenant left it.
        let open = to.server.admin.open_writes(&to.placement.database, work.owner(&to.placement));
        to.server.call(open).await?;
        // What could not be forgotten there when it left, because somebody was at the tables.
        forget_publication(work, &to, of_tenant(work)).await?;
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
        if own_server::is_own(work, known.placement.tier, known.placement.server_id).await? {
            // What is lost is lost with its server.
            if let Ok(Some(from)) = work.placed_at(left).await
                && let Err(error) = bring_noted_away(&work.resources, &from).await
            {
                tracing::warn!(%error, "changes of data that were noted on the tenant's old server are lost: {error}");
            }
        } else if let Some(from) = work.placed_at(left).await? {
            if state.live {
                forget_changes_at(work, &from).await?;
            }
            drop_placement(&work.resources, &from, Some(&to), work.owner(&from.placement)).await?;
        }
        registry.placement_left(&work.lease, left).await?;
    }
    let gone = own_server::all_but(work, Some(to.placement.server_id)).await?;
    own_server::delete(work, &gone).await?;
    own_server::forget(work, &gone).await?;
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
    change(work, placement, before.to(after));
}

/// The step ends only where the placement is in this state still.
fn stays(work: &Work<Move>, placement: &Placement, state: PlacementState) {
    change(work, placement, Some(state.stays()));
}

fn change(work: &Work<Move>, placement: &Placement, transition: Option<PlacementTransition>) {
    let change =
        PlacementChange { epoch: placement.epoch, transition, schema_version: None, has_users: false };
    work.change_placement(change);
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
