//! Table `signing_keys`: what a tenant's access tokens are signed with.

use tenantry_domain::{ids::TenantId, signing_key::KeyId};

use crate::{Registry, RegistryError};

/// A key to store.
#[derive(Debug)]
pub struct NewStoredKey {
    /// Its `kid`.
    pub id: KeyId,
    /// The public half.
    pub public: [u8; 32],
    /// The private half, sealed.
    pub private: Vec<u8>,
}

impl Registry {
    /// Whether a tenant has a key.
    pub async fn has_signing_key(&self, tenant: TenantId) -> Result<bool, RegistryError> {
        let has = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM signing_keys WHERE tenant_id = $1) AS "has!""#,
            tenant.as_uuid()
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(has)
    }

    /// Stores a tenant's first key; where it has one, this changes nothing.
    pub async fn signing_key_add_first(
        &self,
        tenant: TenantId,
        key: &NewStoredKey,
    ) -> Result<(), RegistryError> {
        // Two workers may be at it: the tenant's row is the lock.
        sqlx::query!(
            "WITH tenant AS MATERIALIZED (SELECT id FROM tenants WHERE id = $1 FOR NO KEY UPDATE)
             INSERT INTO signing_keys (id, tenant_id, public_key, private_key)
             SELECT $2, tenant.id, $3, $4 FROM tenant
             WHERE NOT EXISTS (SELECT FROM signing_keys WHERE tenant_id = tenant.id)",
            tenant.as_uuid(),
            key.id.as_str(),
            key.public.as_slice(),
            key.private,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
