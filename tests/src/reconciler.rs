//! Periodic tasks in the caller's hand: the workers leave them alone.

use std::time::Duration;

use crate::{TestApp, within::within};

impl TestApp {
    /// Keeps the workers from a periodic task, as a worker that has taken it and never gives it back. A round that
    /// is on its way ends first.
    ///
    /// # Panics
    /// The registry cannot be reached.
    pub async fn keep_from_workers(&self, reconciler: &str) {
        let take = "INSERT INTO reconcilers AS known (name, lease_owner, lease_expires_at) VALUES ($1, 'test', 'infinity')
                    ON CONFLICT (name) DO UPDATE SET lease_owner = 'test', lease_expires_at = 'infinity'
                    WHERE known.lease_owner IS NULL OR known.lease_expires_at < now()";
        within(Duration::from_mins(1), &format!("{reconciler} is free"), async || {
            let taken = sqlx::query(take).bind(reconciler).execute(self.owner()).await;
            taken.expect("the registry answers").rows_affected() == 1
        })
        .await;
    }

    /// Lets the workers have a periodic task again.
    ///
    /// # Panics
    /// The registry cannot be reached.
    pub async fn leave_to_workers(&self, reconciler: &str) {
        let give_back = "UPDATE reconcilers SET lease_owner = NULL, lease_expires_at = NULL, due_at = now()
                         WHERE name = $1";
        let given = sqlx::query(give_back).bind(reconciler).execute(self.owner()).await;
        given.expect("the registry answers");
    }
}
