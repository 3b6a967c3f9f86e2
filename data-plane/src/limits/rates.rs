//! How fast each tenant may send requests to this data plane: as many a second as its plan says, with a burst.
//!
//! Log-ins and the like, which anybody may try, are counted apart: who floods them takes nothing from the tenant's users.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::StateInformationMiddleware,
    state::{InMemoryState, NotKeyed},
};
use quick_cache::sync::Cache;
use tenantry_domain::{ids::TenantId, route::Route};

use super::{Exceeded, LimitReached, TENANTS};

/// Where a plan has no rate: each is a hash of a password, or a row of the audit log.
const AUTH_PER_SECOND: NonZeroU32 = NonZeroU32::new(100).unwrap();
const AUTH_BURST: NonZeroU32 = NonZeroU32::new(200).unwrap();

/// What is counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// Requests for data.
    Data,
    /// Requests of those who are not logged in yet.
    Auth,
}

/// What a tenant may still send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Allowance {
    /// At once, after a pause.
    pub(crate) burst: u32,
    /// At once, now.
    pub(crate) remaining: u32,
    /// Until it is the whole burst again.
    pub(crate) full_in: Duration,
}

type Limiter = RateLimiter<NotKeyed, InMemoryState, DefaultClock, StateInformationMiddleware>;

/// The rate that holds for a tenant, and what was counted.
struct Rate {
    per_second: NonZeroU32,
    burst: NonZeroU32,
    limiter: Limiter,
}

/// See the module.
pub(super) struct Rates(Cache<(TenantId, Kind), Arc<Rate>>);

impl Rates {
    pub(super) fn new() -> Self {
        Self(Cache::new(TENANTS))
    }

    /// Counts a request; none, where nothing limits the tenant.
    pub(super) fn count(&self, route: &Route, kind: Kind) -> Result<Option<Allowance>, LimitReached> {
        let (per_second, burst) = match (route.limits.requests_per_second, kind) {
            (Some(per_second), _) => (per_second, route.limits.burst.unwrap_or(per_second)),
            (None, Kind::Auth) => (AUTH_PER_SECOND, AUTH_BURST),
            (None, Kind::Data) => return Ok(None),
        };
        let key = (route.tenant_id, kind);
        let known = self.0.get(&key).filter(|rate| (rate.per_second, rate.burst) == (per_second, burst));
        let rate = known.unwrap_or_else(|| {
            let quota = Quota::per_second(per_second).allow_burst(burst);
            let rate =
                Arc::new(Rate { per_second, burst, limiter: RateLimiter::direct(quota).with_middleware() });
            self.0.insert(key, Arc::clone(&rate));
            rate
        });
        match rate.limiter.check() {
            Ok(state) => {
                let remaining = state.remaining_burst_capacity();
                let missing = burst.get().saturating_sub(remaining);
                let full_in = Duration::from_secs_f64(f64::from(missing) / f64::from(per_second.get()));
                Ok(Some(Allowance { burst: burst.get(), remaining, full_in }))
            }
            Err(not_until) => {
                let wait = not_until.wait_time_from(DefaultClock::default().now());
                Err(LimitReached { limit: Exceeded::Rate { burst: burst.get() }, wait })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::tests::route;

    #[test]
    fn a_tenant_gets_its_burst_and_then_its_rate_and_takes_nothing_from_others() {
        let rates = Rates::new();
        let (mut acme, mut other) = (route(1, "acme"), route(2, "other"));
        assert_eq!(rates.count(&acme, Kind::Data), Ok(None));
        for route in [&mut acme, &mut other] {
            route.limits.requests_per_second = NonZeroU32::new(1);
            route.limits.burst = NonZeroU32::new(3);
        }
        for remaining in [2, 1, 0] {
            let allowance = rates.count(&acme, Kind::Data).unwrap().unwrap();
            assert_eq!((allowance.burst, allowance.remaining), (3, remaining));
        }
        let too_fast = rates.count(&acme, Kind::Data).unwrap_err();
        assert!(too_fast.wait <= Duration::from_secs(1), "{too_fast:?}");
        assert_eq!(too_fast.limit, Exceeded::Rate { burst: 3 });
        assert!(rates.count(&acme, Kind::Auth).is_ok());
        assert!(rates.count(&other, Kind::Data).is_ok());
        // A change of the plan counts at once, and anew.
        acme.limits.burst = NonZeroU32::new(4);
        assert_eq!(rates.count(&acme, Kind::Data).unwrap().unwrap().remaining, 3);
    }
}
