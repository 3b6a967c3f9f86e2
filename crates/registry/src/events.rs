//! Table `events`: what happened. Most of it the registry tells by itself, by triggers, in the transaction in which it happens.

use chrono::{DateTime, Utc};
use serde_json::Value;
use tenantry_domain::{
    event::{Event, EventType, NewEvent, TypePattern},
    ids::{EventId, TenantId},
};
use uuid::Uuid;

use crate::{Page, Registry, RegistryError, error::Stored};

/// Which events to list.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// Of these types.
    pub types: Option<TypePattern>,
    /// About this tenant.
    pub tenant: Option<TenantId>,
}

pub(crate) struct EventRow {
    pub(crate) id: Uuid,
    pub(crate) kind: String,
    pub(crate) tenant_id: Option<Uuid>,
    pub(crate) at: DateTime<Utc>,
    pub(crate) data: Value,
}

impl TryFrom<EventRow> for Event {
    type Error = RegistryError;

    fn try_from(row: EventRow) -> Result<Self, RegistryError> {
        Ok(Self {
            id: EventId::from_uuid(row.id),
            kind: row.kind.parse::<EventType>().stored("events.type")?,
            tenant_id: row.tenant_id.map(TenantId::from_uuid),
            at: row.at,
            data: serde_json::from_value(row.data).stored("events.data")?,
        })
    }
}

impl Registry {
    /// Tells events, all or none. Those that were told before are not told again, so that a call whose answer was lost can be
    /// repeated. The data plane may call this.
    ///
    /// # Errors
    /// The registry failed.
    pub async fn events_append(&self, events: &[NewEvent]) -> Result<(), RegistryError> {
        // In one order: each holds back others of its tenant until the commit.
        let mut events: Vec<&NewEvent> = events.iter().collect();
        events.sort_by_key(|event| event.tenant);
        let ids: Vec<Uuid> = events.iter().map(|event| event.id.as_uuid()).collect();
        let kinds: Vec<String> = events.iter().map(|event| event.kind.to_string()).collect();
        let tenants: Vec<Uuid> = events.iter().map(|event| event.tenant.as_uuid()).collect();
        let data: Vec<Value> = events.iter().map(|event| Value::Object(event.data.clone())).collect();
        let (secrets, ends): (Vec<_>, Vec<_>) = events
            .iter()
            .map(|event| {
                event.secret.as_ref().map(|secret| (secret.sealed.clone(), secret.expires_at)).unzip()
            })
            .unzip();
        sqlx::query!(
            "INSERT INTO events (id, type, tenant_id, data, secret, secret_expires_at)
             SELECT * FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::jsonb[], $5::bytea[], $6::timestamptz[])
             ON CONFLICT DO NOTHING",
            &ids,
            &kinds,
            &tenants,
            &data,
            &secrets as &[Option<Vec<u8>>],
            &ends as &[Option<DateTime<Utc>>],
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Events, the last ones first.
    pub async fn event_list(&self, filter: &EventFilter, page: Page) -> Result<Vec<Event>, RegistryError> {
        let (one, subject) = match filter.types {
            None | Some(TypePattern::All) => (None, None),
            Some(TypePattern::Of(subject)) => (None, Some(subject)),
            Some(TypePattern::One(kind)) => (Some(kind.as_str()), None),
        };
        let rows = sqlx::query_as!(
            EventRow,
            "SELECT id, type AS kind, tenant_id, at, data FROM events
             WHERE ($1::uuid IS NULL OR number < (SELECT number FROM events WHERE id = $1))
                 AND ($2::text IS NULL OR type = $2) AND ($3::text IS NULL OR split_part(type, '.', 1) = $3)
                 AND ($4::uuid IS NULL OR tenant_id = $4)
             ORDER BY number DESC LIMIT $5",
            page.after,
            one,
            subject,
            filter.tenant.map(TenantId::as_uuid),
            page.sql_limit(),
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(Event::try_from).collect()
    }

    /// Forgets events that are older than some days, with what has become of them at webhooks; answers how many, at most `limit`.
    pub async fn events_forget(&self, days: u16, limit: i64) -> Result<u64, RegistryError> {
        let done = sqlx::query!(
            "DELETE FROM events WHERE id IN (
                 SELECT id FROM events WHERE at < now() - make_interval(days => $1) ORDER BY at LIMIT $2)",
            i32::from(days),
            limit,
        )
        .execute(&self.housekeeping)
        .await?;
        Ok(done.rows_affected())
    }

    /// Forgets one-time tokens that have expired; answers how many.
    pub async fn event_secrets_forget(&self) -> Result<u64, RegistryError> {
        let done = sqlx::query!(
            "UPDATE events SET secret = NULL, secret_expires_at = NULL WHERE secret_expires_at <= now()"
        )
        .execute(&self.housekeeping)
        .await?;
        Ok(done.rows_affected())
    }
}
