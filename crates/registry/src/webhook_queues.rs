//! Tables `webhook_queues` and `webhook_deliveries`, the workers' side: taking what is to be sent, and noting what came of it.
//!
//! A queue holds what a webhook is to be told of one tenant, in order. A worker takes queues, not deliveries, so that nobody sends
//! a tenant's next event before the last one. Each attempt has a fencing token: what a worker notes that was frozen meanwhile
//! is not noted.
//!
//! Locks are taken in one order: the webhook, then its queue, then its deliveries. Who deletes a webhook begins with its row.

use std::{collections::HashSet, time::Duration};

use chrono::{DateTime, Utc};
use serde_json::Value;
use tenantry_domain::{
    event::{Event, SealedMembers},
    http_url::HttpUrl,
    ids::{EventId, WebhookId},
};
use uuid::Uuid;

use crate::{Registry, RegistryError, error::Stored, events::EventRow, operation_leases::interval};

/// How much a worker takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TakeLimits {
    /// At a time of one webhook, what it has in hand included.
    pub of_one: usize,
    /// Now, of all webhooks.
    pub in_all: usize,
}

/// A queue that is a worker's, until its lease ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TakenQueue {
    /// The webhook.
    pub webhook: WebhookId,
    /// The tenant.
    queue: Uuid,
    /// The fencing token of the attempt.
    fence: i64,
}

/// The next thing that a webhook is to be told.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The queue that it is the first of.
    pub taken: TakenQueue,
    /// Where to send it.
    pub url: HttpUrl,
    /// What to sign it with, sealed; after a rotation both.
    pub secrets: Vec<Vec<u8>>,
    /// What happened.
    pub event: Event,
    /// One-time tokens, if the webhook asks for the event's type by name and they have not expired.
    pub secret: Option<SealedMembers>,
    /// How often it has failed.
    pub failed: u32,
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttemptEnd {
    /// It was taken.
    Delivered {
        /// The answer's status.
        status: u16,
    },
    /// It was not.
    Failed {
        /// The answer's status, if there was one.
        status: Option<u16>,
        /// For a person.
        error: String,
        /// When to try again; none: never.
        again_at: Option<DateTime<Utc>>,
        /// The webhook is to be told nothing more.
        disables: bool,
    },
}

struct AttemptRow {
    webhook_id: Uuid,
    queue: Uuid,
    url: String,
    webhook_secret: Vec<u8>,
    former_secret: Option<Vec<u8>>,
    attempts: i32,
    id: Uuid,
    kind: String,
    tenant_id: Option<Uuid>,
    at: DateTime<Utc>,
    data: Value,
    secret: Option<Vec<u8>>,
    secret_expires_at: Option<DateTime<Utc>>,
}

impl AttemptRow {
    fn attempt(self, taken: TakenQueue) -> Result<Attempt, RegistryError> {
        let Self { id, kind, tenant_id, at, data, .. } = self;
        let secret = self.secret.zip(self.secret_expires_at);
        Ok(Attempt {
            taken,
            url: HttpUrl::parse(&self.url).stored("webhooks.url")?,
            secrets: [Some(self.webhook_secret), self.former_secret].into_iter().flatten().collect(),
            event: EventRow { id, kind, tenant_id, at, data }.try_into()?,
            secret: secret.map(|(sealed, expires_at)| SealedMembers { sealed, expires_at }),
            failed: self.attempts.cast_unsigned(),
        })
    }
}

impl Registry {
    /// Takes queues that are due and that no worker has. `busy` is what the worker has in hand, by webhook.
    pub async fn webhook_queues_take(
        &self,
        now: DateTime<Utc>,
        busy: &[(WebhookId, usize)],
        limits: TakeLimits,
        lease: Duration,
    ) -> Result<Vec<TakenQueue>, RegistryError> {
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let (ids, counts): (Vec<Uuid>, Vec<i64>) =
            busy.iter().map(|(webhook, held)| (webhook.as_uuid(), count(*held))).unzip();
        let taken = sqlx::query!(
            "WITH taken AS (
                 SELECT free.webhook_id, free.queue
                 FROM webhooks LEFT JOIN unnest($2::uuid[], $3::bigint[]) AS busy (id, held) ON busy.id = webhooks.id,
                     LATERAL (
                         SELECT webhook_id, queue FROM webhook_queues
                         WHERE webhook_id = webhooks.id AND due_at <= $1
                             AND (leased_until IS NULL OR leased_until <= now())
                         ORDER BY due_at LIMIT greatest($4 - coalesce(held, 0), 0) FOR UPDATE SKIP LOCKED
                     ) AS free
                 WHERE webhooks.enabled LIMIT $5
             )
             UPDATE webhook_queues AS known SET leased_until = now() + $6, fence = nextval('webhook_fences')
             FROM taken WHERE known.webhook_id = taken.webhook_id AND known.queue = taken.queue
             RETURNING known.webhook_id, known.queue, fence",
            now,
            &ids,
            &counts,
            count(limits.of_one),
            count(limits.in_all),
            interval(lease),
        )
        .fetch_all(&self.relaxed)
        .await?;
        let queue =
            |webhook_id, queue, fence| TakenQueue { webhook: WebhookId::from_uuid(webhook_id), queue, fence };
        Ok(taken.into_iter().map(|row| queue(row.webhook_id, row.queue, row.fence)).collect())
    }

    /// The first of each queue that was taken; a queue that is empty is given up. A statement of its own: what others have noted
    /// before the queue was taken must be seen.
    pub async fn webhook_attempts(
        &self,
        taken: &[TakenQueue],
        now: DateTime<Utc>,
    ) -> Result<Vec<Attempt>, RegistryError> {
        let webhooks: Vec<Uuid> = taken.iter().map(|taken| taken.webhook.as_uuid()).collect();
        let queues: Vec<Uuid> = taken.iter().map(|taken| taken.queue).collect();
        let rows = sqlx::query_as!(
            AttemptRow,
            r#"SELECT taken.webhook_id AS "webhook_id!", taken.queue AS "queue!", url, webhooks.secret AS webhook_secret,
                   CASE WHEN former_until > $3 THEN former_secret END AS former_secret,
                   next.attempts, events.id, type AS kind, events.tenant_id, at, data,
                   CASE WHEN type = ANY (types) AND secret_expires_at > $3 THEN events.secret END AS secret, secret_expires_at
               FROM unnest($1::uuid[], $2::uuid[]) AS taken (webhook_id, queue)
               JOIN webhooks ON webhooks.id = taken.webhook_id
               CROSS JOIN LATERAL (
                   SELECT event_id, attempts FROM webhook_deliveries AS delivery
                   WHERE delivery.webhook_id = taken.webhook_id AND delivery.queue = taken.queue AND state = 'pending'
                   ORDER BY number LIMIT 1) AS next
               JOIN events ON events.id = next.event_id"#,
            &webhooks,
            &queues,
            now,
        )
        .fetch_all(&self.relaxed)
        .await?;
        let mut attempts = Vec::with_capacity(rows.len());
        let mut found = HashSet::new();
        for row in rows {
            let is_its =
                |taken: &&TakenQueue| taken.webhook.as_uuid() == row.webhook_id && taken.queue == row.queue;
            let Some(taken) = taken.iter().find(is_its) else { continue };
            found.insert((taken.webhook, taken.queue));
            let id = row.id;
            match row.attempt(*taken) {
                Ok(attempt) => attempts.push(attempt),
                // Of a newer release, whose workers will send it. Nothing else waits for that: its queue stays taken for a while.
                Err(error) => {
                    tracing::warn!(event.id = %id, error = &error as &dyn std::error::Error, "event {id} cannot be read: {error}");
                }
            }
        }
        for empty in taken.iter().filter(|taken| !found.contains(&(taken.webhook, taken.queue))) {
            self.webhook_queue_go_on(empty, None).await?;
        }
        Ok(attempts)
    }

    /// Keeps a queue; false if another worker has it.
    pub async fn webhook_queue_renew(
        &self,
        taken: &TakenQueue,
        lease: Duration,
    ) -> Result<bool, RegistryError> {
        let renewed = sqlx::query!(
            "UPDATE webhook_queues SET leased_until = now() + $4 WHERE webhook_id = $1 AND queue = $2 AND fence = $3",
            taken.webhook.as_uuid(),
            taken.queue,
            taken.fence,
            interval(lease),
        )
        .execute(&self.relaxed)
        .await?;
        Ok(renewed.rows_affected() == 1)
    }

    /// Notes what came of an attempt, and gives its queue back. False, and nothing is noted, if another worker has had the queue
    /// since, or the webhook is gone.
    pub async fn webhook_attempt_end(
        &self,
        attempt: &Attempt,
        end: &AttemptEnd,
        now: DateTime<Utc>,
    ) -> Result<bool, RegistryError> {
        let (state, status, error, again_at, disables) = match end {
            AttemptEnd::Delivered { status } => ("delivered", Some(*status), None, None, false),
            AttemptEnd::Failed { status, error, again_at, disables } => {
                let state = if again_at.is_some() { "pending" } else { "dead" };
                (state, *status, Some(error.as_str()), *again_at, *disables)
            }
        };
        let taken = &attempt.taken;
        let mut tx = self.relaxed.begin().await?;
        if disables {
            sqlx::query!(
                "UPDATE webhooks SET enabled = false, disabled_reason = $2, updated_at = $3 WHERE id = $1",
                taken.webhook.as_uuid(),
                error,
                now,
            )
            .execute(&mut *tx)
            .await?;
        }
        // Locked before it is read: whoever adds to the queue waits, so that what follows sees all of it.
        let held = sqlx::query!(
            "SELECT fence FROM webhook_queues
             WHERE webhook_id = (SELECT id FROM webhooks WHERE id = $1 FOR KEY SHARE) AND queue = $2 AND fence = $3
             FOR UPDATE",
            taken.webhook.as_uuid(),
            taken.queue,
            taken.fence,
        )
        .fetch_optional(&mut *tx)
        .await?;
        if held.is_none() {
            tx.rollback().await?;
            return Ok(false);
        }
        if attempt.secret.is_some() {
            // Of two who have delivered it at once, the second sees that the first has.
            sqlx::query!("SELECT FROM events WHERE id = $1 FOR NO KEY UPDATE", attempt.event.id.as_uuid())
                .fetch_optional(&mut *tx)
                .await?;
        }
        sqlx::query!(
            "WITH noted AS (
                 UPDATE webhook_deliveries SET state = $3, attempts = attempts + 1, status = $4, error = coalesce($5, error),
                     attempted_at = $6, finished_at = CASE WHEN $3 <> 'pending' THEN $6::timestamptz END
                 WHERE webhook_id = $1 AND event_id = $2 AND state = 'pending'
             )
             UPDATE events SET secret = NULL, secret_expires_at = NULL
             WHERE id = $2 AND secret IS NOT NULL AND $3 = 'delivered' AND NOT EXISTS (
                 SELECT FROM webhook_deliveries JOIN webhooks ON webhooks.id = webhook_id
                 WHERE event_id = $2 AND webhook_id <> $1 AND webhook_deliveries.state <> 'delivered'
                     AND events.type = ANY (types))",
            taken.webhook.as_uuid(),
            attempt.event.id.as_uuid(),
            state,
            status.map(i32::from),
            error,
            now,
        )
        .execute(&mut *tx)
        .await?;
        let waits = again_at.map(|at| (attempt.event.id, at));
        Self::webhook_queue_go_on_in_tx(&mut tx, taken, waits).await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn webhook_queue_go_on(
        &self,
        taken: &TakenQueue,
        waits: Option<(EventId, DateTime<Utc>)>,
    ) -> Result<(), RegistryError> {
        let mut tx = self.relaxed.begin().await?;
        sqlx::query!(
            "SELECT fence FROM webhook_queues WHERE webhook_id = $1 AND queue = $2 FOR UPDATE",
            taken.webhook.as_uuid(),
            taken.queue,
        )
        .fetch_optional(&mut *tx)
        .await?;
        Self::webhook_queue_go_on_in_tx(&mut tx, taken, waits).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Gives a queue back that is locked: due at once, or when its first may be tried again; one that is empty goes.
    async fn webhook_queue_go_on_in_tx(
        tx: &mut crate::TimedConnection,
        taken: &TakenQueue,
        waits: Option<(EventId, DateTime<Utc>)>,
    ) -> Result<(), RegistryError> {
        let (event, at) = waits.unzip();
        sqlx::query!(
            "WITH next AS MATERIALIZED (
                 SELECT event_id FROM webhook_deliveries WHERE webhook_id = $1 AND queue = $2 AND state = 'pending'
                 ORDER BY number LIMIT 1
             ), emptied AS (
                 DELETE FROM webhook_queues
                 WHERE webhook_id = $1 AND queue = $2 AND fence = $3 AND NOT EXISTS (SELECT FROM next)
             )
             UPDATE webhook_queues SET leased_until = NULL, due_at = CASE
                 -- What was replayed meanwhile comes first, and at once.
                 WHEN next.event_id = $4 THEN $5::timestamptz ELSE '-infinity' END
             FROM next WHERE webhook_id = $1 AND queue = $2 AND fence = $3",
            taken.webhook.as_uuid(),
            taken.queue,
            taken.fence,
            event.map(EventId::as_uuid),
            at,
        )
        .execute(tx)
        .await?;
        Ok(())
    }
}
