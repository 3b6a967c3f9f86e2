//! Warm pools in the caller's hand: filled when it says so.

use tenantry_domain::SystemClock;
use tenantry_worker::{Settings, StepError, Worker, reconcilers::fill_warm_tenants};

use crate::TestApp;

/// A pool of warm tenants of each app on each server, that only [`WarmPool::fill`] fills.
#[derive(Debug)]
pub struct WarmPool(Worker);

impl TestApp {
    /// Keeps the workers from filling the pools of warm tenants, and answers what fills them instead, up to a
    /// number of tenants each.
    ///
    /// # Panics
    /// The registry cannot be reached.
    pub async fn warm_pool_in_hand(&self, tenants: usize) -> WarmPool {
        // As a worker that has taken the reconciler and never gives it back.
        let take = "INSERT INTO reconcilers (name, lease_owner, lease_expires_at)
                    VALUES ('fill_warm_tenants', 'test', 'infinity')
                    ON CONFLICT (name) DO UPDATE SET lease_owner = 'test', lease_expires_at = 'infinity'";
        sqlx::query(take).execute(self.owner()).await.expect("the reconciler is taken");
        let settings = Settings { warm_tenants: tenants, ..self.worker_settings() };
        WarmPool(self.idle_worker_with(SystemClock::shared(), settings))
    }

    /// Lets the workers fill the pools again.
    ///
    /// # Panics
    /// The registry cannot be reached.
    pub async fn give_back_warm_pool(&self) {
        let give_back = "UPDATE reconcilers SET lease_owner = NULL, lease_expires_at = NULL, due_at = now()
                         WHERE name = 'fill_warm_tenants'";
        sqlx::query(give_back).execute(self.owner()).await.expect("the reconciler is given back");
    }
}

impl WarmPool {
    /// Fills the pools; answers how many tenants that took.
    ///
    /// # Errors
    /// The registry cannot be reached.
    pub async fn fill(&self) -> Result<u64, StepError> {
        fill_warm_tenants::run(self.0.resources()).await
    }
}
