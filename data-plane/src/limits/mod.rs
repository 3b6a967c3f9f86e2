//! What a tenant's plan lets it take of this data plane, beyond what its requests are: how fast, how many in a day, how many
//! at a time, and how long the database may work for them.

mod at_once;
mod daily;
mod database_time;
mod rates;

use std::time::Duration;

use tenantry_domain::route::Route;
use tenantry_registry::Registry;

use at_once::AtOnce;
pub(crate) use at_once::Place;
use daily::Daily;
use database_time::DatabaseTime;
use rates::Rates;
pub(crate) use rates::{Allowance, Kind};

use crate::events::Events;

/// Tenants that are limited at a time by each of them; whose turn is long past begins anew.
const TENANTS: usize = 100_000;

/// See the module.
pub(crate) struct TenantLimits {
    rates: Rates,
    daily: Daily,
    at_once: AtOnce,
    database_time: DatabaseTime,
}

/// The limit that a request meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exceeded {
    /// Requests come too fast: this many may at once.
    Rate { burst: u32 },
    /// The day's requests are used up.
    Daily { most: u64 },
    /// This many are being served.
    AtOnce { most: u32 },
    /// The database has worked long enough for them.
    DatabaseTime { seconds_per_minute: u32 },
}

/// Too much: nothing before this time has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LimitReached {
    pub(crate) limit: Exceeded,
    pub(crate) wait: Duration,
}

impl TenantLimits {
    pub(crate) fn new(registry: Registry, events: Events) -> Self {
        Self {
            rates: Rates::new(),
            daily: Daily::new(registry, events),
            at_once: AtOnce::new(),
            database_time: DatabaseTime::new(),
        }
    }

    /// Counts a request for data; how many more may come, where that is limited. What would be refused anyway does not count
    /// for the day.
    pub(crate) async fn enter(
        &self,
        route: &Route,
        now: chrono::DateTime<chrono::Utc>,
    ) -> Result<Option<Allowance>, LimitReached> {
        let allowance = self.rates.count(route, Kind::Data)?;
        self.database_time.check(route)?;
        self.daily.count(route, now).await?;
        Ok(allowance)
    }

    /// A place among the requests that are served at a time: once all of it is there, so that nobody holds one by sending slowly.
    pub(crate) fn place(&self, route: &Route) -> Result<Option<Place>, LimitReached> {
        self.at_once.enter(route)
    }

    /// Counts a request of somebody who is not logged in yet.
    pub(crate) fn count_auth(&self, route: &Route) -> Result<(), LimitReached> {
        self.rates.count(route, Kind::Auth).map(drop)
    }

    /// The database has worked for a tenant.
    pub(crate) fn worked(&self, route: &Route, time: Duration) {
        self.database_time.spend(route, time);
    }
}
