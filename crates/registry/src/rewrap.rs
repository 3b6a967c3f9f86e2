//! Sealing anew, with another key-encryption key, what one has sealed.

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, Row};
use tenantry_domain::{
    envelope::Key,
    ids::{EventId, ServerId, TenantId, WebhookId},
    key_check::KeyCheck,
    names::ObjectName,
    purpose::Purpose,
    signing_key::KeyId,
};
use uuid::Uuid;

use crate::{Registry, RegistryError, error::Stored};

/// Rows in a transaction.
const BATCH: i64 = 500;

/// A column of sealed values.
struct Sealed {
    table: &'static str,
    column: &'static str,
    /// The primary key, as two texts in SQL; they order the rows.
    key: [&'static str; 2],
    purpose: fn(&str, &str) -> Result<String, RegistryError>,
}

/// Every column that the key-encryption key itself has sealed. What a tenant's data key has sealed stays as it is.
const ALL: &[Sealed] = &[
    Sealed {
        table: "tenants",
        column: "data_key",
        key: ["id::text", "''"],
        purpose: |id, _| Ok(Purpose::DataKey(TenantId::from_uuid(uuid(id)?)).to_string()),
    },
    Sealed {
        table: "servers",
        column: "admin_password",
        key: ["id::text", "''"],
        purpose: |id, _| Ok(Purpose::ServerAdmin(ServerId::from_uuid(uuid(id)?)).to_string()),
    },
    Sealed {
        table: "server_logins",
        column: "password",
        key: ["server_id::text", "name"],
        purpose: |id, name| {
            Ok(Purpose::ServerLogin(ServerId::from_uuid(uuid(id)?), &object(name)?).to_string())
        },
    },
    Sealed {
        table: "warm_tenants",
        column: "password",
        key: ["server_id::text", "name"],
        purpose: |id, name| Ok(Purpose::WarmRole(ServerId::from_uuid(uuid(id)?), &object(name)?).to_string()),
    },
    Sealed {
        table: "signing_keys",
        column: "private_key",
        key: ["tenant_id::text", "id"],
        purpose: |id, key| {
            let key = KeyId::parse(key).stored("signing_keys.id")?;
            Ok(Purpose::SigningKey(TenantId::from_uuid(uuid(id)?), &key).to_string())
        },
    },
    Sealed {
        table: "webhooks",
        column: "secret",
        key: ["id::text", "''"],
        purpose: |id, _| Ok(Purpose::WebhookSecret(WebhookId::from_uuid(uuid(id)?)).to_string()),
    },
    Sealed {
        table: "webhooks",
        column: "former_secret",
        key: ["id::text", "''"],
        purpose: |id, _| Ok(Purpose::WebhookSecret(WebhookId::from_uuid(uuid(id)?)).to_string()),
    },
    Sealed {
        table: "events",
        column: "secret",
        key: ["id::text", "''"],
        purpose: |id, _| Ok(Purpose::EventSecret(EventId::from_uuid(uuid(id)?)).to_string()),
    },
    Sealed {
        table: "idempotency_records",
        column: "body",
        key: ["caller", "key"],
        purpose: |_, _| Ok(Purpose::IdempotentAnswer.to_string()),
    },
];

fn uuid(text: &str) -> Result<Uuid, RegistryError> {
    Uuid::try_parse(text).stored("id")
}

fn object(text: &str) -> Result<ObjectName, RegistryError> {
    ObjectName::parse(text).stored("name")
}

impl Registry {
    /// Seals anew whatever another key has sealed that `kek` opens too, a few rows at a time; answers how many.
    /// Whoever was killed begins again: what is done is known by opening with the new key alone.
    ///
    /// # Errors
    /// A value opens with neither key: it is named, and what comes before it is done.
    pub async fn rewrap(&self, kek: &Key, mut told: impl FnMut(&str, u64)) -> Result<u64, RegistryError> {
        let mut all = 0;
        for sealed in ALL {
            let count = self.rewrap_column(kek, sealed).await?;
            if count > 0 {
                told(sealed.table, count);
            }
            all += count;
        }
        Ok(all)
    }

    async fn rewrap_column(&self, kek: &Key, sealed: &Sealed) -> Result<u64, RegistryError> {
        let Sealed { table, column, key: [first, second], purpose } = sealed;
        let (mut after, mut changed) = ((String::new(), String::new()), 0);
        loop {
            let mut tx = self.pool.begin().await?;
            let select = format!(
                "SELECT {first} AS first, {second} AS second, {column} AS sealed FROM {table}
                 WHERE {column} IS NOT NULL AND ({first}, {second}) > ($1, $2)
                 ORDER BY 1, 2 LIMIT {BATCH} FOR NO KEY UPDATE"
            );
            let select = sqlx::query(AssertSqlSafe(select)).bind(&after.0).bind(&after.1);
            let rows = select.fetch_all(&mut *tx).await?;
            for row in &rows {
                let (one, two): (String, String) = (row.try_get("first")?, row.try_get("second")?);
                let value: Vec<u8> = row.try_get("sealed")?;
                let anew = kek.seal_anew(&purpose(&one, &two)?, &value, &mut rand::rng());
                let anew = anew.map_err(|error| RegistryError::Corrupt {
                    what: table,
                    reason: format!("{column} of {one} {two}: {error}"),
                })?;
                if let Some(anew) = anew {
                    let update =
                        format!("UPDATE {table} SET {column} = $3 WHERE ({first}, {second}) = ($1, $2)");
                    let update = sqlx::query(AssertSqlSafe(update)).bind(&one).bind(&two).bind(anew);
                    update.execute(&mut *tx).await?;
                    changed += 1;
                }
                after = (one, two);
            }
            tx.commit().await?;
            if rows.is_empty() {
                return Ok(changed);
            }
        }
    }

    /// From now on processes are to have this key.
    pub async fn key_check_replace(&self, kek: &Key, now: DateTime<Utc>) -> Result<(), RegistryError> {
        let check = KeyCheck::of(kek, &mut rand::rng());
        sqlx::query!(
            "UPDATE key_checks SET fingerprint = $1, sealed = $2, created_at = $3",
            check.fingerprint().as_str(),
            check.sealed(),
            now,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
