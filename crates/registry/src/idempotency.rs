//! Table `idempotency_records`: the first answer to a request, to be given again.

use chrono::{DateTime, Utc};
use uuid::Uuid;

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

/// A request with an `Idempotency-Key`.
#[derive(Debug, Clone, Copy)]
pub struct IdempotentRequest<'a> {
    /// Whose key space it is.
    pub caller: &'a str,
    /// The key.
    pub key: &'a str,
    /// Differs when anything does that makes it another request.
    pub hash: &'a [u8],
    /// What its claim is called, if it gets one; new for each request.
    pub claim: Uuid,
}

/// What became of the claim on a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdempotencyClaim {
    /// The key is the request's: do the work, then store the answer.
    Claimed {
        /// The claim.
        claim: Uuid,
        /// The same request was at work under this claim and was not answered: its process died, or it
        /// failed. It may have been done: look first, and do what is missing.
        unanswered: bool,
    },
    /// The same request was answered before.
    Answered(StoredAnswer),
    /// The same request is at work now.
    InProgress,
    /// The key was used with another request.
    Differs,
}

impl Registry {
    /// Claims a key for a request. Records older than `forget_before` are as if they were not; unanswered
    /// ones that were released, or are older than `abandoned_before` (their process died), are claimed anew.
    pub async fn idempotency_claim(
        &self,
        request: &IdempotentRequest<'_>,
        now: DateTime<Utc>,
        forget_before: DateTime<Utc>,
        abandoned_before: DateTime<Utc>,
    ) -> Result<IdempotencyClaim, RegistryError> {
        let IdempotentRequest { caller, key, hash, claim } = *request;
        let claimed = sqlx::query_scalar!(
            "INSERT INTO idempotency_records AS record (caller, key, request_hash, created_at, claim)
             VALUES ($1, $2, $3, $4, $7)
             ON CONFLICT (caller, key) DO UPDATE
                 SET request_hash = $3, created_at = $4, status = NULL, headers = NULL, body = NULL, released = false,
                     claim = CASE WHEN record.created_at >= $5 AND record.request_hash = $3 THEN record.claim ELSE $7 END
                 WHERE record.created_at < $5
                     OR (record.status IS NULL AND (record.released OR record.created_at < $6))
             RETURNING claim",
            caller,
            key,
            hash,
            now,
            forget_before,
            abandoned_before,
            claim,
        )
        .fetch_optional(&self.pool)
        .await?;
        if let Some(claimed) = claimed {
            return Ok(IdempotencyClaim::Claimed { claim: claimed, unanswered: claimed != claim });
        }
        let record = sqlx::query!(
            "SELECT request_hash, status, headers, body FROM idempotency_records WHERE caller = $1 AND key = $2",
            caller,
            key
        )
        .fetch_optional(&self.pool)
        .await?;
        // It was forgotten between the two statements.
        let Some(record) = record else { return Ok(IdempotencyClaim::InProgress) };
        if record.request_hash != hash {
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

    /// Stores the answer to a claimed key, unless another request has the key since.
    pub async fn idempotency_answer(&self, claim: Uuid, answer: &StoredAnswer) -> Result<(), RegistryError> {
        sqlx::query!(
            "UPDATE idempotency_records SET status = $2, headers = $3, body = $4 WHERE claim = $1",
            claim,
            answer.status.cast_signed(),
            crate::error::to_json(&answer.headers),
            answer.body,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Lets the same request come again: it failed for a reason that may pass.
    pub async fn idempotency_release(&self, claim: Uuid) -> Result<(), RegistryError> {
        sqlx::query!(
            "UPDATE idempotency_records SET released = true WHERE claim = $1 AND status IS NULL",
            claim
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Forgets old records; answers how many.
    pub async fn idempotency_forget(&self, before: DateTime<Utc>) -> Result<u64, RegistryError> {
        let done = sqlx::query!("DELETE FROM idempotency_records WHERE created_at < $1", before)
            .execute(&self.housekeeping)
            .await?;
        Ok(done.rows_affected())
    }
}
