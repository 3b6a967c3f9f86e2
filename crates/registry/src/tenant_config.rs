//! Table `tenant_config`: what a tenant has set over the defaults of its plan.

use chrono::{DateTime, Utc};
use serde_json::Value;
use tenantry_domain::{config::ConfigKey, ids::TenantId};

use crate::{Registry, RegistryError, error::Stored};

/// What was set.
#[derive(Debug, Clone, PartialEq)]
pub enum ConfigValue {
    /// For everybody who may read the tenant.
    Plain(Value),
    /// Sealed with the tenant's data key.
    Sealed(Vec<u8>),
}

/// A value that a tenant has set.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfigEntry {
    /// Its key.
    pub key: ConfigKey,
    /// What it is.
    pub value: ConfigValue,
    /// When it was set.
    pub updated_at: DateTime<Utc>,
}

struct ConfigRow {
    key: String,
    value: Option<Value>,
    sealed_value: Option<Vec<u8>>,
    updated_at: DateTime<Utc>,
}

impl TryFrom<ConfigRow> for ConfigEntry {
    type Error = RegistryError;

    fn try_from(row: ConfigRow) -> Result<Self, RegistryError> {
        let value = match (row.value, row.sealed_value) {
            (_, Some(sealed)) => ConfigValue::Sealed(sealed),
            (value, None) => ConfigValue::Plain(value.unwrap_or_default()),
        };
        let key = ConfigKey::parse(&row.key).stored("tenant_config.key")?;
        Ok(Self { key, value, updated_at: row.updated_at })
    }
}

impl Registry {
    /// All that a tenant has set, by key.
    pub async fn config_list(&self, tenant: TenantId) -> Result<Vec<ConfigEntry>, RegistryError> {
        let rows = sqlx::query_as!(
            ConfigRow,
            "SELECT key, value, sealed_value, updated_at FROM tenant_config WHERE tenant_id = $1 ORDER BY key",
            tenant.as_uuid()
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(ConfigEntry::try_from).collect()
    }

    /// Sets a value; when, and whether there was none before. None: the tenant's data is dropped.
    pub async fn config_put(
        &self,
        tenant: TenantId,
        key: &ConfigKey,
        value: &ConfigValue,
    ) -> Result<Option<(DateTime<Utc>, bool)>, RegistryError> {
        let (plain, sealed) = match value {
            ConfigValue::Plain(value) => (Some(value), None),
            ConfigValue::Sealed(sealed) => (None, Some(sealed.as_slice())),
        };
        let row = sqlx::query!(
            r#"INSERT INTO tenant_config (tenant_id, key, value, sealed_value)
               SELECT id, $2, $3, $4 FROM tenants WHERE id = $1 AND status NOT IN ('purging', 'purged') FOR SHARE
               ON CONFLICT (tenant_id, key) DO UPDATE SET value = $3, sealed_value = $4, updated_at = now()
               RETURNING updated_at, xmax = 0 AS "is_new!""#,
            tenant.as_uuid(),
            key.as_str(),
            plain,
            sealed,
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|row| (row.updated_at, row.is_new)))
    }

    /// What a tenant has set for a key.
    pub async fn config_get(
        &self,
        tenant: TenantId,
        key: &ConfigKey,
    ) -> Result<Option<ConfigEntry>, RegistryError> {
        let row = sqlx::query_as!(
            ConfigRow,
            "SELECT key, value, sealed_value, updated_at FROM tenant_config WHERE tenant_id = $1 AND key = $2",
            tenant.as_uuid(),
            key.as_str()
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(ConfigEntry::try_from).transpose()
    }

    /// Forgets what a tenant has set for a key; false if it had set nothing.
    pub async fn config_delete(&self, tenant: TenantId, key: &ConfigKey) -> Result<bool, RegistryError> {
        let done = sqlx::query!(
            "DELETE FROM tenant_config WHERE tenant_id = $1 AND key = $2",
            tenant.as_uuid(),
            key.as_str()
        )
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// A tenant's data key, wrapped by the key-encryption key; none: there is no such tenant.
    pub async fn tenant_data_key(&self, tenant: TenantId) -> Result<Option<Vec<u8>>, RegistryError> {
        Ok(sqlx::query_scalar!("SELECT data_key FROM tenants WHERE id = $1", tenant.as_uuid())
            .fetch_optional(&self.pool)
            .await?)
    }

    /// Switches a feature for a tenant; without a switch the plan's holds. When, and whether there was a switch before. None:
    /// the tenant's data is dropped.
    pub async fn feature_switch(
        &self,
        tenant: TenantId,
        feature: &str,
        on: Option<bool>,
    ) -> Result<Option<(DateTime<Utc>, bool)>, RegistryError> {
        let row = sqlx::query!(
            r#"WITH before AS MATERIALIZED (
                   SELECT id, features ? $2 AS was_switched FROM tenants
                   WHERE id = $1 AND status NOT IN ('purging', 'purged') FOR NO KEY UPDATE
               )
               UPDATE tenants SET features = CASE WHEN $3::boolean IS NULL THEN features - $2
                       ELSE features || jsonb_build_object($2::text, $3::boolean) END,
                   updated_at = CASE WHEN was_switched OR $3::boolean IS NOT NULL THEN now() ELSE updated_at END
               FROM before WHERE tenants.id = before.id
               RETURNING updated_at, was_switched AS "was_switched!""#,
            tenant.as_uuid(),
            feature,
            on,
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|row| (row.updated_at, row.was_switched)))
    }
}
