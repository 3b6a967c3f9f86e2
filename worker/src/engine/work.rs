//! What steps work with: the operation, its subject, the worker's resources.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use secrecy::SecretString;
use tenantry_domain::{
    app::{App, AppVersion},
    envelope::Key,
    ids::ServerId,
    placement::{Epoch, Placement, PlacementState},
    plan::{Plan, PlanName},
    purpose::Purpose,
    tenant::Tenant,
};
use tenantry_postgres::admin::{Fence, Owner, Transferred};
use tenantry_registry::{
    AppStamp, Changes, Lease, PlacementChange, PlacementWithServer, StatusChange, TenantWithPlan,
};
use tokio::sync::{Notify, OnceCell};
use tokio_util::sync::CancellationToken;

use super::Definition;
use crate::{Resources, servers::Server, slots::Slot, step_error::StepError};

/// What goes between a running step and the outside.
#[derive(Debug, Default)]
pub struct Signals {
    /// Somebody asked to cancel.
    pub(super) cancel: CancellationToken,
    /// Share of the step that is done, and what it does now; not written yet.
    pub(super) progress: Mutex<Option<(f32, String)>>,
    pub(super) progressed: Notify,
    /// Which step runs, of how many.
    position: Mutex<(usize, usize)>,
}

impl Signals {
    pub(super) fn at_step(&self, index: usize, of: usize) {
        *held(&self.position) = (index, of);
    }

    /// The share of the operation that is done when this share of the step that runs is.
    #[expect(clippy::cast_precision_loss, reason = "operations have a handful of steps")]
    pub(super) fn of_all(&self, share: f32) -> f32 {
        let (index, of) = *held(&self.position);
        ((index as f32 + share.clamp(0.0, 1.0)) / of.max(1) as f32).clamp(0.0, 1.0)
    }
}

/// What a step works with.
pub struct Work<D: Definition> {
    /// The right to work on the operation.
    pub lease: Lease,
    /// What the operation is given.
    pub input: D::Input,
    /// What it works on.
    pub subject: D::Subject,
    /// The worker's resources.
    pub resources: Arc<Resources>,
    pub(super) signals: Signals,
    state: Mutex<D::State>,
    changes: Mutex<Changes>,
    server: Mutex<Option<ServerId>>,
    slot: Mutex<Option<Slot>>,
}

fn held<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<D: Definition> Work<D> {
    /// For a leased operation.
    ///
    /// # Errors
    /// What its earlier steps wrote down cannot be read.
    pub fn new(
        lease: Lease,
        input: D::Input,
        subject: D::Subject,
        resources: Arc<Resources>,
    ) -> Result<Self, StepError> {
        let state = serde_json::from_value(lease.operation.durable_state.clone()).map_err(|error| {
            StepError::permanent(format!(
                "the state of operation {} cannot be read: {error}",
                lease.operation.id
            ))
        })?;
        Ok(Self {
            lease,
            input,
            subject,
            resources,
            signals: Signals::default(),
            state: Mutex::new(state),
            changes: Mutex::default(),
            server: Mutex::default(),
            slot: Mutex::default(),
        })
    }

    /// What steps have written down.
    pub fn state(&self) -> D::State {
        held(&self.state).clone()
    }

    /// Writes something down for later steps; recorded with the end of the step, under the fence.
    pub fn update_state(&self, update: impl FnOnce(&mut D::State)) {
        let mut state = held(&self.state);
        update(&mut state);
        let value = serde_json::to_value(&*state).expect("states are plain data");
        held(&self.changes).durable_state = Some(value);
    }

    /// The state as it is stored, for a step that writes it together with something else.
    pub fn set_stored_state(&self, state: D::State) {
        *held(&self.state) = state;
    }

    /// Says how far the running step is (0 to 1) and what it does. Overwrites what was said before; written
    /// a few times a second at most.
    pub fn progress(&self, share: f32, message: impl Into<String>) {
        *held(&self.signals.progress) = Some((share, message.into()));
        self.signals.progressed.notify_one();
    }

    /// Whether somebody asked to cancel, for a step that takes long.
    pub fn cancelled(&self) -> &CancellationToken {
        &self.signals.cancel
    }

    /// Changes the tenant's status with the end of the step.
    pub fn change_status(&self, status: StatusChange) {
        held(&self.changes).status = Some(status);
    }

    /// Changes the tenant's plan with the end of the step.
    pub fn change_plan(&self, plan: PlanName) {
        held(&self.changes).plan = Some(plan);
    }

    /// Changes a placement with the end of the step.
    pub fn change_placement(&self, change: PlacementChange) {
        held(&self.changes).change_placement(change);
    }

    pub(super) fn has_changes(&self) -> bool {
        *held(&self.changes) != Changes::default()
    }

    pub(super) fn take_changes(&self) -> Changes {
        std::mem::take(&mut *held(&self.changes))
    }

    pub(super) fn forget_changes(&self) {
        let mut changes = held(&self.changes);
        let durable_state = changes.durable_state.take();
        *changes = Changes { durable_state, ..Changes::default() };
    }

    pub(super) fn server_id(&self) -> Option<ServerId> {
        *held(&self.server)
    }

    fn works_on(&self, server: ServerId) {
        *held(&self.server) = Some(server);
    }

    /// Takes one of the server's slots, for as long as this worker has the operation, or works on that server.
    async fn take_slot(&self, server: ServerId) -> Result<(), StepError> {
        if held(&self.slot).as_ref().is_some_and(|slot| slot.server == server) {
            return Ok(());
        }
        // The one on another server first, so that no two operations wait for each other's.
        held(&self.slot).take();
        let slot = self.resources.slots.take(D::KIND.lane(), server).await;
        *held(&self.slot) = Some(slot.ok_or(StepError::ServerBusy(server))?);
        Ok(())
    }
}

/// A tenant, as it was when the worker took the operation.
pub struct TenantSubject {
    /// The tenant.
    pub tenant: Tenant,
    /// Its plan.
    pub plan: Plan,
    wrapped_data_key: Vec<u8>,
    mark: String,
    /// Where its data is, or is being made, and the revision of that server.
    placement: Mutex<Option<(Placement, i64)>>,
    /// The server that was away when the worker took the operation, and why.
    away: Option<(ServerId, String)>,
    /// It was placed by this attempt, and nothing was tried there.
    untouched: AtomicBool,
    app_stamp: AppStamp,
    app: OnceCell<Arc<App>>,
    role_password: Mutex<Option<SecretString>>,
    /// Sessions that a step of a move has left to the next, and the server that it goes to.
    transferred: Mutex<Option<(Transferred, Arc<Server>)>>,
}

impl TenantSubject {
    /// From what the registry has.
    pub fn new(tenant: TenantWithPlan) -> Self {
        let TenantWithPlan {
            details,
            plan,
            wrapped_data_key,
            server_revision,
            server_unreachable,
            app_stamp,
        } = tenant;
        let server = details.placement.as_ref().map(|placement| placement.server_id);
        Self {
            mark: Resources::owner_mark(details.tenant.id),
            tenant: details.tenant,
            plan,
            wrapped_data_key,
            placement: Mutex::new(details.placement.zip(server_revision)),
            away: server.zip(server_unreachable),
            untouched: AtomicBool::new(false),
            app_stamp,
            app: OnceCell::new(),
            role_password: Mutex::default(),
            transferred: Mutex::default(),
        }
    }
}

/// A placement and its server, ready to be worked on.
pub(crate) struct PlacedAt {
    pub(crate) placement: Placement,
    /// The role's password, sealed with the tenant's data key.
    pub(crate) role_password: Vec<u8>,
    pub(crate) server: Arc<Server>,
}

impl PlacedAt {
    /// Reaches the server of a placement, unless it is known to be away.
    pub(crate) async fn reach(resources: &Resources, known: PlacementWithServer) -> Result<Self, StepError> {
        let PlacementWithServer { placement, role_password, server_revision, server_unreachable } = known;
        if let Some(message) = server_unreachable {
            let server = Some(placement.server_id);
            return Err(StepError::ServerAway { server, message, unsent: true, known: true });
        }
        let server = resources.servers.get(placement.server_id, server_revision).await?;
        Ok(Self { placement, role_password, server })
    }
}

/// Steps on a tenant.
impl<D: Definition<Subject = TenantSubject>> Work<D> {
    /// The tenant.
    pub fn tenant(&self) -> &Tenant {
        &self.subject.tenant
    }

    /// The tenant's app as new tenants get it, as it was when the worker took the operation, with at least
    /// one version: one operation sees one version of it.
    pub(crate) async fn app(&self) -> Result<&Arc<App>, StepError> {
        self.subject
            .app
            .get_or_try_init(async || {
                let app = self.resources.apps.get(&self.tenant().app, self.subject.app_stamp).await?;
                app.filter(|app| !app.migrations.is_empty()).ok_or_else(|| {
                    StepError::permanent(format!(
                        "app {} has no version; push one and retry",
                        self.tenant().app
                    ))
                })
            })
            .await
    }

    /// The key that the tenant's secrets are sealed with.
    pub(crate) fn data_key(&self) -> Result<Key, StepError> {
        self.resources
            .kek
            .unwrap(&Purpose::DataKey(self.tenant().id).to_string(), &self.subject.wrapped_data_key)
            .map_err(|error| StepError::permanent(error.to_string()))
    }

    /// Notes the password that was stored with the placement, so that it need not be read back.
    pub(crate) fn set_role_password(&self, password: SecretString) {
        *held(&self.subject.role_password) = Some(password);
    }

    /// The password of the tenant's role, or its verifier: as noted, or from the registry.
    pub(crate) async fn role_password(&self, placement: &Placement) -> Result<SecretString, StepError> {
        let noted = held(&self.subject.role_password).clone();
        if let Some(password) = noted {
            return Ok(password);
        }
        let id = self.tenant().id;
        let sealed = self
            .resources
            .registry
            .placement_credentials(id, placement.epoch)
            .await?
            .ok_or_else(|| StepError::permanent("the tenant has no placement"))?;
        self.data_key()?
            .open_text(&Purpose::RolePassword(id).to_string(), &sealed.password)
            .map_err(|error| StepError::permanent(error.to_string()))
    }

    /// Where the tenant's data is, or is being made.
    pub fn placement(&self) -> Option<Placement> {
        held(&self.subject.placement).as_ref().map(|(placement, _)| placement.clone())
    }

    /// Notes where the tenant's data is from now on, with the revision of that server.
    pub(crate) fn set_placement(&self, placement: Option<(Placement, i64)>) {
        // Each placement has a password of its own.
        *held(&self.subject.role_password) = None;
        *held(&self.subject.placement) = placement;
    }

    /// Notes that the tenant was placed just now: nothing was made of it anywhere.
    pub(crate) fn set_untouched(&self) {
        self.subject.untouched.store(true, Ordering::Relaxed);
    }

    /// Whether nothing was tried at the tenant's placement until now. True once.
    pub(crate) fn take_untouched(&self) -> bool {
        self.subject.untouched.swap(false, Ordering::Relaxed)
    }

    /// Where the tenant's data is, and that server; none if it has no placement (its provisioning failed). One that
    /// is known to be away is not tried: whoever looks at servers finds it back.
    pub(crate) async fn placed_if_any(&self) -> Result<Option<(Placement, Arc<Server>)>, StepError> {
        let Some((placement, revision)) = held(&self.subject.placement).clone() else { return Ok(None) };
        self.works_on(placement.server_id);
        if let Some((server, error)) = &self.subject.away
            && *server == placement.server_id
        {
            let (server, message) = (Some(*server), error.clone());
            return Err(StepError::ServerAway { server, message, unsent: true, known: true });
        }
        self.take_slot(placement.server_id).await?;
        let server = self.resources.servers.get(placement.server_id, revision).await?;
        Ok(Some((placement, server)))
    }

    /// As [`Work::placed_if_any`]; an error if it has no placement.
    pub(crate) async fn placed(&self) -> Result<(Placement, Arc<Server>), StepError> {
        self.placed_if_any()
            .await?
            .ok_or_else(|| StepError::permanent("the tenant has no placement; retry its provisioning"))
    }

    /// One of the tenant's placements, and its server; none if it is not registered. Takes no slot: an operation that
    /// works on two servers at a time would wait for others that do.
    pub(crate) async fn placed_at(&self, epoch: Epoch) -> Result<Option<PlacedAt>, StepError> {
        let known = self.resources.registry.placement_get(self.tenant().id, epoch).await?;
        let Some(known) = known else { return Ok(None) };
        self.works_on(known.placement.server_id);
        PlacedAt::reach(&self.resources, known).await.map(Some)
    }

    /// As [`Work::placed_at`], where connections to the server are held: one that has to be prepared would wait for another.
    /// Also where the server is known to be away.
    pub(crate) async fn placed_at_unprepared(&self, epoch: Epoch) -> Result<Option<PlacedAt>, StepError> {
        let known = self.resources.registry.placement_get(self.tenant().id, epoch).await?;
        let Some(PlacementWithServer { placement, role_password, server_revision, .. }) = known else {
            return Ok(None);
        };
        let server = self.resources.servers.unprepared(placement.server_id, server_revision).await?;
        Ok(Some(PlacedAt { placement, role_password, server }))
    }

    /// Keeps the sessions of a move for its next step, with the server that it goes to. They go with the attempt.
    pub(crate) fn keep_transferred(&self, sessions: Transferred, to: Arc<Server>) {
        *held(&self.subject.transferred) = Some((sessions, to));
    }

    /// Gives what [`Work::keep_transferred`] keeps.
    pub(crate) fn take_transferred(&self) -> Option<(Transferred, Arc<Server>)> {
        held(&self.subject.transferred).take()
    }

    /// The proof that this attempt may act on the tenant.
    pub(crate) fn fence(&self) -> Fence {
        Fence { subject: self.tenant().id.as_uuid().as_u128(), token: self.lease.fence() }
    }

    /// The owner of the tenant's objects at a placement, for this attempt.
    pub(crate) fn owner<'a>(&'a self, placement: &'a Placement) -> Owner<'a> {
        Owner { name: placement.role(), mark: &self.subject.mark, fence: Some(self.fence()) }
    }

    /// Records the version that the tenant's tables have, with the end of the step.
    pub(crate) fn note_schema_version(&self, placement: &Placement, version: Option<AppVersion>) {
        self.note_tables(placement, version, false);
    }

    /// Records the version of tables that were made, and whether those of users were, with the end of the step.
    pub(crate) fn note_tables(&self, placement: &Placement, version: Option<AppVersion>, has_users: bool) {
        self.change_placement(PlacementChange {
            epoch: placement.epoch,
            transition: None,
            schema_version: version,
            has_users,
        });
    }

    /// That the tenant is served from its placement; none if it is already.
    pub(crate) fn serving(&self) -> Option<PlacementChange> {
        self.placement().and_then(|placement| {
            let transition = placement.state.to(PlacementState::Serving)?;
            Some(PlacementChange {
                epoch: placement.epoch,
                transition: Some(transition),
                schema_version: None,
                has_users: false,
            })
        })
    }
}

/// A server, for operations that need no more of it than its id.
#[derive(Debug, Clone, Copy)]
pub struct ServerSubject {
    /// Which.
    pub id: ServerId,
}
