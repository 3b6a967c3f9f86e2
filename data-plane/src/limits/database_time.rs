//! How long the database may work in a minute for a tenant's requests to one data plane. What a request took is known
//! when it has ended: whoever has used up his time waits until enough of the minute has passed.

use std::{
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use quick_cache::sync::Cache;
use tenantry_domain::{ids::TenantId, route::Route};

use super::{Exceeded, LimitReached, TENANTS};

/// See the module.
pub(super) struct DatabaseTime(Cache<TenantId, Arc<Mutex<Account>>>);

/// What is left, and when that was.
struct Account {
    /// Seconds; less than nothing while more was used than there was.
    left: f64,
    at: Instant,
}

const MINUTE: f64 = 60.0;

impl Account {
    /// What is left now: it grows until it is the whole of a minute's.
    fn left(&mut self, per_minute: f64, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.left = (self.left + passed * per_minute / MINUTE).min(per_minute);
        self.at = self.at.max(now);
        self.left
    }
}

impl DatabaseTime {
    pub(super) fn new() -> Self {
        Self(Cache::new(TENANTS))
    }

    fn account(&self, tenant: TenantId, per_minute: f64) -> Arc<Mutex<Account>> {
        let full = || Arc::new(Mutex::new(Account { left: per_minute, at: Instant::now() }));
        let Ok(account) = self.0.get_or_insert_with(&tenant, || Ok::<_, std::convert::Infallible>(full()));
        account
    }

    /// Whether the tenant has time left.
    pub(super) fn check(&self, route: &Route) -> Result<(), LimitReached> {
        let Some(seconds) = route.limits.database_seconds_per_minute.map(NonZeroU32::get) else {
            return Ok(());
        };
        let per_minute = f64::from(seconds);
        let account = self.account(route.tenant_id, per_minute);
        let left = account.lock().unwrap_or_else(PoisonError::into_inner).left(per_minute, Instant::now());
        if left > 0.0 {
            return Ok(());
        }
        let wait = Duration::from_secs_f64(-left * MINUTE / per_minute);
        Err(LimitReached { limit: Exceeded::DatabaseTime { seconds_per_minute: seconds }, wait })
    }

    /// Takes what a request took.
    pub(super) fn spend(&self, route: &Route, time: Duration) {
        let Some(seconds) = route.limits.database_seconds_per_minute else { return };
        let per_minute = f64::from(seconds.get());
        let account = self.account(route.tenant_id, per_minute);
        let mut account = account.lock().unwrap_or_else(PoisonError::into_inner);
        account.left(per_minute, Instant::now());
        // Of many at once each is let in: nobody waits for more than two minutes.
        account.left = (account.left - time.as_secs_f64()).max(-per_minute);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::tests::route;

    #[test]
    fn who_has_used_up_his_time_waits_for_the_rest_of_it() {
        let times = DatabaseTime::new();
        let mut acme = route(1, "acme");
        times.spend(&acme, Duration::from_secs(100));
        assert_eq!(times.check(&acme), Ok(()));
        acme.limits.database_seconds_per_minute = NonZeroU32::new(6);
        assert_eq!(times.check(&acme), Ok(()));
        times.spend(&acme, Duration::from_secs(7));
        let reached = times.check(&acme).unwrap_err();
        // A second too much, of which there are six a minute.
        assert!((9.0..=10.0).contains(&reached.wait.as_secs_f64()), "{reached:?}");
        let mut account = Account { left: -1.0, at: Instant::now() };
        let later = account.at + Duration::from_hours(1);
        assert!((account.left(6.0, later) - 6.0).abs() < 0.001);
    }
}
