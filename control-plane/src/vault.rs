//! Sealing and opening what the registry keeps secret.

use std::sync::Arc;

use secrecy::{ExposeSecret, SecretBox, SecretString};
use tenantry_domain::{
    envelope::{Key, Unsealable},
    ids::{ServerId, TenantId},
    purpose::Purpose,
};
use tenantry_registry::RoleCredentials;

/// The key-encryption key and what is done with it.
#[derive(Debug, Clone)]
pub(crate) struct Vault(Arc<Key>);

impl Vault {
    pub(crate) fn new(kek: Key) -> Self {
        Self(Arc::new(kek))
    }

    /// A new tenant's data key, wrapped.
    pub(crate) fn new_data_key(&self, tenant: TenantId) -> Vec<u8> {
        let mut rng = rand::rng();
        self.0.wrap(&Purpose::DataKey(tenant).to_string(), &Key::generate(&mut rng), &mut rng)
    }

    /// The password of a tenant's role.
    pub(crate) fn role_password(
        &self,
        tenant: TenantId,
        credentials: &RoleCredentials,
    ) -> Result<SecretString, Unsealable> {
        self.0
            .unwrap(&Purpose::DataKey(tenant).to_string(), &credentials.wrapped_data_key)?
            .open_text(&Purpose::RolePassword(tenant).to_string(), &credentials.password)
    }

    /// Seals the password of a server's admin login.
    pub(crate) fn seal_admin_password(&self, server: ServerId, password: &SecretString) -> Vec<u8> {
        self.0.seal(
            &Purpose::ServerAdmin(server).to_string(),
            password.expose_secret().as_bytes(),
            &mut rand::rng(),
        )
    }

    /// Seals the body of an answer that is kept for repeated requests.
    pub(crate) fn seal_answer(&self, body: &[u8]) -> Vec<u8> {
        self.0.seal(&Purpose::IdempotentAnswer.to_string(), body, &mut rand::rng())
    }

    /// Opens a kept answer.
    pub(crate) fn open_answer(&self, sealed: &[u8]) -> Result<SecretBox<Vec<u8>>, Unsealable> {
        self.0.open(&Purpose::IdempotentAnswer.to_string(), sealed)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_role_password_opens_with_its_own_tenant_only() {
        let mut rng = rand::rng();
        let vault = Vault::new(Key::generate(&mut rng));
        let (tenant, other) =
            (TenantId::from_uuid(Uuid::from_u128(1)), TenantId::from_uuid(Uuid::from_u128(2)));
        let wrapped_data_key = vault.new_data_key(tenant);
        let key = vault.0.unwrap(&Purpose::DataKey(tenant).to_string(), &wrapped_data_key).unwrap();
        let password = key.seal(&Purpose::RolePassword(tenant).to_string(), b"hunter2", &mut rng);
        let credentials = RoleCredentials { password, wrapped_data_key };
        assert_eq!(vault.role_password(tenant, &credentials).unwrap().expose_secret(), "hunter2");
        assert!(vault.role_password(other, &credentials).is_err());
    }
}
