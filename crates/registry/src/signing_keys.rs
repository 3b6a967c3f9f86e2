//! Table `signing_keys`: what a tenant's access tokens are signed with.

use chrono::{DateTime, Utc};
use tenantry_domain::{
    ids::TenantId,
    signing_key::{KeyId, SealedSigningKey},
};

use crate::{Registry, RegistryError, error::Stored};

/// A tenant's key as operators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningKeyRecord {
    /// Its `kid`.
    pub id: KeyId,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When a newer one took its place; what it has signed counts until it ends.
    pub superseded_at: Option<DateTime<Utc>>,
}

/// A key cannot be replaced.
#[derive(Debug, thiserror::Error)]
pub enum KeyRotateError {
    /// The tenant has none: its app has no users.
    #[error("the tenant has no key to replace")]
    NoKey,
    /// So many that were replaced are still kept for what they have signed.
    #[error("{0} keys that were replaced are still needed")]
    TooMany(i64),
    /// The registry failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

/// Keys that were replaced, as many as a tenant may have at a time: each makes its route larger.
const MOST_SUPERSEDED: i64 = 5;

impl Registry {
    /// Stores a tenant's first key; where it has one, this changes nothing.
    pub async fn signing_key_add_first(
        &self,
        tenant: TenantId,
        key: &SealedSigningKey,
    ) -> Result<(), RegistryError> {
        // Two workers may be at it: an index allows one key that signs.
        sqlx::query!(
            "INSERT INTO signing_keys (id, tenant_id, public_key, private_key) VALUES ($1, $2, $3, $4)
             ON CONFLICT (tenant_id) WHERE superseded_at IS NULL DO NOTHING",
            key.id.as_str(),
            tenant.as_uuid(),
            key.public.as_slice(),
            key.private,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// A tenant's keys, the oldest first.
    pub async fn signing_key_list(&self, tenant: TenantId) -> Result<Vec<SigningKeyRecord>, RegistryError> {
        let rows = sqlx::query!(
            "SELECT id, created_at, superseded_at FROM signing_keys WHERE tenant_id = $1
             ORDER BY created_at, id",
            tenant.as_uuid()
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(SigningKeyRecord {
                    id: KeyId::parse(&row.id).stored("signing_keys.id")?,
                    created_at: row.created_at,
                    superseded_at: row.superseded_at,
                })
            })
            .collect()
    }

    /// Has a tenant's tokens signed with another key from now on. What the key before it has signed counts until it ends.
    pub async fn signing_key_rotate(
        &self,
        tenant: TenantId,
        key: &SealedSigningKey,
    ) -> Result<DateTime<Utc>, KeyRotateError> {
        let mut tx = self.begin().await?;
        // A statement of its own: what comes after sees what another rotation has done.
        Self::tenant_lock_in_tx(&mut tx, tenant).await?;
        let known = sqlx::query!(
            r#"SELECT count(*) AS "keys!", count(superseded_at) AS "superseded!" FROM signing_keys WHERE tenant_id = $1"#,
            tenant.as_uuid()
        )
        .fetch_one(&mut *tx)
        .await
        .map_err(RegistryError::from)?;
        if known.keys == 0 {
            return Err(KeyRotateError::NoKey);
        }
        if known.superseded >= MOST_SUPERSEDED {
            return Err(KeyRotateError::TooMany(known.superseded));
        }
        sqlx::query!(
            "UPDATE signing_keys SET superseded_at = now() WHERE tenant_id = $1 AND superseded_at IS NULL",
            tenant.as_uuid()
        )
        .execute(&mut *tx)
        .await
        .map_err(RegistryError::from)?;
        // Not `now()`, which is when the transaction began: it may have waited for the one before.
        let created_at = sqlx::query_scalar!(
            "INSERT INTO signing_keys (id, tenant_id, public_key, private_key, created_at)
             VALUES ($1, $2, $3, $4, clock_timestamp()) RETURNING created_at",
            key.id.as_str(),
            tenant.as_uuid(),
            key.public.as_slice(),
            key.private,
        )
        .fetch_one(&mut *tx)
        .await
        .map_err(RegistryError::from)?;
        tx.commit().await.map_err(RegistryError::from)?;
        Ok(created_at)
    }

    /// Forgets keys that were replaced before a time; how many.
    pub async fn signing_key_forget_superseded(&self, before: DateTime<Utc>) -> Result<u64, RegistryError> {
        let done = sqlx::query!("DELETE FROM signing_keys WHERE superseded_at < $1", before)
            .execute(&self.housekeeping)
            .await?;
        Ok(done.rows_affected())
    }
}
