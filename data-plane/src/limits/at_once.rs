//! How many requests of a tenant one data plane serves at a time.

use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use quick_cache::sync::Cache;
use tenantry_domain::{ids::TenantId, route::Route};

use super::{Exceeded, LimitReached, TENANTS};

/// When a client may try again: a request takes some milliseconds, one that is slow a second.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// See the module.
pub(super) struct AtOnce(Cache<TenantId, Arc<AtomicU32>>);

/// A request's place; free again when it is dropped.
pub(crate) struct Place(Arc<AtomicU32>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl AtOnce {
    pub(super) fn new() -> Self {
        Self(Cache::new(TENANTS))
    }

    /// A place; none where nothing limits the tenant.
    pub(super) fn enter(&self, route: &Route) -> Result<Option<Place>, LimitReached> {
        let Some(most) = route.limits.concurrent_requests.map(NonZeroU32::get) else { return Ok(None) };
        let served =
            self.0.get_or_insert_with(&route.tenant_id, || Ok::<_, std::convert::Infallible>(Arc::default()));
        let Ok(served) = served;
        let place = Place(served);
        if place.0.fetch_add(1, Ordering::AcqRel) < most {
            Ok(Some(place))
        } else {
            Err(LimitReached { limit: Exceeded::AtOnce { most }, wait: TRY_AGAIN })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::tests::route;

    #[test]
    fn so_many_are_served_and_the_next_when_one_has_ended() {
        let at_once = AtOnce::new();
        let mut acme = route(1, "acme");
        assert!(at_once.enter(&acme).unwrap().is_none());
        acme.limits.concurrent_requests = NonZeroU32::new(2);
        let (first, _second) = (at_once.enter(&acme).unwrap(), at_once.enter(&acme).unwrap());
        for _ in 0..3 {
            assert!(at_once.enter(&acme).is_err());
        }
        drop(first);
        assert!(at_once.enter(&acme).is_ok());
    }
}
