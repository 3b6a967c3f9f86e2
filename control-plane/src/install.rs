//! What a new registry needs before it is of use: the first key and the built-in plans.

use std::sync::Arc;

use secrecy::SecretString;
use tenantry_dns::TxtResolver;
use tenantry_domain::{
    api_key::{ApiKey, NewKey, Scope, WeakKey},
    ids::ApiKeyId,
    plan::Plan,
};
use tenantry_registry::{NewApiKey, RegistryError};

use crate::ControlPlane;

/// The first key cannot be stored.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapKeyError {
    /// It could be guessed, or cannot be used.
    #[error("the bootstrap key (TENANTRY_BOOTSTRAP_KEY) is refused: {0}")]
    Weak(#[from] WeakKey),
    /// The registry failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

impl ControlPlane {
    /// Stores a key that may do everything an operator may. Doing so again changes nothing.
    ///
    /// # Errors
    /// The key is not as strong as those that are made here, or the registry fails.
    pub async fn install_bootstrap_key(&self, key: &SecretString) -> Result<(), BootstrapKeyError> {
        let hash = NewKey::given(key)?.hash;
        let now = self.state.clock.now();
        let new = NewApiKey {
            key: ApiKey {
                id: ApiKeyId::generate(now, &mut rand::rng()),
                tenant_id: None,
                name: "bootstrap".to_owned(),
                scopes: Scope::operator(),
                expires_at: None,
                created_at: now,
            },
            hash,
        };
        self.state.registry.api_key_create(&new).await?;
        Ok(())
    }

    /// Looks up DNS records by this resolver instead of the machine's.
    #[must_use]
    pub fn with_resolver(mut self, resolver: Arc<dyn TxtResolver>) -> Self {
        self.state.resolver = resolver;
        self
    }

    /// Creates those of the built-in plans that are missing; leaves the others as they are.
    pub async fn install_built_in_plans(&self) -> Result<(), RegistryError> {
        let now = self.state.clock.now();
        for plan in Plan::built_in() {
            self.state.registry.plan_create(&plan, now).await?;
        }
        Ok(())
    }
}
