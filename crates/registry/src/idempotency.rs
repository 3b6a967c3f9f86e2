//! Table `idempotency_records`: the first answer to a request, to be given again.

use chrono::{DateTime, Utc};

use crate::{Registry, RegistryError, error::Stored};

/// An answer that was given before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAnswer {
    /// HTTP status.
    pub status: u16,
    /// Headers worth repeating.
    pub headers: Vec<(String, String)>,
    /// The body, whole.
    pub body: Vec<u8>,
}

/// What became of the claim on a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdempotencyClaim {
    /// The key is new: do the work, then store the answer.
    Fresh,
    /// The same request was answered before.
    Answered(StoredAnswer),
    /// The same request is at work now.
    InProgress,
    /// The key was used with another request.
    Differs,
}

impl Registry {
    /// Claims a key for a request. Records older than `forget_before` are as if they were not; so are
    /// unanswered ones older than `abandoned_before` (their process died).
    pub async fn idempotency_claim(
        &self,
        caller: &str,
        key: &str,
        request_hash: &[u8],
        now: DateTime<Utc>,
        forget_before: DateTime<Utc>,
        abandoned_before: DateTime<Utc>,
    ) -> Result<IdempotencyClaim, RegistryError> {
        let claimed = sqlx::query!(
            "INSERT INTO idempotency_records AS record (caller, key, request_hash, created_at)
             VALUES ($1, $2, $3, $4)
             ON CONFLICT (caller, key) DO UPDATE
                 SET request_hash = $3, created_at = $4, status = NULL, headers = NULL, body = NULL
                 WHERE record.created_at < $5 OR (record.status IS NULL AND record.created_at < $6)
             RETURNING 1 AS one",
            caller,
            key,
            request_hash,
            now,
            forget_before,
            abandoned_before,
        )
        .fetch_optional(&self.pool)
        .await?;
        if claimed.is_some() {
            return Ok(IdempotencyClaim::Fresh);
        }
        let record = sqlx::query!(
            "SELECT request_hash, status, headers, body FROM idempotency_records WHERE caller = $1 AND key = $2",
            caller,
            key
        )
        .fetch_optional(&self.pool)
        .await?;
        // It was released between the two statements: the other request failed, and may be tried again.
        let Some(record) = record else { return Ok(IdempotencyClaim::InProgress) };
        if record.request_hash != request_hash {
            return Ok(IdempotencyClaim::Differs);
        }
        let Some(status) = record.status else { return Ok(IdempotencyClaim::InProgress) };
        Ok(IdempotencyClaim::Answered(StoredAnswer {
            status: u16::try_from(status).stored("idempotency_records.status")?,
            headers: serde_json::from_value(record.headers.unwrap_or_default())
                .stored("idempotency_records.headers")?,
            body: record.body.unwrap_or_default(),
        }))
    }

    /// Stores the answer to a claimed key.
    pub async fn idempotency_answer(
        &self,
        caller: &str,
        key: &str,
        answer: &StoredAnswer,
    ) -> Result<(), RegistryError> {
        sqlx::query!(
            "UPDATE idempotency_records SET status = $3, headers = $4, body = $5 WHERE caller = $1 AND key = $2",
            caller,
            key,
            answer.status.cast_signed(),
            crate::error::to_json(&answer.headers),
            answer.body,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Gives a claimed key back: the request failed for a reason that may pass.
    pub async fn idempotency_release(&self, caller: &str, key: &str) -> Result<(), RegistryError> {
        sqlx::query!(
            "DELETE FROM idempotency_records WHERE caller = $1 AND key = $2 AND status IS NULL",
            caller,
            key
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Forgets old records; answers how many.
    pub async fn idempotency_forget(&self, before: DateTime<Utc>) -> Result<u64, RegistryError> {
        let done = sqlx::query!("DELETE FROM idempotency_records WHERE created_at < $1", before)
            .execute(&self.pool)
            .await?;
        Ok(done.rows_affected())
    }
}
