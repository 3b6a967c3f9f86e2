//! What handlers are given, split so that each takes only what it uses.

use std::sync::Arc;

use axum::extract::FromRef;
use tenantry_dns::{SystemResolver, TxtResolver};
use tenantry_domain::{Clock, envelope};
use tenantry_registry::Registry;

use crate::{
    Settings,
    auth::{KeyRing, OperatorIssuer},
    catalogue::Catalogue,
    operation_watch::OperationWatch,
    signup_gate::SignupGate,
    use_cases::{
        ask_worker::AskWorker, create_tenant::CreateTenant, move_tenant::MoveTenant,
        start_operation::StartOperation, start_rollout::StartRollout,
    },
    vault::Vault,
};

/// Everything handlers may ask for, by its type.
#[derive(Clone, FromRef)]
pub(crate) struct ApiState {
    pub(crate) registry: Registry,
    pub(crate) vault: Vault,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) watch: OperationWatch,
    pub(crate) catalogue: Catalogue,
    pub(crate) keys: KeyRing,
    pub(crate) operators: Option<OperatorIssuer>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) signup: Option<Arc<SignupGate>>,
    pub(crate) resolver: Arc<dyn TxtResolver>,
    pub(crate) ask: AskWorker,
}

impl ApiState {
    pub(crate) fn new(
        registry: Registry,
        kek: envelope::Key,
        clock: Arc<dyn Clock>,
        settings: Settings,
    ) -> Self {
        Self {
            vault: Vault::new(kek),
            watch: OperationWatch::new(registry.clone()),
            ask: AskWorker::new(registry.clone(), Arc::clone(&clock)),
            catalogue: Catalogue::new(registry.clone()),
            keys: KeyRing::new(registry.clone(), Arc::clone(&clock)),
            operators: settings
                .operators
                .clone()
                .map(|operators| OperatorIssuer::new(operators, Arc::clone(&clock))),
            signup: settings.signup.clone().map(|settings| Arc::new(SignupGate::new(settings))),
            settings: Arc::new(settings),
            resolver: Arc::new(SystemResolver::default()),
            clock,
            registry,
        }
    }
}

// Here and not beside the use cases, which know nothing of axum.

impl FromRef<ApiState> for CreateTenant {
    fn from_ref(state: &ApiState) -> Self {
        Self {
            registry: state.registry.clone(),
            vault: state.vault.clone(),
            clock: Arc::clone(&state.clock),
            watch: state.watch.clone(),
            catalogue: state.catalogue.clone(),
            settings: Arc::clone(&state.settings),
        }
    }
}

impl FromRef<ApiState> for MoveTenant {
    fn from_ref(state: &ApiState) -> Self {
        Self {
            registry: state.registry.clone(),
            catalogue: state.catalogue.clone(),
            start: StartOperation::from_ref(state),
            ask: state.ask.clone(),
            undo_for: state.settings.undo_moves_for,
        }
    }
}

impl FromRef<ApiState> for StartRollout {
    fn from_ref(state: &ApiState) -> Self {
        Self {
            registry: state.registry.clone(),
            clock: Arc::clone(&state.clock),
            watch: state.watch.clone(),
            catalogue: state.catalogue.clone(),
            ask: state.ask.clone(),
        }
    }
}

impl FromRef<ApiState> for StartOperation {
    fn from_ref(state: &ApiState) -> Self {
        Self {
            registry: state.registry.clone(),
            clock: Arc::clone(&state.clock),
            watch: state.watch.clone(),
            catalogue: state.catalogue.clone(),
        }
    }
}
