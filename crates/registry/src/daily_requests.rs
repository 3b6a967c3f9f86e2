//! Table `daily_requests`: how many requests of a day data planes may serve for each tenant.

use chrono::NaiveDate;
use tenantry_domain::ids::TenantId;

use crate::{Registry, RegistryError};

/// More is no limit, and adding to it stays within 64 bits.
const MOST: u64 = 1_000_000_000_000_000;

impl Registry {
    /// Takes up to `wanted` of the `most` requests of a day; how many, none if all are taken. `unasked` were served while
    /// the registry could not be asked.
    pub async fn daily_requests_take(
        &self,
        tenant: TenantId,
        day: NaiveDate,
        most: u64,
        wanted: u64,
        unasked: u64,
    ) -> Result<u64, RegistryError> {
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let granted = sqlx::query_scalar!(
            r#"SELECT take_daily_requests($1, $2, $3, $4, $5) AS "granted!""#,
            tenant.as_uuid(),
            day,
            number(most.min(MOST)),
            number(wanted),
            number(unasked),
        )
        .fetch_one(&self.relaxed)
        .await?;
        Ok(granted.cast_unsigned())
    }

    /// Forgets the days before one; answers how many rows.
    pub async fn daily_requests_forget(&self, before: NaiveDate) -> Result<u64, RegistryError> {
        let forgotten = sqlx::query!("DELETE FROM daily_requests WHERE day < $1", before)
            .execute(&self.housekeeping)
            .await?;
        Ok(forgotten.rows_affected())
    }
}
