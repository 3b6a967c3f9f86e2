//! How many requests of a tenant all data planes serve in a day, which begins at midnight UTC.
//!
//! A data plane takes requests from the registry in portions, the next before the last is used up: no request waits for the
//! registry but the first. What was served was taken before, so all of them together serve no more than the limit; an idle one
//! keeps the rest of its portion, a hundredth of the limit at most, and ever less towards the end. While the registry is away
//! requests are served, and counted when it is back.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use quick_cache::sync::Cache;
use tenantry_domain::{ids::TenantId, route::Route};
use tenantry_registry::Registry;
use tokio::{sync::watch, time::timeout};

use super::{Exceeded, LimitReached, TENANTS};
use crate::events::Events;

/// How long a request waits for the registry.
const ASK_TIMEOUT: Duration = Duration::from_millis(500);

/// After how long the registry is asked again that did not answer.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// See the module.
pub(super) struct Daily {
    tenants: Cache<TenantId, Arc<Quota>>,
    registry: Registry,
    events: Events,
}

/// One tenant's.
struct Quota {
    state: Mutex<State>,
    /// Changes whenever the registry has answered, or not.
    asked: watch::Sender<()>,
}

#[derive(Debug)]
struct State {
    day: NaiveDate,
    most: u64,
    /// Taken, and not served yet.
    left: u64,
    /// Served, and not taken yet.
    unasked: u64,
    asking: bool,
    /// The registry has no more.
    used_up: bool,
    /// The registry has not answered: until then nobody waits for it.
    away_until: Option<Instant>,
}

/// What becomes of a request.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Serve,
    Refuse,
    /// The registry has to be asked first.
    Wait,
}

impl State {
    fn new(day: NaiveDate, most: u64) -> Self {
        Self { day, most, left: 0, unasked: 0, asking: false, used_up: false, away_until: None }
    }

    /// How many are taken at a time.
    fn portion(&self) -> u64 {
        (self.most / 100).clamp(1, 10_000)
    }

    /// A new day begins anew; a new limit asks anew.
    fn turn(&mut self, day: NaiveDate, most: u64) {
        // Of one that read the clock before midnight another may have been first.
        if self.day < day {
            *self = Self { asking: self.asking, ..Self::new(day, most) };
        } else if self.most != most {
            self.most = most;
            self.used_up = false;
            // What is left of a larger limit may be more than the smaller one has.
            self.left = self.left.min(self.portion());
        }
    }

    fn verdict(&mut self, now: Instant) -> Verdict {
        if self.left > 0 {
            self.left -= 1;
            Verdict::Serve
        } else if self.used_up {
            Verdict::Refuse
        } else if self.away_until.is_some_and(|until| now < until) {
            self.unasked += 1;
            Verdict::Serve
        } else {
            Verdict::Wait
        }
    }

    /// Whether it is time to ask for more.
    fn is_low(&self, now: Instant) -> bool {
        let away = self.away_until.is_some_and(|until| now < until);
        let runs_out = !self.used_up && self.left <= self.portion() / 2;
        !self.asking && !away && (runs_out || self.unasked > 0)
    }
}

impl Daily {
    pub(super) fn new(registry: Registry, events: Events) -> Self {
        Self { tenants: Cache::new(TENANTS), registry, events }
    }

    /// Counts a request.
    pub(super) async fn count(&self, route: &Route, now: DateTime<Utc>) -> Result<(), LimitReached> {
        let Some(most) = route.limits.api_requests_per_day else { return Ok(()) };
        let (tenant, day) = (route.tenant_id, now.date_naive());
        let Ok(quota) = self.tenants.get_or_insert_with(&tenant, || {
            let quota = Quota { state: State::new(day, most).into(), asked: watch::Sender::new(()) };
            Ok::<_, std::convert::Infallible>(Arc::new(quota))
        });
        let mut asked = quota.asked.subscribe();
        loop {
            let verdict = {
                let mut state = quota.state.lock().unwrap_or_else(PoisonError::into_inner);
                state.turn(day, most);
                let instant = Instant::now();
                let verdict = state.verdict(instant);
                if state.is_low(instant) {
                    state.asking = true;
                    self.ask(tenant, Arc::clone(&quota), &mut state);
                }
                verdict
            };
            match verdict {
                Verdict::Serve => return Ok(()),
                Verdict::Refuse => {
                    let midnight = (now + TimeDelta::days(1)).date_naive().and_time(NaiveTime::MIN).and_utc();
                    let wait = (midnight - now).to_std().unwrap_or_default();
                    return Err(LimitReached { limit: Exceeded::Daily { most }, wait });
                }
                Verdict::Wait if timeout(ASK_TIMEOUT, asked.changed()).await.is_ok() => {}
                Verdict::Wait => {
                    let mut state = quota.state.lock().unwrap_or_else(PoisonError::into_inner);
                    state.away_until = Some(Instant::now() + ASK_AGAIN);
                }
            }
        }
    }

    /// Takes a portion, on a task of its own: it is not lost with the request that happened to ask.
    fn ask(&self, tenant: TenantId, quota: Arc<Quota>, state: &mut State) {
        let (registry, day, most, wanted) = (self.registry.clone(), state.day, state.most, state.portion());
        let (unasked, events) = (std::mem::take(&mut state.unasked), self.events.clone());
        tokio::spawn(async move {
            let granted = registry.daily_requests_take(tenant, day, most, wanted, unasked).await;
            {
                let mut state = quota.state.lock().unwrap_or_else(PoisonError::into_inner);
                state.asking = false;
                let is_current = state.day == day;
                match granted {
                    Ok(granted) => {
                        state.away_until = None;
                        if is_current {
                            state.left += granted;
                            state.used_up = granted == 0 && state.most == most;
                            if state.used_up {
                                events.limit_reached(tenant, "apiRequestsPerDay", day);
                            }
                        }
                    }
                    Err(error) => {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "requests of a day cannot be counted and are served: {error}"
                        );
                        state.away_until = Some(Instant::now() + ASK_AGAIN);
                        if is_current {
                            state.unasked += unasked;
                        }
                    }
                }
            }
            quota.asked.send_replace(());
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(number: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 12, number).unwrap()
    }

    #[test]
    fn what_was_taken_is_served_and_more_is_asked_for_in_time() {
        let (now, mut state) = (Instant::now(), State::new(day(1), 1_000));
        assert_eq!((state.verdict(now), state.is_low(now)), (Verdict::Wait, true));
        state.left = 10;
        let served = (0..10).filter(|_| state.verdict(now) == Verdict::Serve && !state.is_low(now)).count();
        assert_eq!(served, 4);
        state.used_up = true;
        assert_eq!((state.verdict(now), state.is_low(now)), (Verdict::Refuse, false));
        // More is there the next day, or with a larger limit.
        state.turn(day(1), 2_000);
        assert_eq!(state.verdict(now), Verdict::Wait);
        state.used_up = true;
        state.turn(day(2), 2_000);
        assert_eq!(state.verdict(now), Verdict::Wait);
    }

    #[test]
    fn while_the_registry_is_away_requests_are_served_and_counted() {
        let now = Instant::now();
        let (later, mut state) = (now + ASK_AGAIN, State::new(day(1), 10));
        state.away_until = Some(later);
        for _ in 0..20 {
            assert_eq!(state.verdict(now), Verdict::Serve);
        }
        assert_eq!((state.unasked, state.is_low(now), state.is_low(later)), (20, false, true));
        // What was served is told also when there is no more.
        state.used_up = true;
        assert!(state.is_low(later));
    }
}
