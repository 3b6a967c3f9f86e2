//! Partitions of `usage_samples` and `storage_samples`: one per week.

use crate::{Registry, RegistryError};

impl Registry {
    /// Makes this week of samples and the next two where they are missing: workers may be away for a while.
    pub async fn sample_weeks_make(&self) -> Result<(), RegistryError> {
        sqlx::query_scalar!("SELECT make_sample_weeks(now(), now() + interval '14 days')")
            .fetch_one(&self.housekeeping)
            .await?;
        Ok(())
    }

    /// Forgets the weeks of samples that ended so many days ago; answers how much was dropped.
    pub async fn sample_weeks_drop(&self, days: u16) -> Result<u64, RegistryError> {
        let dropped = sqlx::query_scalar!(
            r#"SELECT drop_sample_weeks(now() - make_interval(days => $1)) AS "dropped!""#,
            i32::from(days)
        )
        .fetch_one(&self.housekeeping)
        .await?;
        Ok(dropped.cast_unsigned())
    }
}
