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
        self.keep_from_workers("fill_warm_tenants").await;
        let settings = Settings { warm_tenants: tenants, ..self.worker_settings() };
        WarmPool(self.idle_worker_with(SystemClock::shared(), settings))
    }

    /// Lets the workers fill the pools again.
    ///
    /// # Panics
    /// The registry cannot be reached.
    pub async fn give_back_warm_pool(&self) {
        self.leave_to_workers("fill_warm_tenants").await;
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
