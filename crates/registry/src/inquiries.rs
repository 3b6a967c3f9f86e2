//! Table `inquiries`: questions to workers, and their answers. Nothing depends on a row: one that is lost, or
//! answered twice, does no harm.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tenantry_domain::{
    ids::InquiryId,
    inquiry::{Answer, Question},
};

use crate::{
    Registry, RegistryError,
    error::{Stored, to_json},
    operation_leases::interval,
};

/// How an inquiry is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// No worker has taken it yet.
    Open,
    /// A worker is at it, or was and died.
    Taken,
    /// It is answered.
    Answered(Answer),
}

/// Whoever asked has given up after this.
const ANYBODY_WAITS: Duration = Duration::from_mins(1);

impl Registry {
    /// Asks the workers.
    pub async fn inquiry_ask(&self, id: InquiryId, question: &Question) -> Result<(), RegistryError> {
        sqlx::query!("INSERT INTO inquiries (id, question) VALUES ($1, $2)", id.as_uuid(), to_json(question))
            .execute(&self.relaxed)
            .await?;
        Ok(())
    }

    /// How an inquiry is doing; `None` if it was forgotten.
    pub async fn inquiry_get(&self, id: InquiryId) -> Result<Option<Asked>, RegistryError> {
        let row = sqlx::query!("SELECT answer, taken_until FROM inquiries WHERE id = $1", id.as_uuid())
            .fetch_optional(&self.relaxed)
            .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(match (row.answer, row.taken_until) {
            (Some(answer), _) => Asked::Answered(serde_json::from_value(answer).stored("inquiries.answer")?),
            (None, Some(_)) => Asked::Taken,
            (None, None) => Asked::Open,
        }))
    }

    /// Takes the oldest inquiry that nobody is at, for as long as `claim`; renew it meanwhile.
    pub async fn inquiry_take(
        &self,
        claim: Duration,
    ) -> Result<Option<(InquiryId, Question)>, RegistryError> {
        let taken = sqlx::query!(
            "UPDATE inquiries SET taken_until = now() + $1
             WHERE id = (
                 SELECT id FROM inquiries
                 WHERE answer IS NULL AND created_at > now() - $2::interval
                     AND (taken_until IS NULL OR taken_until <= now())
                 ORDER BY created_at LIMIT 1 FOR UPDATE SKIP LOCKED)
             RETURNING id, question",
            interval(claim),
            interval(ANYBODY_WAITS),
        )
        .fetch_optional(&self.relaxed)
        .await?;
        let Some(row) = taken else { return Ok(None) };
        let question = serde_json::from_value(row.question).stored("inquiries.question")?;
        Ok(Some((InquiryId::from_uuid(row.id), question)))
    }

    /// Keeps an inquiry that was taken.
    pub async fn inquiry_renew(&self, id: InquiryId, claim: Duration) -> Result<(), RegistryError> {
        sqlx::query!(
            "UPDATE inquiries SET taken_until = now() + $2 WHERE id = $1 AND answer IS NULL",
            id.as_uuid(),
            interval(claim),
        )
        .execute(&self.relaxed)
        .await?;
        Ok(())
    }

    /// Answers an inquiry, if somebody still wants to know; the first answer stays.
    pub async fn inquiry_answer(&self, id: InquiryId, answer: &Answer) -> Result<(), RegistryError> {
        sqlx::query!(
            "UPDATE inquiries SET answer = $2, answered_at = now() WHERE id = $1 AND answer IS NULL",
            id.as_uuid(),
            to_json(answer),
        )
        .execute(&self.relaxed)
        .await?;
        Ok(())
    }

    /// Forgets an inquiry: its answer was read, or nobody waits for it any more.
    pub async fn inquiry_forget(&self, id: InquiryId) -> Result<(), RegistryError> {
        sqlx::query!("DELETE FROM inquiries WHERE id = $1", id.as_uuid()).execute(&self.relaxed).await?;
        Ok(())
    }

    /// Forgets inquiries whose asker died; answers how many.
    pub async fn inquiries_forget(&self, before: DateTime<Utc>) -> Result<u64, RegistryError> {
        let done = sqlx::query!("DELETE FROM inquiries WHERE created_at < $1", before)
            .execute(&self.housekeeping)
            .await?;
        Ok(done.rows_affected())
    }
}
