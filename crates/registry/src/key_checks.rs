//! Table `key_checks`: what tells the right key-encryption key from a wrong one.

use chrono::{DateTime, Utc};
use tenantry_domain::{
    ids::{ServerId, TenantId},
    key_check::KeyCheck,
    purpose::Purpose,
};

use crate::{Registry, RegistryError};

/// Something that was sealed with the key-encryption key.
#[derive(Debug, Clone)]
pub struct SealedSample {
    /// What it was sealed for.
    pub purpose: Purpose<'static>,
    /// The sealed value.
    pub sealed: Vec<u8>,
}

impl Registry {
    /// The check value, once a process has written it.
    pub async fn key_check_get(&self) -> Result<Option<KeyCheck>, RegistryError> {
        let row =
            sqlx::query!("SELECT fingerprint, sealed FROM key_checks").fetch_optional(&self.pool).await?;
        Ok(row.map(|row| KeyCheck::from_stored(row.fingerprint, row.sealed)))
    }

    /// Writes the check value, unless another process was faster.
    pub async fn key_check_create(&self, check: &KeyCheck, now: DateTime<Utc>) -> Result<(), RegistryError> {
        sqlx::query!(
            "INSERT INTO key_checks (fingerprint, sealed, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            check.fingerprint().as_str(),
            check.sealed(),
            now,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// A value that was sealed with the key-encryption key, if there is any: what a registry from before
    /// the check value is tried with.
    pub async fn sealed_sample(&self) -> Result<Option<SealedSample>, RegistryError> {
        let server = sqlx::query!("SELECT id, admin_password FROM servers ORDER BY created_at LIMIT 1")
            .fetch_optional(&self.pool)
            .await?;
        if let Some(server) = server {
            let purpose = Purpose::ServerAdmin(ServerId::from_uuid(server.id));
            return Ok(Some(SealedSample { purpose, sealed: server.admin_password }));
        }
        let tenant =
            sqlx::query!("SELECT id, data_key FROM tenants WHERE status <> 'purged' ORDER BY id LIMIT 1")
                .fetch_optional(&self.pool)
                .await?;
        Ok(tenant.map(|tenant| SealedSample {
            purpose: Purpose::DataKey(TenantId::from_uuid(tenant.id)),
            sealed: tenant.data_key,
        }))
    }
}
