//! How long tenants' statements take, and whose take the shortest time.

use std::time::{Duration, Instant};

use tenantry_domain::ids::TenantId;

/// A tenant that had a connection so lately is being served.
pub(super) const LATELY: Duration = Duration::from_secs(1);

/// A statement of so long ago counts half.
const HALF_LIFE: Duration = Duration::from_secs(5);

/// How long statements take: a mean weighted by that time, so that many short ones do not hide a long one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Statements {
    seconds: f64,
    squares: f64,
    /// When the last one ended; before the first, when the tenant came.
    pub(super) last: Instant,
}

/// Whose statements take the shortest time, of the tenants that had one lately.
pub(super) struct Quickest {
    /// When `these` began.
    pub(super) since: Instant,
    /// The two quickest since then, for nobody is measured by itself.
    these: [Option<(TenantId, f64)>; 2],
    /// Those of the time as long before that.
    before: [Option<(TenantId, f64)>; 2],
}

impl Statements {
    /// None yet.
    pub(super) fn new(now: Instant) -> Self {
        Self { seconds: 0.0, squares: 0.0, last: now }
    }

    pub(super) fn add(&mut self, took: Duration, now: Instant) {
        let since_last = now.saturating_duration_since(self.last);
        let kept = (-since_last.as_secs_f64() / HALF_LIFE.as_secs_f64()).exp2();
        let took = took.as_secs_f64();
        self.seconds = self.seconds * kept + took;
        self.squares = self.squares * kept + took * took;
        self.last = now;
    }

    /// Seconds; 0 where there were none.
    pub(super) fn mean(&self) -> f64 {
        if self.seconds > 0.0 { self.squares / self.seconds } else { 0.0 }
    }
}

impl Quickest {
    /// Nobody's yet.
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, these: [None; 2], before: [None; 2] }
    }

    fn turn_over(&mut self, now: Instant) {
        let since = now.saturating_duration_since(self.since);
        if since >= LATELY {
            let these = std::mem::take(&mut self.these);
            self.before = if since < LATELY * 2 { these } else { [None; 2] };
            self.since = now;
        }
    }

    pub(super) fn note(&mut self, tenant: TenantId, mean: f64, now: Instant) {
        self.turn_over(now);
        let own = self.these.iter().position(|known| known.is_some_and(|(known, _)| known == tenant));
        let [first, second] = &mut self.these;
        match own {
            Some(0) => *first = Some((tenant, mean)),
            _ if second.is_none_or(|(_, known)| mean < known) || own.is_some() => {
                *second = Some((tenant, mean));
            }
            _ => return,
        }
        let seconds = |known: &Option<(TenantId, f64)>| known.map_or(f64::INFINITY, |(_, mean)| mean);
        if seconds(second) < seconds(first) {
            std::mem::swap(first, second);
        }
    }

    /// Seconds that the statements of the quickest other tenant take; none: no other is being served.
    pub(super) fn besides(&self, tenant: TenantId, now: Instant) -> Option<f64> {
        let since = now.saturating_duration_since(self.since);
        let these = self.these.iter().filter(|_| since < LATELY * 2);
        let known = these.chain(self.before.iter().filter(|_| since < LATELY)).flatten();
        known.filter(|(known, _)| *known != tenant).map(|(_, mean)| *mean).min_by(f64::total_cmp)
    }
}
