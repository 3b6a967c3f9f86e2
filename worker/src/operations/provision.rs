//! Provision: makes a tenant's role, schema or database, tables and default data, and begins to serve it.
//!
//! Its point of no return is its end, which makes the tenant active: from then on data may be in it. Undone
//! before, the tenant is `failed`.

use secrecy::{ExposeSecret, SecretString};
use tenantry_domain::{
    app::{App, AppVersion},
    connection::Connection,
    operation::{OperationKind, ProvisionState},
    placement::Placement,
    plan::Tier,
    purpose::Purpose,
    tenant::TenantPhase,
    user::FirstOwner,
};
use tenantry_postgres::admin::{RoleLimits, RoleSpec, verifier};
use tenantry_registry::{Changes, PlaceError, PlaceRequest, Placed, StatusChange, WarmKind, WarmTenant};

use super::{own_server, placements, steps::ignore_foreign, users};
use crate::{
    engine::{Definition, Done, RunFn, Sequence, StepResult, TenantSubject, Work},
    password::password,
    servers::Server,
    step,
    step_error::StepError,
    undo,
    warm_kind::fingerprint,
};

pub(super) struct Provision;

impl Definition for Provision {
    const KIND: OperationKind = OperationKind::Provision;
    type Subject = TenantSubject;
    /// Who is invited to be the tenant's first user.
    type Input = Option<Box<FirstOwner>>;
    type State = ProvisionState;
}

pub(super) fn define(tier: Tier) -> Sequence<Provision> {
    let sequence = Sequence::new("the tenant is served")
        .when_done(|work| Changes {
            status: Some(StatusChange::To(TenantPhase::Active)),
            placements: work.serving().into_iter().collect(),
            ..Changes::default()
        })
        .when_undone(|_| Changes {
            status: Some(StatusChange::To(TenantPhase::Failed)),
            ..Changes::default()
        });
    match tier {
        Tier::Schema => sequence
            .step(step!(place, "choosing a server").undo(undo!(forget_placement)))
            .step(step!(create_schema, "making the tenant's schema").undo(undo!(drop_schema))),
        Tier::Database => sequence
            .step(step!(place, "choosing a server").undo(undo!(forget_placement)))
            .step(step!(create_database, "taking a database").undo(undo!(drop_database)))
            .step(step!(adopt_schema, "giving the tables to the tenant")),
        Tier::Instance => sequence
            .step(step!(order_server, "making a server of the tenant's own").undo(undo!(give_server_back)))
            .step(step!(place, "choosing a server").undo(undo!(forget_placement)))
            .step(step!(create_database, "taking a database").undo(undo!(drop_database)))
            .step(step!(adopt_schema, "giving the tables to the tenant")),
    }
}

async fn order_server(work: &Work<Provision>) -> StepResult {
    own_server::order(work, None, work.subject.plan.server_class.clone()).await
}

async fn give_server_back(work: &Work<Provision>) -> Result<(), StepError> {
    own_server::give_back(work).await
}

/// Chooses a server by capacity, state and health, and a login of the data plane on it; makes the role's
/// password. Where there is a warm tenant, it takes that.
async fn place(work: &Work<Provision>) -> StepResult {
    // Recorded by a worker that died before it could record the step.
    if work.placement().is_some() {
        return Ok(Done::Now);
    }
    let warm = take_warm(work).await?;
    choose(work, warm).await
}

/// Records a placement: that of a warm tenant, or on the server with most room.
async fn choose(work: &Work<Provision>, warm: Option<(WarmTenant, String)>) -> StepResult {
    let (registry, tenant) = (&work.resources.registry, work.tenant());
    let app = work.app().await?;
    let (warm, warm_fingerprint) = warm.unzip();
    let password = match &warm {
        Some(warm) => warm_password(work, warm)?,
        None => password(),
    };
    let state = ProvisionState {
        warm: warm.as_ref().map(|warm| warm.name.clone()),
        warm_fingerprint,
        ..work.state()
    };
    let class = work.subject.plan.server_class.clone();
    let request = PlaceRequest {
        tier: work.subject.plan.tier,
        name: tenant.slug.object_name(),
        role_password: work.data_key()?.seal(
            &Purpose::RolePassword(tenant.id).to_string(),
            password.expose_secret().as_bytes(),
            &mut rand::rng(),
        ),
        region: None,
        connection: connection(work, app),
        tenants_per_login: work.resources.settings.tenants_per_login,
        warm: warm.map(|warm| (warm.server_id, warm.login)),
        server: state.own.server,
        not_server: None,
        class: class.clone(),
        durable_state: serde_json::to_value(&state).expect("states are plain data"),
    };
    // Hashed meanwhile, for the server is to be given nothing else. A warm tenant's role has its password.
    let verifier =
        async { if request.warm.is_some() { password.clone() } else { verifier(&password).await } };
    let (placed, verifier) =
        tokio::join!(placements::choose(&work.resources, &work.lease, &request), verifier);
    let placed = match placed? {
        // The warm tenant's server is full or away by now; another may do.
        Err(PlaceError::NoRoom(_) | PlaceError::Unreachable(..)) if request.warm.is_some() => {
            registry.warm_give_back(&work.lease).await?;
            return Box::pin(choose(work, None)).await;
        }
        chosen => chosen,
    };
    let placed = match placed {
        Err(full @ PlaceError::NoRoom(_)) => {
            return own_server::instead(work, request.tier, class, full).await;
        }
        placed => placed.map_err(place_error)?,
    };
    match placed {
        Placed::Now(placement, revision) => {
            work.set_placement(Some((placement, revision)));
            work.set_role_password(verifier);
            work.set_stored_state(state);
            work.set_untouched();
        }
        // By an earlier try of this lease whose answer got lost: it has a password, and perhaps a warm tenant, of
        // its own.
        Placed::Before(placement, revision) => {
            let stored = registry.operation_get(work.lease.operation.id).await?;
            let state = stored.map(|operation| operation.durable_state).unwrap_or_default();
            work.set_stored_state(serde_json::from_value(state).unwrap_or_default());
            work.set_placement(Some((placement, revision)));
        }
    }
    Ok(Done::Now)
}

async fn forget_placement(work: &Work<Provision>) -> Result<(), StepError> {
    give_up_placement(work, false).await
}

/// `untouched`: nothing was tried there.
async fn give_up_placement(work: &Work<Provision>, untouched: bool) -> Result<(), StepError> {
    if let Some(placement) = work.placement() {
        let state = ProvisionState { warm: None, ..work.state() };
        let stored = serde_json::to_value(&state).expect("states are plain data");
        work.resources.registry.placement_forget(&work.lease, placement.epoch, untouched, &stored).await?;
        work.set_placement(None);
        work.set_stored_state(state);
    }
    Ok(())
}

pub(super) fn place_error(error: PlaceError) -> StepError {
    match error {
        PlaceError::LeaseLost(lost) => lost.into(),
        PlaceError::Registry(error) => error.into(),
        error @ PlaceError::Unreachable(..) => {
            let message = error.to_string();
            StepError::ServerAway { server: None, message, unsent: true, known: true }
        }
        error @ PlaceError::NoRoom(_) => StepError::permanent(error.to_string()),
        error @ PlaceError::NoLogin(_) => StepError::transient(error.to_string()),
    }
}

/// A warm tenant of the plan's tier, if there is one, and what it was made from.
async fn take_warm(work: &Work<Provision>) -> Result<Option<(WarmTenant, String)>, StepError> {
    if work.subject.plan.tier != Tier::Schema || work.resources.settings.warm_tenants == 0 {
        return Ok(None);
    }
    let app = work.app().await?;
    // There may be one left of a time when its login was shared.
    if connection(work, app) == Connection::Own {
        return Ok(None);
    }
    let fingerprint = kind_of_warm(work, app)?;
    let kind = WarmKind { app: &app.name, fingerprint: &fingerprint, tier: Tier::Schema };
    let warm = work.resources.registry.warm_take(&work.lease, kind).await?;
    Ok(warm.map(|warm| (warm, fingerprint)))
}

/// Of warm tenants from which the app's tenants are made.
fn kind_of_warm(work: &Work<Provision>, app: &App) -> Result<String, StepError> {
    fingerprint(app, &work.resources.settings.label)
}

fn connection(work: &Work<Provision>, app: &App) -> Connection {
    let plan = &work.subject.plan;
    Connection::of(app, plan.tier, &plan.database)
}

/// The password that a warm tenant's role has.
fn warm_password(work: &Work<Provision>, warm: &WarmTenant) -> Result<SecretString, StepError> {
    let purpose = Purpose::WarmRole(warm.server_id, &warm.name).to_string();
    let opened = work.resources.kek.open_text(&purpose, &warm.password);
    opened.map_err(|error| StepError::permanent(error.to_string()))
}

/// Makes the tenant's role, schema, tables and default data in the shared database, in one transaction; or names
/// the warm tenant that has them.
async fn create_schema(work: &Work<Provision>) -> StepResult {
    where_possible(work, |work| Box::pin(make_schema(work))).await
}

/// Makes the tenant where it was placed; elsewhere, if nobody gets in there and nothing was made of it yet.
async fn where_possible(work: &Work<Provision>, make: RunFn<Provision>) -> StepResult {
    loop {
        // It may have waited for any server, after the one that it had was given up.
        if work.placement().is_none()
            && let pending @ Done::Pending { .. } = place(work).await?
        {
            return Ok(pending);
        }
        let untouched = work.take_untouched();
        match make(work).await {
            Err(StepError::ServerAway { server: Some(server), message, unsent: true, .. }) if untouched => {
                work.resources.servers.forget(server);
                give_up_placement(work, true).await?;
                // After what only the lease's holder can do: one that was frozen may have missed the answer.
                work.resources.note_away(server, &message, false).await;
            }
            // Placed when its turn comes, where there is room then.
            Err(busy @ StepError::ServerBusy(_)) if untouched => {
                give_up_placement(work, true).await?;
                return Err(busy);
            }
            result => return result,
        }
    }
}

async fn make_schema(work: &Work<Provision>) -> StepResult {
    let (placement, server) = work.placed().await?;
    let app = work.app().await?;
    work.resources.ensure_login(&server, &placement.login).await?;
    users::prepare(&work.resources, &server, work.tenant().id, app).await?;
    let owner = work.owner(&placement);
    let state = work.state();
    if let Some(warm) = state.warm {
        let label = &work.resources.settings.label;
        if state.warm_fingerprint != Some(kind_of_warm(work, app)?) {
            // The app has changed since the warm tenant was taken.
            server.call(server.admin.drop_taken_warm_tenant(&warm, label, owner.fence)).await?;
        } else if server.call(server.admin.name_warm_tenant(owner, &role_limits(work), &warm, label)).await? {
            note_made(work, &placement, app, app.version());
            invite_admin(work, &placement, &server).await?;
            return Ok(Done::Now);
        }
        tracing::info!(
            "warm tenant {warm} has its name already, or is none of the app any more; making what is missing"
        );
    }
    let secret = work.role_password(&placement).await?;
    let role = role(work, &placement, &secret);
    server.call(server.admin.ensure_extensions(&placement.database, &app.manifest.extensions)).await?;
    let report = server.call(server.admin.create_schema(owner, &role, app)).await?;
    note_made(work, &placement, app, report.to);
    invite_admin(work, &placement, &server).await?;
    Ok(Done::Now)
}

fn note_made(work: &Work<Provision>, placement: &Placement, app: &App, version: Option<AppVersion>) {
    work.note_tables(placement, version, app.manifest.registration.is_some());
}

/// Invites the tenant's first user, if it was said who that is.
async fn invite_admin(
    work: &Work<Provision>,
    placement: &Placement,
    server: &Server,
) -> Result<(), StepError> {
    match &work.input {
        Some(admin) => users::invite(work, placement, server, admin).await,
        None => Ok(()),
    }
}

/// What the tenant's own sessions are held to.
fn role_limits(work: &Work<Provision>) -> RoleLimits {
    RoleLimits::of(&work.subject.plan.database, work.resources.settings.tenant_connections)
}

/// What the tenant's role is to be.
fn role<'a>(work: &Work<Provision>, placement: &'a Placement, secret: &'a SecretString) -> RoleSpec<'a> {
    RoleSpec { secret, login: &placement.login, limits: role_limits(work), may_log_in: true }
}

async fn drop_schema(work: &Work<Provision>) -> Result<(), StepError> {
    let Some((placement, server)) = work.placed_if_any().await? else { return Ok(()) };
    let owner = work.owner(&placement);
    let drop = async {
        ignore_foreign(server.admin.drop_schema(owner).await)?;
        ignore_foreign(server.admin.drop_role(owner).await)?;
        match work.state().warm {
            // Taken, and not named yet.
            Some(warm) => {
                let label = &work.resources.settings.label;
                server.admin.drop_taken_warm_tenant(&warm, label, owner.fence).await
            }
            None => Ok(()),
        }
    };
    server.call(drop).await
}

/// Makes the tenant's role, and its database from the template of the app's promoted version, default data
/// included: a warm copy where there is one.
async fn create_database(work: &Work<Provision>) -> StepResult {
    where_possible(work, |work| Box::pin(make_database(work))).await
}

async fn make_database(work: &Work<Provision>) -> StepResult {
    let (placement, server) = work.placed().await?;
    let app = work.app().await?;
    work.resources.ensure_login(&server, &placement.login).await?;
    users::prepare(&work.resources, &server, work.tenant().id, app).await?;
    let secret = work.role_password(&placement).await?;
    let role = role(work, &placement, &secret);
    let label = &work.resources.settings.label;
    server.call(server.admin.create_database(work.owner(&placement), &role, app, label)).await?;
    Ok(Done::Now)
}

async fn drop_database(work: &Work<Provision>) -> Result<(), StepError> {
    if own_server::ordered(work).is_some() {
        // It goes with the server.
        return Ok(());
    }
    let Some((placement, server)) = work.placed_if_any().await? else { return Ok(()) };
    let owner = work.owner(&placement);
    let drop = async {
        ignore_foreign(server.admin.drop_database(owner).await)?;
        ignore_foreign(server.admin.drop_role(owner).await)
    };
    server.call(drop).await
}

/// Gives the template's tables in the new database to the tenant, and records their version. Undone
/// with the database.
async fn adopt_schema(work: &Work<Provision>) -> StepResult {
    let (placement, server) = work.placed().await?;
    let app = work.app().await?;
    let adopt = server.admin.adopt_schema(work.owner(&placement), &placement.login, app);
    let report = server.call(adopt).await?;
    note_made(work, &placement, app, report.to);
    invite_admin(work, &placement, &server).await?;
    Ok(Done::Now)
}
