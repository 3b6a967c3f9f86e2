//! Table `reconcilers`: periodic tasks, each run by one worker at a time, on the registry's clock.

use std::time::Duration;

use crate::{Registry, RegistryError, operation_leases::interval};

impl Registry {
    /// Makes the rows of reconcilers that have none yet; they are due at once.
    pub async fn reconcilers_add(&self, names: &[&str]) -> Result<(), RegistryError> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        sqlx::query!(
            "INSERT INTO reconcilers (name) SELECT name FROM unnest($1::text[]) AS name ON CONFLICT DO NOTHING",
            &names
        )
        .execute(&self.relaxed)
        .await?;
        Ok(())
    }

    /// Takes the reconcilers that are due and that no worker has, in one round trip; their names.
    pub async fn reconcilers_take(
        &self,
        worker: &str,
        names: &[&str],
        lease: Duration,
    ) -> Result<Vec<String>, RegistryError> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let taken = sqlx::query_scalar!(
            "UPDATE reconcilers SET lease_owner = $1, lease_expires_at = now() + $2
             WHERE name IN (
                 SELECT name FROM reconcilers WHERE name = ANY ($3) AND due_at <= now()
                     AND (lease_expires_at IS NULL OR lease_expires_at <= now())
                 FOR UPDATE SKIP LOCKED)
             RETURNING name",
            worker,
            interval(lease),
            &names,
        )
        .fetch_all(&self.relaxed)
        .await?;
        Ok(taken)
    }

    /// Extends the lease on a reconciler at work; false if another worker has it.
    pub async fn reconciler_renew(
        &self,
        worker: &str,
        name: &str,
        lease: Duration,
    ) -> Result<bool, RegistryError> {
        let renewed = sqlx::query!(
            "UPDATE reconcilers SET lease_expires_at = now() + $3 WHERE name = $1 AND lease_owner = $2",
            name,
            worker,
            interval(lease),
        )
        .execute(&self.relaxed)
        .await?;
        Ok(renewed.rows_affected() == 1)
    }

    /// Gives a reconciler back, due again after a time.
    pub async fn reconciler_done(
        &self,
        worker: &str,
        name: &str,
        again_after: Duration,
        error: Option<&str>,
    ) -> Result<(), RegistryError> {
        sqlx::query!(
            "UPDATE reconcilers SET lease_owner = NULL, lease_expires_at = NULL, finished_at = now(), error = $4,
                 due_at = now() + $3
             WHERE name = $1 AND lease_owner = $2",
            name,
            worker,
            interval(again_after),
            error,
        )
        .execute(&self.relaxed)
        .await?;
        Ok(())
    }
}
