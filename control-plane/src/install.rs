//! What a new registry needs before it is of use: the first key and the built-in plans.

use secrecy::SecretString;
use tenantry_domain::{
    api_key::{ApiKey, NewKey, Scope},
    ids::ApiKeyId,
    plan::Plan,
};
use tenantry_registry::{NewApiKey, RegistryError};

use crate::ControlPlane;

impl ControlPlane {
    /// Stores a key that may do everything an operator may. Doing so again changes nothing.
    pub async fn install_bootstrap_key(&self, key: &SecretString) -> Result<(), RegistryError> {
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
            hash: NewKey::given(key).hash,
        };
        self.state.registry.api_key_create(&new).await?;
        Ok(())
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
