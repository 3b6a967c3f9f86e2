//! What handlers are given, split so that each takes only what it uses.

use std::sync::Arc;

use axum::extract::FromRef;
use tenantry_domain::{Clock, envelope};
use tenantry_registry::Registry;

use crate::{
    Settings, auth::KeyRing, catalogue::Catalogue, operation_watch::OperationWatch,
    routes::signup::SignupGate, vault::Vault,
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
    pub(crate) settings: Arc<Settings>,
    pub(crate) signup: Option<Arc<SignupGate>>,
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
            catalogue: Catalogue::new(registry.clone()),
            keys: KeyRing::new(registry.clone(), Arc::clone(&clock)),
            signup: settings.signup.clone().map(|settings| Arc::new(SignupGate::new(settings))),
            settings: Arc::new(settings),
            clock,
            registry,
        }
    }
}
