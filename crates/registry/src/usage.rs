//! What tenants used, added up from `usage_samples` and `storage_samples`: for bills, and for those who ask how they do.

use chrono::{DateTime, Utc};
use tenantry_domain::{config::RATE_LIMIT, ids::TenantId, plan::Limits};

use crate::{Registry, RegistryError, routes::limits};

/// How long the parts are that usage is shown in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bucket {
    /// From one full hour to the next.
    Hour,
    /// From midnight to midnight, in UTC.
    Day,
}

tenantry_domain::names_of! { Bucket { Hour = "hour", Day = "day" } }

/// What a tenant used in a part of the time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageBucket {
    /// Its beginning.
    pub at: DateTime<Utc>,
    /// Requests answered.
    pub requests: u64,
    /// Of these, with 5xx.
    pub errors: u64,
    /// Bytes of requests' bodies.
    pub bytes_in: u64,
    /// Bytes of answers' bodies.
    pub bytes_out: u64,
    /// Microseconds that answering took.
    pub duration_us: u64,
    /// Of these, while PostgreSQL had the requests.
    pub database_us: u64,
    /// The most bytes of data that were seen; none if nobody looked.
    pub storage_bytes: Option<u64>,
}

/// How much a tenant has now, and may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// What holds for it.
    pub limits: Limits,
    /// Bytes of data when they were last looked at; none if they never were.
    pub storage_bytes: Option<u64>,
    /// Users then; none where the app has none.
    pub users: Option<u64>,
    /// Requests of today that data planes have served, or may without asking again.
    pub requests_today: u64,
}

impl Registry {
    /// What a tenant used between two times, in parts; those in which nothing was are left out.
    pub async fn usage_between(
        &self,
        tenant: TenantId,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
        bucket: Bucket,
    ) -> Result<Vec<UsageBucket>, RegistryError> {
        let rows = sqlx::query!(
            r#"WITH used AS (
                   SELECT date_trunc($4, at, 'UTC') AS bucket, sum(requests)::bigint AS requests,
                       sum(errors)::bigint AS errors, sum(bytes_in)::bigint AS bytes_in,
                       sum(bytes_out)::bigint AS bytes_out, sum(duration_us)::bigint AS duration_us,
                       sum(database_us)::bigint AS database_us
                   FROM usage_samples WHERE tenant_id = $1 AND at >= $2 AND at < $3 GROUP BY 1
               ), stored AS (
                   SELECT date_trunc($4, at, 'UTC') AS bucket, max(bytes) AS bytes
                   FROM storage_samples WHERE tenant_id = $1 AND at >= $2 AND at < $3 GROUP BY 1
               )
               SELECT bucket AS "bucket!", coalesce(requests, 0) AS "requests!", coalesce(errors, 0) AS "errors!",
                   coalesce(bytes_in, 0) AS "bytes_in!", coalesce(bytes_out, 0) AS "bytes_out!",
                   coalesce(duration_us, 0) AS "duration_us!", coalesce(database_us, 0) AS "database_us!", bytes
               FROM used FULL JOIN stored USING (bucket) ORDER BY bucket"#,
            tenant.as_uuid(),
            from,
            to,
            bucket.as_str(),
        )
        .fetch_all(&self.pool)
        .await?;
        let buckets = rows.into_iter().map(|row| UsageBucket {
            at: row.bucket,
            requests: row.requests.cast_unsigned(),
            errors: row.errors.cast_unsigned(),
            bytes_in: row.bytes_in.cast_unsigned(),
            bytes_out: row.bytes_out.cast_unsigned(),
            duration_us: row.duration_us.cast_unsigned(),
            database_us: row.database_us.cast_unsigned(),
            storage_bytes: row.bytes.map(i64::cast_unsigned),
        });
        Ok(buckets.collect())
    }

    /// How much a tenant has now, and may have; none: there is no such tenant.
    pub async fn usage_now(
        &self,
        tenant: TenantId,
        now: DateTime<Utc>,
    ) -> Result<Option<Usage>, RegistryError> {
        let row = sqlx::query!(
            r#"SELECT tenants.limits, plans.limits AS of_plan, tenant_config.value AS "per_day?",
                   bytes AS "bytes?", users AS "users?", taken AS "taken?"
               FROM tenants JOIN plans ON plans.name = plan
               LEFT JOIN tenant_config ON tenant_config.tenant_id = tenants.id AND key = $3
               LEFT JOIN tenant_storage ON tenant_storage.tenant_id = tenants.id
               LEFT JOIN daily_requests ON daily_requests.tenant_id = tenants.id AND day = $2
               WHERE tenants.id = $1"#,
            tenant.as_uuid(),
            now.date_naive(),
            RATE_LIMIT,
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| {
            Ok(Usage {
                limits: limits(&row.limits, &row.of_plan, row.per_day.as_ref())?,
                storage_bytes: row.bytes.map(i64::cast_unsigned),
                users: row.users.map(i64::cast_unsigned),
                requests_today: row.taken.unwrap_or(0).cast_unsigned(),
            })
        })
        .transpose()
    }
}
