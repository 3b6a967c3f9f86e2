//! Table `webhook_deliveries`, the API's side: what has become of events at a webhook, and sending them again.

use chrono::{DateTime, Utc};
use tenantry_domain::{
    event::EventType,
    ids::{EventId, TenantId, WebhookId},
    webhook::DeliveryState,
};
use uuid::Uuid;

use crate::{Page, Registry, RegistryError, error::Stored};

/// What has become of an event at a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The event, and `webhook-id` of every attempt.
    pub event_id: EventId,
    /// What happened.
    pub kind: EventType,
    /// The tenant that it is about.
    pub tenant_id: Option<TenantId>,
    /// How far it is.
    pub state: DeliveryState,
    /// Attempts since it was last begun.
    pub attempts: u32,
    /// The status of the last answer.
    pub status: Option<u16>,
    /// Why the last attempt that failed did.
    pub error: Option<String>,
    /// When it was last attempted.
    pub attempted_at: Option<DateTime<Utc>>,
    /// When it is attempted again, if it has failed.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// When the event happened.
    pub happened_at: DateTime<Utc>,
}

/// What to send again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replay {
    /// One event.
    One(EventId),
    /// All that are dead.
    Dead,
}

struct DeliveryRow {
    event_id: Uuid,
    kind: String,
    tenant_id: Option<Uuid>,
    state: String,
    attempts: i32,
    status: Option<i32>,
    error: Option<String>,
    attempted_at: Option<DateTime<Utc>>,
    due_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    at: DateTime<Utc>,
}

impl TryFrom<DeliveryRow> for Delivery {
    type Error = RegistryError;

    fn try_from(row: DeliveryRow) -> Result<Self, RegistryError> {
        Ok(Self {
            event_id: EventId::from_uuid(row.event_id),
            kind: row.kind.parse().stored("events.type")?,
            tenant_id: row.tenant_id.map(TenantId::from_uuid),
            state: row.state.parse().stored("webhook_deliveries.state")?,
            attempts: row.attempts.cast_unsigned(),
            status: row.status.map(u16::try_from).transpose().stored("webhook_deliveries.status")?,
            error: row.error,
            attempted_at: row.attempted_at,
            next_attempt_at: row.due_at,
            finished_at: row.finished_at,
            happened_at: row.at,
        })
    }
}

impl Registry {
    /// What has become of events at a webhook, the last ones first.
    pub async fn delivery_list(
        &self,
        webhook: WebhookId,
        state: Option<DeliveryState>,
        page: Page,
    ) -> Result<Vec<Delivery>, RegistryError> {
        self.deliveries(webhook, state, None, page).await
    }

    /// What has become of one event at a webhook.
    pub async fn delivery_get(
        &self,
        webhook: WebhookId,
        event: EventId,
    ) -> Result<Option<Delivery>, RegistryError> {
        Ok(self.deliveries(webhook, None, Some(event), Page { after: None, limit: 1 }).await?.pop())
    }

    async fn deliveries(
        &self,
        webhook: WebhookId,
        state: Option<DeliveryState>,
        event: Option<EventId>,
        page: Page,
    ) -> Result<Vec<Delivery>, RegistryError> {
        let rows = sqlx::query_as!(
            DeliveryRow,
            r#"SELECT event_id, type AS kind, tenant_id, state, attempts, status, error, attempted_at,
                   CASE WHEN state = 'pending' AND attempts > 0 AND isfinite(due_at) THEN due_at END AS due_at, finished_at, at
               FROM webhook_deliveries AS delivery
               JOIN events ON events.id = event_id
               LEFT JOIN webhook_queues AS known ON known.webhook_id = delivery.webhook_id AND known.queue = delivery.queue
               WHERE delivery.webhook_id = $1 AND ($2::text IS NULL OR state = $2)
                   AND ($3::uuid IS NULL OR delivery.number < (SELECT number FROM events WHERE id = $3))
                   AND ($4::uuid IS NULL OR event_id = $4)
               ORDER BY delivery.number DESC LIMIT $5"#,
            webhook.as_uuid(),
            state.map(DeliveryState::as_str),
            page.after,
            event.map(EventId::as_uuid),
            page.sql_limit(),
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(Delivery::try_from).collect()
    }

    /// Begins deliveries anew that have ended; answers how many. In their old place: before all that came later and was not yet
    /// delivered.
    pub async fn delivery_replay(&self, webhook: WebhookId, what: Replay) -> Result<u64, RegistryError> {
        let event = match what {
            Replay::One(event) => Some(event.as_uuid()),
            Replay::Dead => None,
        };
        let replayed = sqlx::query_scalar!(
            r#"WITH again AS (
                   UPDATE webhook_deliveries SET state = 'pending', attempts = 0, finished_at = NULL
                   WHERE webhook_id = (SELECT id FROM webhooks WHERE id = $1 FOR KEY SHARE) AND CASE WHEN $2::uuid IS NULL THEN state = 'dead'
                       ELSE event_id = $2 AND state <> 'pending' END
                   RETURNING queue
               ), queued AS (
                   INSERT INTO webhook_queues (webhook_id, queue) SELECT DISTINCT $1::uuid, queue FROM again
                   ON CONFLICT (webhook_id, queue) DO UPDATE SET due_at = '-infinity'
               ), told AS MATERIALIZED (
                   SELECT pg_notify('tenantry_webhooks', '')
               )
               SELECT count(*) AS "count!" FROM again, told"#,
            webhook.as_uuid(),
            event,
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(replayed.cast_unsigned())
    }
}
