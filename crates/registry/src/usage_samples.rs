//! Table `usage_samples`: what data planes append, and its merging into hours.

use chrono::{DateTime, Utc};
use tenantry_domain::ids::{TenantId, UsageBatchId};
use uuid::Uuid;

use crate::{Registry, RegistryError};

/// A tenant's traffic through one data plane since that data plane's last sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsageSample {
    /// The tenant.
    pub tenant_id: TenantId,
    /// Requests answered.
    pub requests: u64,
    /// Bytes of request bodies.
    pub bytes_in: u64,
    /// Bytes of answers' bodies.
    pub bytes_out: u64,
    /// Requests answered with 5xx.
    pub errors: u64,
    /// Microseconds that answering took, to the answers' heads.
    pub duration_us: u64,
    /// Of these, while PostgreSQL had the request.
    pub database_us: u64,
}

/// Samples that are appended together, once: whoever does not learn whether they were sends them again.
#[derive(Debug, Clone)]
pub struct UsageBatch {
    /// By which it is known again.
    pub id: UsageBatchId,
    /// When the samples were taken.
    pub at: DateTime<Utc>,
    /// One per tenant.
    pub samples: Vec<UsageSample>,
}

impl Registry {
    /// Appends samples, unless they were appended before. Those of tenants that are gone meanwhile are dropped.
    pub async fn usage_append(&self, batch: &UsageBatch) -> Result<(), RegistryError> {
        let samples = &batch.samples;
        let column = |value: fn(&UsageSample) -> u64| -> Vec<i64> {
            samples.iter().map(|sample| i64::try_from(value(sample)).unwrap_or(i64::MAX)).collect()
        };
        let tenants: Vec<Uuid> = samples.iter().map(|sample| sample.tenant_id.as_uuid()).collect();
        sqlx::query!(
            "WITH batch AS (INSERT INTO usage_batches (id) VALUES ($6) ON CONFLICT DO NOTHING RETURNING 1)
             INSERT INTO usage_samples (tenant_id, at, requests, bytes_in, bytes_out, errors, duration_us, database_us)
             SELECT sample.tenant_id, $5, sample.requests, sample.bytes_in, sample.bytes_out, errors, duration_us, database_us
             FROM batch, unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $7::bigint[], $8::bigint[], $9::bigint[])
                 AS sample (tenant_id, requests, bytes_in, bytes_out, errors, duration_us, database_us)
             WHERE EXISTS (SELECT 1 FROM tenants WHERE tenants.id = sample.tenant_id)",
            &tenants,
            &column(|sample| sample.requests),
            &column(|sample| sample.bytes_in),
            &column(|sample| sample.bytes_out),
            batch.at,
            batch.id.as_uuid(),
            &column(|sample| sample.errors),
            &column(|sample| sample.duration_us),
            &column(|sample| sample.database_us),
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Merges up to `limit` samples from before a time into one per tenant and hour; answers how many were
    /// merged. An hour that is merged in several rounds has as many samples: they are for adding up.
    pub async fn usage_compact(&self, before: DateTime<Utc>, limit: i64) -> Result<u64, RegistryError> {
        let merged = sqlx::query_scalar!(
            r#"WITH fine AS (
                   DELETE FROM usage_samples WHERE NOT hourly AND at < $1 AND (tableoid, ctid) IN (
                       SELECT tableoid, ctid FROM usage_samples WHERE NOT hourly AND at < $1
                       ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED)
                   RETURNING tenant_id, at, requests, bytes_in, bytes_out, errors, duration_us, database_us
               ), merged AS (
                   INSERT INTO usage_samples
                       (tenant_id, at, requests, bytes_in, bytes_out, errors, duration_us, database_us, hourly)
                   SELECT tenant_id, date_trunc('hour', at, 'UTC'), sum(requests)::bigint, sum(bytes_in)::bigint,
                       sum(bytes_out)::bigint, sum(errors)::bigint, sum(duration_us)::bigint,
                       sum(database_us)::bigint, true
                   FROM fine GROUP BY 1, 2
               )
               SELECT count(*) AS "count!" FROM fine"#,
            before,
            limit,
        )
        .fetch_one(&self.housekeeping)
        .await?;
        Ok(merged.cast_unsigned())
    }

    /// Forgets which batches were appended some days ago; nobody sends them again. Answers how many.
    pub async fn usage_forget_batches(&self) -> Result<u64, RegistryError> {
        let forgotten =
            sqlx::query!("DELETE FROM usage_batches WHERE appended_at < now() - interval '2 days'")
                .execute(&self.housekeeping)
                .await?;
        Ok(forgotten.rows_affected())
    }
}
