//! What an operation is made of.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use secrecy::SecretString;
use tenantry_domain::{
    app::{App, AppVersion},
    envelope::Key,
    operation::OperationKind,
    placement::Placement,
    plan::Plan,
    purpose::Purpose,
    tenant::{Tenant, TenantPhase, TenantStatus},
};
use tenantry_registry::{Lease, TenantWithPlan};
use tokio::sync::OnceCell;

use super::StepError;
use crate::{Resources, servers::Server};

/// One idempotent piece of work: run twice in a row, it leaves the same state as once.
#[async_trait]
pub trait Step: Send + Sync {
    /// Its stable name, e.g. `create_role`.
    fn name(&self) -> &'static str;

    /// What it does, for a person, e.g. `making the tenant's role`.
    fn doing(&self) -> &'static str;

    /// Does it.
    async fn run(&self, work: &Work) -> Result<(), StepError>;

    /// Takes it back, also when it ran half or not at all. Not called past the point of no return.
    async fn undo(&self, work: &Work) -> Result<(), StepError> {
        let _ = work;
        Ok(())
    }
}

/// An operation as a sequence of steps.
pub struct Definition {
    /// Which operation.
    pub kind: OperationKind,
    /// Its steps, in order.
    pub steps: Vec<Box<dyn Step>>,
    /// From this step on (its index) it only rolls forward; the number of steps: from its end on.
    pub no_return: usize,
    /// The tenant's phase when it went well, set together with its end; none: as the steps left it.
    pub phase_when_done: Option<TenantPhase>,
    /// The tenant's phase when it failed or was cancelled and is undone; none: as the steps left it.
    pub phase_when_undone: Option<TenantPhase>,
    /// The last line of its story when it went well.
    pub done: &'static str,
}

/// What a step works with: the operation, the tenant and the worker's resources.
pub struct Work {
    /// The right to work on the operation.
    pub lease: Lease,
    /// The tenant as it was when the worker took the operation.
    pub tenant: Tenant,
    /// Its plan.
    pub plan: Plan,
    /// The worker's resources.
    pub resources: Arc<Resources>,
    wrapped_data_key: Vec<u8>,
    placement: Mutex<Option<Placement>>,
    app: OnceCell<Arc<App>>,
    role_password: OnceLock<SecretString>,
    schema_version: Mutex<Option<AppVersion>>,
}

impl Work {
    pub(super) fn new(lease: Lease, tenant: TenantWithPlan, resources: Arc<Resources>) -> Self {
        let TenantWithPlan { details, plan, wrapped_data_key } = tenant;
        Self {
            lease,
            tenant: details.tenant,
            plan,
            resources,
            wrapped_data_key,
            placement: Mutex::new(details.placement),
            app: OnceCell::new(),
            role_password: OnceLock::new(),
            schema_version: Mutex::default(),
        }
    }

    /// The tenant's app as it was when a step first asked, with at least one version: one operation
    /// sees one version of it.
    pub(crate) async fn app(&self) -> Result<&Arc<App>, StepError> {
        self.app
            .get_or_try_init(async || {
                let app = self.resources.apps.get(&self.tenant.app).await?;
                app.filter(|app| !app.migrations.is_empty()).ok_or_else(|| {
                    StepError::permanent(format!(
                        "app {} has no version; push one and retry",
                        self.tenant.app
                    ))
                })
            })
            .await
    }

    /// The key that the tenant's secrets are sealed with.
    pub(crate) fn data_key(&self) -> Result<Key, StepError> {
        self.resources
            .kek
            .unwrap(&Purpose::DataKey(self.tenant.id).to_string(), &self.wrapped_data_key)
            .map_err(|error| StepError::permanent(error.to_string()))
    }

    /// Notes the password that the tenant's role is to have, so that it need not be read back.
    pub(crate) fn set_role_password(&self, password: SecretString) {
        // A second run of the step made another one; the first is the one that is stored.
        let _ = self.role_password.set(password);
    }

    /// The password of the tenant's role: as noted, or from the registry.
    pub(crate) async fn role_password(&self) -> Result<SecretString, StepError> {
        if let Some(password) = self.role_password.get() {
            return Ok(password.clone());
        }
        let sealed = self
            .resources
            .registry
            .placement_credentials(self.tenant.id)
            .await?
            .ok_or_else(|| StepError::permanent("the tenant has no placement"))?;
        self.data_key()?
            .open_text(&Purpose::RolePassword(self.tenant.id).to_string(), &sealed.password)
            .map_err(|error| StepError::permanent(error.to_string()))
    }

    /// Notes the version that the tenant's tables have now; it is recorded with the step.
    pub(crate) fn note_schema_version(&self, version: Option<AppVersion>) {
        *self.schema_version.lock().unwrap_or_else(PoisonError::into_inner) = version;
    }

    /// The version that a step has noted since the last call.
    pub(super) fn take_schema_version(&self) -> Option<AppVersion> {
        self.schema_version.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Where the tenant's data is, or is being made.
    pub fn placement(&self) -> Option<Placement> {
        self.placement.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes where the tenant's data is from now on.
    pub(crate) fn set_placement(&self, placement: Option<Placement>) {
        *self.placement.lock().unwrap_or_else(PoisonError::into_inner) = placement;
    }

    /// Where the tenant's data is, and that server; an error if it has no placement.
    pub(crate) async fn placed(&self) -> Result<(Placement, Arc<Server>), StepError> {
        let placement = self
            .placement()
            .ok_or_else(|| StepError::permanent("the tenant has no placement; retry its provisioning"))?;
        let server = self.resources.servers.get(placement.server_id).await?;
        Ok((placement, server))
    }

    /// The tenant's status when the operation was asked for: what undoing goes back to.
    pub(crate) fn status_before(&self) -> TenantStatus {
        let input = &self.lease.operation.input;
        let text = |key: &str| input.get(key).and_then(serde_json::Value::as_str);
        let purge_at = text("fromPurgeAt").and_then(|at| at.parse::<DateTime<Utc>>().ok());
        text("from")
            .and_then(|phase| phase.parse::<TenantPhase>().ok())
            .and_then(|phase| phase.with(purge_at).ok())
            .unwrap_or(self.tenant.status)
    }

    /// The mark on the tenant's objects.
    pub(crate) fn owner_mark(&self) -> String {
        Resources::owner_mark(self.tenant.id)
    }
}
