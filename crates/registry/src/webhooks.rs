//! Table `webhooks`: who is told of events.

use chrono::{DateTime, Utc};
use tenantry_domain::{
    event::TypePattern,
    http_url::HttpUrl,
    ids::{EventId, TenantId, WebhookId},
    webhook::Webhook,
};
use uuid::Uuid;

use crate::{Page, Registry, RegistryError, error::Stored};

/// A webhook to make.
#[derive(Debug, Clone)]
pub struct NewWebhook {
    /// What it is.
    pub webhook: Webhook,
    /// What its requests are signed with, sealed with the key-encryption key.
    pub secret: Vec<u8>,
}

/// Changes to a webhook. `None` leaves a value as it is.
#[derive(Debug, Clone, Default)]
pub struct WebhookChange {
    /// Where it is.
    pub url: Option<HttpUrl>,
    /// What it is told of.
    pub types: Option<Vec<TypePattern>>,
    /// What it is for.
    pub description: Option<String>,
    /// Whether it is told.
    pub enabled: Option<bool>,
}

struct WebhookRow {
    id: Uuid,
    url: String,
    types: Vec<String>,
    tenant_id: Option<Uuid>,
    description: String,
    enabled: bool,
    disabled_reason: Option<String>,
    former_until: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl TryFrom<WebhookRow> for Webhook {
    type Error = RegistryError;

    fn try_from(row: WebhookRow) -> Result<Self, RegistryError> {
        let types = row.types.iter().map(|text| text.parse()).collect::<Result<_, _>>();
        Ok(Self {
            id: WebhookId::from_uuid(row.id),
            url: HttpUrl::parse(&row.url).stored("webhooks.url")?,
            types: types.stored("webhooks.types")?,
            tenant_id: row.tenant_id.map(TenantId::from_uuid),
            description: row.description,
            enabled: row.enabled,
            disabled_reason: row.disabled_reason,
            former_secret_until: row.former_until,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

fn texts(types: &[TypePattern]) -> Vec<String> {
    types.iter().map(ToString::to_string).collect()
}

impl Registry {
    /// Makes a webhook. One of the same id is there already when the same request is repeated: it gets the new secret, since
    /// nobody has seen its own.
    pub async fn webhook_create(&self, new: &NewWebhook) -> Result<(), RegistryError> {
        let webhook = &new.webhook;
        sqlx::query!(
            "INSERT INTO webhooks (id, url, types, tenant_id, description, enabled, secret, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8) ON CONFLICT (id) DO UPDATE SET secret = $7",
            webhook.id.as_uuid(),
            webhook.url.as_str(),
            &texts(&webhook.types),
            webhook.tenant_id.map(TenantId::as_uuid),
            webhook.description,
            webhook.enabled,
            new.secret,
            webhook.created_at,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// One webhook.
    pub async fn webhook_get(&self, id: WebhookId) -> Result<Option<Webhook>, RegistryError> {
        let row = sqlx::query_as!(
            WebhookRow,
            "SELECT id, url, types, tenant_id, description, enabled, disabled_reason, former_until, created_at, updated_at
             FROM webhooks WHERE id = $1",
            id.as_uuid()
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(Webhook::try_from).transpose()
    }

    /// Webhooks, newest first.
    pub async fn webhook_list(&self, page: Page) -> Result<Vec<Webhook>, RegistryError> {
        let rows = sqlx::query_as!(
            WebhookRow,
            "SELECT id, url, types, tenant_id, description, enabled, disabled_reason, former_until, created_at, updated_at
             FROM webhooks WHERE $1::uuid IS NULL OR id < $1 ORDER BY id DESC LIMIT $2",
            page.after,
            page.sql_limit(),
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(Webhook::try_from).collect()
    }

    /// Changes a webhook; as it is now. What waits for one that is enabled again is due at once.
    pub async fn webhook_change(
        &self,
        id: WebhookId,
        change: &WebhookChange,
        now: DateTime<Utc>,
    ) -> Result<Option<Webhook>, RegistryError> {
        let types = change.types.as_deref().map(texts);
        let row = sqlx::query_as!(
            WebhookRow,
            r#"WITH due AS (
                   UPDATE webhook_queues SET due_at = '-infinity' WHERE webhook_id = $1 AND $5::boolean
               ), told AS MATERIALIZED (
                   SELECT pg_notify('tenantry_webhooks', '') WHERE $5::boolean
               ), changed AS (
                   UPDATE webhooks SET url = coalesce($2, url), types = coalesce($3, types),
                       description = coalesce($4, description), enabled = coalesce($5, enabled),
                       disabled_reason = CASE WHEN $5 IS NULL THEN disabled_reason END, updated_at = $6
                   WHERE id = $1 RETURNING *
               )
               SELECT id, url, types, tenant_id, description, enabled, disabled_reason, former_until, created_at, updated_at
               FROM changed LEFT JOIN told ON true"#,
            id.as_uuid(),
            change.url.as_ref().map(HttpUrl::as_str),
            types.as_deref(),
            change.description,
            change.enabled,
            now,
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(Webhook::try_from).transpose()
    }

    /// Gives a webhook another secret; the one before is good until a time, too. False if there is no such webhook.
    pub async fn webhook_rotate_secret(
        &self,
        id: WebhookId,
        secret: &[u8],
        now: DateTime<Utc>,
        former_until: DateTime<Utc>,
    ) -> Result<bool, RegistryError> {
        let done = sqlx::query!(
            "UPDATE webhooks SET former_secret = secret, former_until = $3, secret = $2, updated_at = $4 WHERE id = $1",
            id.as_uuid(),
            secret,
            former_until,
            now,
        )
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Removes a webhook with what was to be sent to it; false if there is none.
    pub async fn webhook_delete(&self, id: WebhookId) -> Result<bool, RegistryError> {
        let done =
            sqlx::query!("DELETE FROM webhooks WHERE id = $1", id.as_uuid()).execute(&self.pool).await?;
        Ok(done.rows_affected() == 1)
    }

    /// Writes an event for one webhook alone, which waits for no other.
    pub async fn webhook_test(&self, id: WebhookId, event: EventId) -> Result<(), RegistryError> {
        sqlx::query!(
            "WITH event AS (
                 INSERT INTO events (id, type, data)
                 VALUES ($2, 'webhook.test', jsonb_build_object('webhookId', $1::uuid)) ON CONFLICT DO NOTHING
                 RETURNING id, number
             ), delivery AS (
                 INSERT INTO webhook_deliveries (webhook_id, event_id, number, queue) SELECT $1, id, number, id FROM event
             ), told AS MATERIALIZED (
                 SELECT pg_notify('tenantry_webhooks', '') FROM event
             )
             INSERT INTO webhook_queues (webhook_id, queue) SELECT $1, id FROM event LEFT JOIN told ON true",
            id.as_uuid(),
            event.as_uuid(),
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
