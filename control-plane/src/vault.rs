//! Sealing and opening what the registry keeps secret.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretBox, SecretString};
use tenantry_domain::{
    config::ConfigKey,
    envelope::{Key, Unsealable},
    ids::{ServerId, TenantId, WebhookId},
    purpose::Purpose,
    route::Route,
    signing_key::SealedSigningKey,
};
use tenantry_registry::RoleCredentials;
use tenantry_tokens::{IssueError, Issuer, Subject};

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

    /// A new key for a tenant's access tokens.
    pub(crate) fn new_signing_key(&self, tenant: TenantId) -> SealedSigningKey {
        SealedSigningKey::generate(tenant, &self.0, &mut rand::rng())
    }

    /// An access token for a tenant's data.
    pub(crate) fn access_token(
        &self,
        route: &Route,
        subject: Subject,
        now: DateTime<Utc>,
    ) -> Result<SecretString, IssueError> {
        Issuer::new((*self.0).clone()).issue(route, subject, now).map(Into::into)
    }

    /// Seals a value of a tenant's configuration with the tenant's data key, for this tenant and key alone.
    pub(crate) fn seal_config(
        &self,
        tenant: TenantId,
        wrapped_data_key: &[u8],
        key: &ConfigKey,
        value: &str,
    ) -> Result<Vec<u8>, Unsealable> {
        let data_key = self.0.unwrap(&Purpose::DataKey(tenant).to_string(), wrapped_data_key)?;
        Ok(data_key.seal(&Purpose::Config(tenant, key).to_string(), value.as_bytes(), &mut rand::rng()))
    }

    /// Opens a value of a tenant's configuration.
    pub(crate) fn open_config(
        &self,
        tenant: TenantId,
        wrapped_data_key: &[u8],
        key: &ConfigKey,
        sealed: &[u8],
    ) -> Result<SecretString, Unsealable> {
        self.0
            .unwrap(&Purpose::DataKey(tenant).to_string(), wrapped_data_key)?
            .open_text(&Purpose::Config(tenant, key).to_string(), sealed)
    }

    /// Seals the password of a server's admin login.
    pub(crate) fn seal_admin_password(&self, server: ServerId, password: &SecretString) -> Vec<u8> {
        self.0.seal(
            &Purpose::ServerAdmin(server).to_string(),
            password.expose_secret().as_bytes(),
            &mut rand::rng(),
        )
    }

    /// Seals what a webhook's requests are signed with.
    pub(crate) fn seal_webhook_secret(&self, webhook: WebhookId, secret: &SecretString) -> Vec<u8> {
        let purpose = Purpose::WebhookSecret(webhook).to_string();
        self.0.seal(&purpose, secret.expose_secret().as_bytes(), &mut rand::rng())
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
    fn a_sealed_value_opens_for_its_own_tenant_and_key_only() {
        let vault = Vault::new(Key::generate(&mut rand::rng()));
        let tenants = [1, 2].map(|number| TenantId::from_uuid(Uuid::from_u128(number)));
        let data_keys = tenants.map(|tenant| vault.new_data_key(tenant));
        let [key, other] = ["smtp.password", "smtp.user"].map(|key| ConfigKey::parse(key).unwrap());
        let sealed = vault.seal_config(tenants[0], &data_keys[0], &key, "\"hunter2\"").unwrap();
        let open = |tenant: usize, data_key: usize, key| {
            vault.open_config(tenants[tenant], &data_keys[data_key], key, &sealed)
        };
        assert_eq!(open(0, 0, &key).unwrap().expose_secret(), "\"hunter2\"");
        for (tenant, data_key, key) in [(0, 0, &other), (1, 1, &key), (0, 1, &key), (1, 0, &key)] {
            assert!(open(tenant, data_key, key).is_err(), "{tenant} {data_key} {key}");
        }
    }

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
