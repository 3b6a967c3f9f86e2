//! Sealing and opening what the registry keeps secret. The purposes are here and nowhere else in
//! this crate; the worker uses the same ones.

use std::sync::Arc;

use secrecy::{ExposeSecret, SecretBox, SecretString};
use tenantry_domain::{
    envelope::{Key, Unsealable},
    ids::{ServerId, TenantId},
};
use tenantry_registry::RoleCredentials;

/// Answers kept for repeated requests; they may show a key that was just made.
const IDEMPOTENCY: &str = "idempotency";

/// A tenant's data key, wrapped by the key-encryption key.
fn data_key(tenant: TenantId) -> String {
    format!("tenant:{tenant}")
}

/// The password of a tenant's role, sealed with its data key.
fn role(tenant: TenantId) -> String {
    format!("role:{tenant}")
}

/// The password of a server's admin login, sealed with the key-encryption key.
fn server_admin(server: ServerId) -> String {
    format!("server:{server}:admin")
}

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
        self.0.wrap(&data_key(tenant), &Key::generate(&mut rng), &mut rng)
    }

    /// The password of a tenant's role.
    pub(crate) fn role_password(
        &self,
        tenant: TenantId,
        credentials: &RoleCredentials,
    ) -> Result<SecretString, Unsealable> {
        self.0
            .unwrap(&data_key(tenant), &credentials.wrapped_data_key)?
            .open_text(&role(tenant), &credentials.password)
    }

    /// Seals the password of a server's admin login.
    pub(crate) fn seal_admin_password(&self, server: ServerId, password: &SecretString) -> Vec<u8> {
        self.0.seal(&server_admin(server), password.expose_secret().as_bytes(), &mut rand::rng())
    }

    /// Seals the body of an answer that is kept for repeated requests.
    pub(crate) fn seal_answer(&self, body: &[u8]) -> Vec<u8> {
        self.0.seal(IDEMPOTENCY, body, &mut rand::rng())
    }

    /// Opens a kept answer.
    pub(crate) fn open_answer(&self, sealed: &[u8]) -> Result<SecretBox<Vec<u8>>, Unsealable> {
        self.0.open(IDEMPOTENCY, sealed)
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
        let key = vault.0.unwrap(&data_key(tenant), &wrapped_data_key).unwrap();
        let password = key.seal(&role(tenant), b"hunter2", &mut rng);
        let credentials = RoleCredentials { password, wrapped_data_key };
        assert_eq!(vault.role_password(tenant, &credentials).unwrap().expose_secret(), "hunter2");
        assert!(vault.role_password(other, &credentials).is_err());
    }
}
