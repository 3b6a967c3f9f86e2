//! Move: takes a tenant to another placement (tier, server or both) while it is being served, and gives it another plan
//! with that.
//!
//! Its tables are made at the new placement first. Then, for as long as it takes to copy its rows, writes wait: the data
//! planes hold them, and the old placement refuses them by itself, so that a data plane that heard nothing cannot
//! write there either. What was copied is compared, and the tenant is served from the new placement from then on.
//!
//! Its point of no return is that moment. Undone before, it is served where it was. ADR 12.

use std::time::{Duration, Instant};

use tenantry_domain::{
    app::App,
    ids::ServerId,
    operation::{MoveState, OperationKind},
    placement::{Epoch, Placement, PlacementState},
    plan::{PlanName, Tier},
};
use tenantry_postgres::admin::{CopyError, RoleLimits, RoleSpec, Site, copy_contents};
use tenantry_registry::{PlaceError, PlaceRequest, Placed, PlacementChange};

use super::{provision::place_error, steps::ignore_foreign};
use crate::{
    engine::{Definition, Done, PlacedAt, Sequence, StepResult, TenantSubject, Work},
    step,
    step_error::StepError,
    undo,
};

pub(super) struct Move;

pub(super) struct Input {
    pub(super) tier: Tier,
    pub(super) server: Option<ServerId>,
    pub(super) plan: Option<PlanName>,
    /// Writes wait for as long as it takes.
    pub(super) offline: bool,
}

impl Definition for Move {
    const KIND: OperationKind = OperationKind::Move;
    type Subject = TenantSubject;
    type Input = Input;
    type State = MoveState;
}

/// Rows are copied for as long as it takes; a move that is not offline is small.
const COPY_TIMEOUT: Duration = Duration::from_hours(6);

/// How long the lock of a table is waited for, in which others wait too, and how often.
const LOCK_PATIENCE: Duration = Duration::from_millis(100);
const LOCK_TRIES: u32 = 20;

pub(super) fn define() -> Sequence<Move> {
    Sequence::new("the tenant is served from its new placement")
        .step(step!(preflight, "looking at what has to move"))
        .step(step!(place, "choosing where it goes").undo(undo!(forget_target)))
        .step(step!(prepare, "making the tables there").undo(undo!(drop_target)).timeout(COPY_TIMEOUT))
        .step(step!(hold_writes, "telling the data planes to hold writes").undo(undo!(let_writes_go)))
        .step(
            step!(cutover, "copying the rows, and serving from there")
                .undo(undo!(reopen))
                .timeout(COPY_TIMEOUT),
        )
        .point_of_no_return()
        .step(step!(clean_up, "dropping what the tenant has left").timeout(COPY_TIMEOUT))
}

/// Looks whether everything can move. Changes nothing.
async fn preflight(work: &Work<Move>) -> StepResult {
    let (from, server) = work.placed().await?;
    let Input { tier, server: wanted, .. } = &work.input;
    if from.tier == *tier && wanted.is_some_and(|wanted| wanted == from.server_id) {
        return Err(StepError::permanent(format!("the tenant is in tier {tier} of that server already")));
    }
    if *tier == Tier::Instance {
        return Err(StepError::permanent(
            "servers of a tenant's own cannot be made yet; choose another tier",
        ));
    }
    let survey = server.call(server.admin.survey(&from.database, &from.schema)).await?;
    if !survey.obstacles.is_empty() {
        return Err(StepError::permanent(format!("it cannot be moved: {}", survey.obstacles.join("; "))));
    }
    let most = work.resources.settings.move_at_once;
    if !work.input.offline && survey.bytes > most {
        return Err(StepError::permanent(format!(
            "the tenant takes {} MB, and what takes more than {} MB is not moved while it is written to; ask for an \
             offline move, in which writes wait, or raise --move-at-once",
            survey.bytes >> 20,
            most >> 20
        )));
    }
    work.update_state(|state| {
        state.from = Some(from.epoch);
        state.bytes = survey.bytes;
    });
    Ok(Done::Now)
}

/// Records a placement for it, on the server with most room or the one that was asked for.
async fn place(work: &Work<Move>) -> StepResult {
    let from = source(work).await?;
    let app = app(work, &from.placement).await?;
    let registry = &work.resources.registry;
    let same_tier = from.placement.tier == work.input.tier;
    let request = PlaceRequest {
        tier: work.input.tier,
        name: work.tenant().slug.object_name(),
        // The same password: what was handed out of it goes on working.
        role_password: from.role_password.clone(),
        region: None,
        tenants_per_login: work.resources.tenants_per_login(&app),
        warm: None,
        server: work.input.server,
        not_server: same_tier.then_some(from.placement.server_id),
        durable_state: serde_json::to_value(work.state()).expect("states are plain data"),
    };
    let placed = match registry.placement_choose(&work.lease, &request).await {
        Err(PlaceError::NoLogin(server)) => {
            work.resources.add_login(server, &app).await?;
            registry.placement_choose(&work.lease, &request).await
        }
        placed => placed,
    };
    let (Placed::Now(target, _) | Placed::Before(target, _)) = placed.map_err(place_error)?;
    work.update_state(|state| state.to = Some(target.epoch));
    Ok(Done::Now)
}

async fn forget_target(work: &Work<Move>) -> Result<(), StepError> {
    if let Some(to) = target_if_any(work).await? {
        work.resources.registry.placement_forget(&work.lease, to.placement.epoch, false).await?;
    }
    Ok(())
}

/// Makes the tables there as they are here, without rows, and lets nobody in yet.
async fn prepare(work: &Work<Move>) -> StepResult {
    let (from, to) = both(work).await?;
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
    let report = to.server.call(make).await?;
    work.note_schema_version(&to.placement, report.to);
    to.server.call(admin.await_contents(database, owner)).await?;
    let schema = &from.placement.schema;
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
    if let Some(to) = target_if_any(work).await? {
        let from = source(work).await?;
        drop_placement(work, &to, &from).await?;
    }
    Ok(())
}

/// Tells the data planes: they hold writes that come from now on.
async fn hold_writes(work: &Work<Move>) -> StepResult {
    turn(work, &source(work).await?.placement, PlacementState::Cutover);
    Ok(Done::Now)
}

async fn let_writes_go(work: &Work<Move>) -> Result<(), StepError> {
    turn(work, &source(work).await?.placement, PlacementState::Serving);
    Ok(())
}

/// Closes the old placement, copies and compares its rows, and serves from the new one: what is recorded with the end of
/// this step.
async fn cutover(work: &Work<Move>) -> StepResult {
    let (from, to) = both(work).await?;
    let began = Instant::now();
    close_writes(work, &from).await?;
    match copy(work, &from, &to).await {
        Ok(()) => {}
        Err(StepError::LeaseLost) => return Err(StepError::LeaseLost),
        Err(error) => {
            // Nobody waits for the next try. If this fails too, the next try or the undo does it.
            if let Err(error) = reopen_placement(work, &from).await {
                tracing::warn!(%error, "writes wait until the next try: {error}");
            }
            return Err(error);
        }
    }
    let pause = began.elapsed();
    work.update_state(|state| state.pause_us = Some(u64::try_from(pause.as_micros()).unwrap_or(u64::MAX)));
    turn(work, &from.placement, PlacementState::Fenced);
    turn(work, &to.placement, PlacementState::Serving);
    if let Some(plan) = &work.input.plan {
        work.change_plan(plan.clone());
    }
    Ok(Done::Now)
}

/// Waits for writers that are at it, a little at a time.
async fn close_writes(work: &Work<Move>, from: &PlacedAt) -> Result<(), StepError> {
    let admin = &from.server.admin;
    let (database, owner) = (&from.placement.database, work.owner(&from.placement));
    let mut tries = 0;
    loop {
        tries += 1;
        match from.server.call(admin.close_writes(database, owner, LOCK_PATIENCE)).await {
            Err(StepError::Transient { .. }) if tries < LOCK_TRIES && !work.cancelled().is_cancelled() => {
                tokio::time::sleep(LOCK_PATIENCE).await;
            }
            Err(StepError::Transient { message }) => {
                return Err(StepError::permanent(format!(
                    "the tenant's tables cannot be closed to writes, because a transaction goes on for long: {message}"
                )));
            }
            closed => return closed,
        }
    }
}

async fn copy(work: &Work<Move>, from: &PlacedAt, to: &PlacedAt) -> Result<(), StepError> {
    let (source, target) = (site(from), site(to));
    let owner = work.owner(&to.placement);
    let bytes = work.state().bytes.max(1);
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    let told = |copied: u64| {
        work.progress((copied as f32 / bytes as f32).min(0.9), format!("{} kB copied", copied >> 10));
    };
    let held = copy_contents(source, target, owner, told).await.map_err(|error| match error {
        CopyError::Source(error) => StepError::on_server(from.placement.server_id, &error),
        CopyError::Target(error) => StepError::on_server(to.placement.server_id, &error),
        differs @ CopyError::Differs { .. } => StepError::permanent(differs.to_string()),
    })?;
    work.update_state(|state| {
        state.verified = held.into_iter().map(|table| (table.table, table.rows, table.hash)).collect();
    });
    let admin = &to.server.admin;
    to.server.call(admin.set_schema_usage(&to.placement.database, owner, true)).await?;
    if !on_one_server(from, to) && work.tenant().status.is_served() {
        to.server.call(admin.set_role_login(owner, true)).await?;
    }
    let close =
        from.server.admin.set_schema_usage(&from.placement.database, work.owner(&from.placement), false);
    from.server.call(close).await
}

async fn reopen(work: &Work<Move>) -> Result<(), StepError> {
    reopen_placement(work, &source(work).await?).await
}

async fn reopen_placement(work: &Work<Move>, from: &PlacedAt) -> Result<(), StepError> {
    let open = from.server.admin.open_writes(&from.placement.database, work.owner(&from.placement));
    from.server.call(open).await
}

/// Drops the old placement.
async fn clean_up(work: &Work<Move>) -> StepResult {
    let state = work.state();
    let to = work.placed_at(epoch(state.to)?).await?.ok_or_else(gone)?;
    to.server.call(to.server.admin.analyze(&to.placement.database, work.owner(&to.placement))).await?;
    if let Some(from) = work.placed_at(epoch(state.from)?).await? {
        drop_placement(work, &from, &to).await?;
        work.resources.registry.placement_left(&work.lease, from.placement.epoch).await?;
    }
    Ok(Done::Now)
}

/// Drops what the tenant has at one of two placements. Its role stays where the other one is on the same server.
async fn drop_placement(work: &Work<Move>, gone: &PlacedAt, stays: &PlacedAt) -> Result<(), StepError> {
    let (admin, owner) = (&gone.server.admin, work.owner(&gone.placement));
    let together = on_one_server(gone, stays);
    let drop = async {
        if !together {
            ignore_foreign(admin.set_role_login(owner, false).await)?;
        }
        match gone.placement.tier {
            Tier::Schema => ignore_foreign(admin.drop_schema(owner).await)?,
            Tier::Database | Tier::Instance => ignore_foreign(admin.drop_database(owner).await)?,
        }
        if together {
            let login = (gone.placement.login != stays.placement.login).then_some(&gone.placement.login);
            admin.forget_way_in(&gone.placement.database, owner, login).await
        } else {
            ignore_foreign(admin.drop_role(owner).await)
        }
    };
    gone.server.call(drop).await
}

fn site(placed: &PlacedAt) -> Site<'_> {
    Site { admin: &placed.server.admin, database: &placed.placement.database }
}

fn on_one_server(one: &PlacedAt, other: &PlacedAt) -> bool {
    one.placement.server_id == other.placement.server_id
}

/// The tenant's app as it has it: nothing after the version of its tables.
async fn app(work: &Work<Move>, placement: &Placement) -> Result<App, StepError> {
    let name = &work.tenant().app;
    let app = work.resources.registry.app_get(name).await?;
    let mut app = app.ok_or_else(|| StepError::permanent(format!("there is no app {name} any more")))?;
    app.promoted = placement.schema_version;
    Ok(app.into_promoted())
}

/// A change of state with the end of the step; none if it was made already.
fn turn(work: &Work<Move>, placement: &Placement, state: PlacementState) {
    if let Some(transition) = placement.state.to(state) {
        work.change_placement(PlacementChange {
            epoch: placement.epoch,
            transition: Some(transition),
            schema_version: None,
        });
    }
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

async fn target_if_any(work: &Work<Move>) -> Result<Option<PlacedAt>, StepError> {
    match work.state().to {
        Some(to) => work.placed_at(to).await,
        // Recorded by a worker that died before it could record the step.
        None => work.placed_preparing().await,
    }
}

async fn both(work: &Work<Move>) -> Result<(PlacedAt, PlacedAt), StepError> {
    let from = source(work).await?;
    let to = work.placed_at(epoch(work.state().to)?).await?.ok_or_else(gone)?;
    Ok((from, to))
}
