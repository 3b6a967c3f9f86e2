//! Table `api_keys`: hashes only.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use tenantry_domain::{
    api_key::{ApiKey, KeyHash, Scope},
    ids::{ApiKeyId, TenantId},
};
use uuid::Uuid;

use crate::{Registry, RegistryError, error::Stored};

/// A key to store.
#[derive(Debug, Clone)]
pub struct NewApiKey {
    /// What operators see.
    pub key: ApiKey,
    /// What a presented key is compared with.
    pub hash: KeyHash,
}

/// A key that takes another's place.
#[derive(Debug, Clone)]
pub struct KeySuccession {
    /// The new key's id.
    pub id: ApiKeyId,
    /// What a presented key is compared with.
    pub hash: KeyHash,
    /// When the new key stops working.
    pub expires_at: Option<DateTime<Utc>>,
    /// When the old one does, unless it does before.
    pub old_ends_at: DateTime<Utc>,
    /// When this happens.
    pub now: DateTime<Utc>,
}

struct ApiKeyRow {
    id: Uuid,
    tenant_id: Option<Uuid>,
    name: String,
    scopes: Vec<String>,
    expires_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
}

impl TryFrom<ApiKeyRow> for ApiKey {
    type Error = RegistryError;

    fn try_from(row: ApiKeyRow) -> Result<Self, RegistryError> {
        let scopes: BTreeSet<Scope> = row
            .scopes
            .iter()
            .map(|scope| scope.parse())
            .collect::<Result<_, _>>()
            .stored("api_keys.scopes")?;
        Ok(Self {
            id: ApiKeyId::from_uuid(row.id),
            tenant_id: row.tenant_id.map(TenantId::from_uuid),
            name: row.name,
            scopes,
            expires_at: row.expires_at,
            created_at: row.created_at,
        })
    }
}

impl Registry {
    /// Stores a key; false if the very same key is stored already.
    pub async fn api_key_create(&self, new: &NewApiKey) -> Result<bool, RegistryError> {
        let scopes: Vec<String> = new.key.scopes.iter().map(ToString::to_string).collect();
        let done = sqlx::query!(
            "INSERT INTO api_keys (id, tenant_id, name, hash, scopes, expires_at, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (hash) DO NOTHING",
            new.key.id.as_uuid(),
            new.key.tenant_id.map(TenantId::as_uuid),
            new.key.name,
            new.hash.as_bytes().as_slice(),
            &scopes,
            new.key.expires_at,
            new.key.created_at,
        )
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// The key with this hash, expired or not.
    pub async fn api_key_find(&self, hash: &KeyHash) -> Result<Option<ApiKey>, RegistryError> {
        let row = sqlx::query_as!(
            ApiKeyRow,
            "SELECT id, tenant_id, name, scopes, expires_at, created_at FROM api_keys WHERE hash = $1",
            hash.as_bytes().as_slice()
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(ApiKey::try_from).transpose()
    }

    /// A tenant's keys, or (`None`) those of the control plane, oldest first.
    pub async fn api_key_list(&self, tenant: Option<TenantId>) -> Result<Vec<ApiKey>, RegistryError> {
        let rows = sqlx::query_as!(
            ApiKeyRow,
            "SELECT id, tenant_id, name, scopes, expires_at, created_at FROM api_keys
             WHERE tenant_id IS NOT DISTINCT FROM $1 ORDER BY id",
            tenant.map(TenantId::as_uuid)
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(ApiKey::try_from).collect()
    }

    /// Puts a new key in the place of one of that tenant, or (`None`) of the control plane, which ends soon: the new one
    /// may do the same. None if there is no such key.
    pub async fn api_key_succeed(
        &self,
        tenant: Option<TenantId>,
        old: ApiKeyId,
        new: &KeySuccession,
    ) -> Result<Option<ApiKey>, RegistryError> {
        let row = sqlx::query_as!(
            ApiKeyRow,
            "WITH old AS (
                 UPDATE api_keys SET expires_at = least(expires_at, $3)
                 WHERE id = $1 AND tenant_id IS NOT DISTINCT FROM $2 AND (expires_at IS NULL OR expires_at > $7)
                 RETURNING tenant_id, name, scopes
             ), told AS (
                 INSERT INTO events (id, type, tenant_id, data)
                 SELECT uuid_v7(), 'key.rotated', tenant_id, jsonb_build_object('kind', 'api', 'keyId', $4::uuid, 'formerKeyId', $1::uuid)
                 FROM old
             )
             INSERT INTO api_keys (id, tenant_id, name, hash, scopes, expires_at, created_at)
             SELECT $4, tenant_id, name, $5, scopes, $6, $7 FROM old
             RETURNING id, tenant_id, name, scopes, expires_at, created_at",
            old.as_uuid(),
            tenant.map(TenantId::as_uuid),
            new.old_ends_at,
            new.id.as_uuid(),
            new.hash.as_bytes().as_slice(),
            new.expires_at,
            new.now,
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(ApiKey::try_from).transpose()
    }

    /// Puts another secret in the place of a key's, which nobody has seen. None if there is no such key.
    pub async fn api_key_renew(
        &self,
        tenant: Option<TenantId>,
        id: ApiKeyId,
        hash: &KeyHash,
    ) -> Result<Option<ApiKey>, RegistryError> {
        let row = sqlx::query_as!(
            ApiKeyRow,
            "UPDATE api_keys SET hash = $3 WHERE id = $1 AND tenant_id IS NOT DISTINCT FROM $2
             RETURNING id, tenant_id, name, scopes, expires_at, created_at",
            id.as_uuid(),
            tenant.map(TenantId::as_uuid),
            hash.as_bytes().as_slice(),
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(ApiKey::try_from).transpose()
    }

    /// Revokes a key of that tenant, or (`None`) of the control plane; false if there is none.
    pub async fn api_key_delete(
        &self,
        tenant: Option<TenantId>,
        id: ApiKeyId,
    ) -> Result<bool, RegistryError> {
        let done = sqlx::query!(
            "DELETE FROM api_keys WHERE id = $1 AND tenant_id IS NOT DISTINCT FROM $2",
            id.as_uuid(),
            tenant.map(TenantId::as_uuid)
        )
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }
}
