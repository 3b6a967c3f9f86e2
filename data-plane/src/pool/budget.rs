//! One hard cap per server, and a fair share of it per tenant.
//!
//! A quarter of a server's connections is for tenants that have none in use. Whatever becomes free goes to the one of
//! those waiting that has fewest in use for its weight, in order of arrival among equals. So a tenant with none waits
//! for one statement of anybody's to end, however many others there are and whatever they send.
//!
//! Connections do not tell how busy the server is: a few long statements keep all its cores from everybody's short
//! ones. So a tenant that keeps connections ten times as long as another that is being served has a tenth of them at
//! most, times its weight. With nobody to wait for it, it has as many as anybody.

use std::{
    collections::{HashMap, VecDeque},
    num::NonZeroU8,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use metrics::Gauge;
use tenantry_domain::ids::{ServerId, TenantId};
use tokio::sync::oneshot;

/// Whoever keeps connections for less is never slow.
const SLOW_FROM: Duration = Duration::from_millis(10);

/// How many times as long as the quickest a slow tenant keeps a connection.
const SLOW_TIMES: u32 = 10;

/// Of how many connections a slow tenant may have one, while another is served.
const PER_SLOW: usize = 10;

/// Who had a connection so lately is being served.
const LATELY: Duration = Duration::from_secs(1);

/// Nothing became free in time, or too many wait already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exhausted;

/// The connections of one server, as permits.
#[derive(Clone)]
pub(super) struct Budget(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    longest_hold: Duration,
    in_use: Gauge,
    waiting: Gauge,
}

struct State {
    cap: usize,
    max_waiting: usize,
    in_use: usize,
    /// Of those that have connections in use, or were slow lately.
    shares: HashMap<TenantId, Share>,
    quickest: Option<Quickest>,
    queue: VecDeque<Waiter>,
}

#[derive(Default)]
struct Share {
    in_use: usize,
    /// How long it keeps a connection: a mean of the last ones, of which the latest count most. None: not known.
    hold: Option<Duration>,
}

/// Who keeps connections for the shortest time, of those that had one lately.
struct Quickest {
    tenant: TenantId,
    hold: Duration,
    at: Instant,
}

/// Who asks for a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claim {
    pub(crate) tenant: TenantId,
    /// What its share is against others', by its plan.
    pub(crate) weight: NonZeroU8,
}

struct Waiter {
    claim: Claim,
    ready: oneshot::Sender<Permit>,
}

/// The right to have one connection in use. Dropping it passes it on.
pub(super) struct Permit {
    tenant: TenantId,
    since: Instant,
    /// None once it was taken back.
    budget: Option<Budget>,
}

impl State {
    fn held_by(&self, tenant: TenantId) -> usize {
        self.shares.get(&tenant).map_or(0, |share| share.in_use)
    }

    /// Those who wait have been passed over already: whatever they may take is in use.
    fn may_take(&self, claim: Claim, now: Instant) -> bool {
        let held = self.held_by(claim.tenant);
        if held == 0 {
            return self.in_use < self.cap;
        }
        let weight = usize::from(claim.weight.get());
        let is_enough = || held >= (self.cap * weight / PER_SLOW).max(1);
        self.in_use + self.cap / 4 < self.cap && !(is_enough() && self.is_slow(claim.tenant, now))
    }

    fn is_slow(&self, tenant: TenantId, now: Instant) -> bool {
        let hold = self.shares.get(&tenant).and_then(|share| share.hold).unwrap_or_default();
        self.quickest.as_ref().is_some_and(|quickest| {
            hold > SLOW_FROM
                && quickest.tenant != tenant
                && hold > quickest.hold * SLOW_TIMES
                && now.saturating_duration_since(quickest.at) < LATELY
        })
    }

    fn take(&mut self, tenant: TenantId) {
        self.in_use += 1;
        self.shares.entry(tenant).or_default().in_use += 1;
    }

    fn give_back(&mut self, tenant: TenantId, held_for: Duration, now: Instant) {
        self.in_use -= 1;
        let Some(share) = self.shares.get_mut(&tenant) else { return };
        share.in_use -= 1;
        let hold = share.hold.map_or(held_for, |mean| (mean * 7 + held_for) / 8);
        share.hold = Some(hold);
        if share.in_use == 0 && hold <= SLOW_FROM {
            self.shares.remove(&tenant);
        }
        if self.shares.len() > FORGET_FROM.max(2 * self.cap) {
            self.shares.retain(|_, share| share.in_use > 0);
        }
        let is_quickest = self.quickest.as_ref().is_none_or(|quickest| {
            quickest.tenant == tenant
                || hold < quickest.hold
                || now.saturating_duration_since(quickest.at) >= LATELY
        });
        if is_quickest {
            self.quickest = Some(Quickest { tenant, hold, at: now });
        }
    }

    /// Who is next, if anybody may have what is free.
    fn next(&mut self, now: Instant) -> Option<Waiter> {
        if self.in_use >= self.cap {
            return None;
        }
        self.queue.retain(|waiter| !waiter.ready.is_closed());
        // Fewest for the weight, without fractions.
        let by_share = |claim: &Claim| self.held_by(claim.tenant) * 255 / usize::from(claim.weight.get());
        let waiting = self.queue.iter().enumerate().filter(|(_, waiter)| self.may_take(waiter.claim, now));
        let (at, _) = waiting.min_by_key(|(_, waiter)| by_share(&waiter.claim))?;
        self.queue.remove(at)
    }
}

/// So many tenants that were slow once are remembered.
const FORGET_FROM: usize = 1000;

impl Budget {
    /// `longest_hold`: by then a permit has come back, so that a tenant without any waits at least as long.
    pub(super) fn new(server: ServerId, cap: usize, max_waiting: usize, longest_hold: Duration) -> Self {
        let gauge = |state: &'static str| metrics::gauge!("tenantry_pool_connections", "server" => server.to_string(), "state" => state);
        let state = State {
            cap: cap.max(1),
            max_waiting,
            in_use: 0,
            shares: HashMap::new(),
            quickest: None,
            queue: VecDeque::new(),
        };
        Self(Arc::new(Shared {
            state: Mutex::new(state),
            longest_hold,
            in_use: gauge("in_use"),
            waiting: metrics::gauge!("tenantry_pool_waiting", "server" => server.to_string()),
        }))
    }

    pub(super) fn set_cap(&self, cap: usize) {
        let mut state = self.state();
        if state.cap != cap.max(1) {
            state.cap = cap.max(1);
            self.pass_on(&mut state, Instant::now());
        }
    }

    /// Connections in use, and the cap.
    pub(super) fn in_use_of(&self) -> (usize, usize) {
        let state = self.state();
        (state.in_use, state.cap)
    }

    /// Waits for a permit.
    pub(super) async fn acquire(&self, claim: Claim, timeout: Duration) -> Result<Permit, Exhausted> {
        let tenant = claim.tenant;
        let (waiting, timeout) = {
            let now = Instant::now();
            let mut state = self.state();
            if state.may_take(claim, now) {
                state.take(tenant);
                self.report(&state);
                return Ok(self.permit(tenant, now));
            }
            state.queue.retain(|waiter| !waiter.ready.is_closed());
            let own = state.queue.iter().filter(|waiter| waiter.claim.tenant == tenant).count();
            let is_full = state.queue.len() >= state.max_waiting || own >= state.max_waiting.div_ceil(2);
            // Others cannot keep a tenant from waiting at all.
            if is_full && own > 0 {
                return Err(Exhausted);
            }
            let (ready, waiting) = oneshot::channel();
            state.queue.push_back(Waiter { claim, ready });
            self.report(&state);
            let has_none = state.held_by(tenant) == 0;
            (waiting, if has_none { timeout.max(self.0.longest_hold) } else { timeout })
        };
        tokio::time::timeout(timeout, waiting).await.ok().and_then(Result::ok).ok_or(Exhausted)
    }

    fn permit(&self, tenant: TenantId, since: Instant) -> Permit {
        Permit { tenant, since, budget: Some(self.clone()) }
    }

    fn pass_on(&self, state: &mut State, now: Instant) {
        while let Some(waiter) = state.next(now) {
            let tenant = waiter.claim.tenant;
            state.take(tenant);
            if let Err(mut unwanted) = waiter.ready.send(self.permit(tenant, now)) {
                // Whoever waited has gone. Taken back by hand: dropping it would lock the state again.
                unwanted.budget = None;
                state.in_use -= 1;
                if let Some(share) = state.shares.get_mut(&tenant) {
                    share.in_use -= 1;
                }
            }
        }
        self.report(state);
    }

    #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
    fn report(&self, state: &State) {
        self.0.in_use.set(state.in_use as f64);
        self.0.waiting.set(state.queue.len() as f64);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(budget) = self.budget.take() {
            let now = Instant::now();
            let mut state = budget.state();
            state.give_back(self.tenant, now.saturating_duration_since(self.since), now);
            budget.pass_on(&mut state, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use uuid::Uuid;

    use super::*;

    const LONG: Duration = Duration::from_mins(1);

    fn tenant(number: u128) -> Claim {
        of_weight(number, 1)
    }

    fn of_weight(number: u128, weight: u8) -> Claim {
        let tenant = TenantId::from_uuid(Uuid::from_u128(number));
        Claim { tenant, weight: NonZeroU8::new(weight).unwrap() }
    }

    fn budget(cap: usize, max_waiting: usize) -> Budget {
        Budget::new(ServerId::from_uuid(Uuid::from_u128(1)), cap, max_waiting, Duration::ZERO)
    }

    fn now(budget: &Budget, of: Claim) -> Option<Permit> {
        budget.acquire(of, LONG).now_or_never().and_then(Result::ok)
    }

    #[tokio::test]
    async fn one_tenant_leaves_a_quarter_for_those_who_come_next() {
        let budget = budget(8, 10);
        let greedy: Vec<_> = std::iter::from_fn(|| now(&budget, tenant(1))).collect();
        assert_eq!(greedy.len(), 6);
        assert!(now(&budget, tenant(2)).is_some());
    }

    #[tokio::test]
    async fn a_server_s_cap_is_never_exceeded() {
        let budget = budget(3, 10);
        let permits: Vec<_> = (0..10).filter_map(|n| now(&budget, tenant(n))).collect();
        assert_eq!(permits.len(), 3);
        assert_eq!(budget.in_use_of(), (3, 3));
        drop(permits);
        assert_eq!(budget.in_use_of(), (0, 3));
    }

    #[tokio::test]
    async fn a_tenant_with_none_is_next_however_many_others_wait() {
        let budget = budget(20, 200);
        let mut held: Vec<_> = std::iter::from_fn(|| now(&budget, tenant(1))).collect();
        assert_eq!(held.len(), 15);
        held.extend((2..=6).filter_map(|n| now(&budget, tenant(n))));
        assert_eq!(budget.in_use_of(), (20, 20));
        let mut greedy: Vec<_> = (0..90).map(|n| Box::pin(budget.acquire(tenant(1 + n % 6), LONG))).collect();
        for waiting in &mut greedy {
            assert!(waiting.now_or_never().is_none());
        }
        let mut modest = Box::pin(budget.acquire(tenant(7), LONG));
        assert!((&mut modest).now_or_never().is_none());
        held.remove(0);
        assert!(modest.await.is_ok());
    }

    #[tokio::test]
    async fn a_full_queue_keeps_no_tenant_out() {
        let budget = budget(1, 4);
        let held = now(&budget, tenant(1)).unwrap();
        let mut waiting: Vec<_> = [1, 1, 2, 2].map(|n| Box::pin(budget.acquire(tenant(n), LONG))).into();
        for waiter in &mut waiting {
            assert!(waiter.now_or_never().is_none());
        }
        assert!(budget.acquire(tenant(2), LONG).now_or_never().is_some_and(|refused| refused.is_err()));
        let mut third = Box::pin(budget.acquire(tenant(3), LONG));
        assert!((&mut third).now_or_never().is_none());
        drop(held);
        // All have none by now; each gets one in its turn.
        for waiter in waiting {
            drop(waiter.await);
        }
        assert!(third.await.is_ok());
    }

    #[tokio::test]
    async fn waiting_is_bounded_in_number_and_time() {
        let budget = budget(1, 4);
        let _held = now(&budget, tenant(1)).unwrap();
        let mut waiting: Vec<_> = (0..2).map(|_| Box::pin(budget.acquire(tenant(1), LONG))).collect();
        for waiter in &mut waiting {
            assert!(waiter.now_or_never().is_none());
        }
        // Half of the queue is its own; the rest is for others.
        assert_eq!(budget.acquire(tenant(1), LONG).now_or_never().and_then(Result::err), Some(Exhausted));
        let short = Duration::from_millis(10);
        assert_eq!(budget.acquire(tenant(2), short).await.err(), Some(Exhausted));
    }

    #[tokio::test]
    async fn a_permit_for_somebody_who_left_goes_to_the_next() {
        let budget = budget(1, 10);
        let held = now(&budget, tenant(1)).unwrap();
        let mut gone = Box::pin(budget.acquire(tenant(2), LONG));
        let mut next = Box::pin(budget.acquire(tenant(3), LONG));
        assert!((&mut gone).now_or_never().is_none());
        assert!((&mut next).now_or_never().is_none());
        drop(gone);
        drop(held);
        assert!(next.await.is_ok());
        assert_eq!(budget.in_use_of(), (0, 1));
    }

    #[tokio::test]
    async fn a_higher_cap_serves_those_who_wait() {
        let budget = budget(1, 10);
        let _held = now(&budget, tenant(1)).unwrap();
        let mut waiting = Box::pin(budget.acquire(tenant(2), LONG));
        assert!((&mut waiting).now_or_never().is_none());
        budget.set_cap(2);
        assert!(waiting.await.is_ok());
    }

    /// Permits that were taken so long ago, given back.
    fn kept(budget: &Budget, by: Claim, count: usize, hold: Duration) {
        for _ in 0..count {
            let mut permit = now(budget, by).unwrap();
            permit.since = Instant::now().checked_sub(hold).unwrap();
        }
    }

    #[tokio::test]
    async fn a_tenant_with_long_statements_has_few_at_a_time_while_another_is_served() {
        let budget = budget(20, 100);
        let at_most = |claim| std::iter::from_fn(|| now(&budget, claim)).collect::<Vec<_>>();
        let (slow, bought_more, quick) = (tenant(1), of_weight(2, 3), tenant(3));
        for claim in [slow, bought_more] {
            kept(&budget, claim, 10, Duration::from_millis(200));
        }
        assert_eq!(at_most(slow).len(), 15, "nobody is quicker");
        kept(&budget, quick, 1, Duration::from_millis(1));
        let of_slow = at_most(slow);
        assert_eq!(of_slow.len(), 2);
        assert_eq!(at_most(bought_more).len(), 6);
        // Its further ones wait for its own, while there are others free.
        let mut waiting = Box::pin(budget.acquire(slow, LONG));
        assert!((&mut waiting).now_or_never().is_none());
        assert!(now(&budget, quick).is_some());
        drop(of_slow);
        assert!(waiting.await.is_ok());
        // A few short ones, and it is slow no more.
        kept(&budget, slow, 60, Duration::ZERO);
        assert_eq!(at_most(slow).len(), 15);
    }

    #[tokio::test]
    async fn what_becomes_free_goes_to_whoever_has_fewest_for_its_weight() {
        let budget = budget(4, 100);
        let (one, four) = (tenant(1), of_weight(2, 4));
        let mut held: Vec<_> = [one, four, four].map(|claim| now(&budget, claim)).into();
        held.push(now(&budget, tenant(3)));
        assert!(held.iter().all(Option::is_some));
        let mut waiting = [one, four].map(|claim| Box::pin(budget.acquire(claim, LONG)));
        for waiter in &mut waiting {
            assert!(waiter.now_or_never().is_none());
        }
        // Two of them, so that more than the quarter is free.
        held.remove(3);
        held.remove(2);
        let [first, second] = &mut waiting;
        let given = second.now_or_never().and_then(Result::ok);
        assert!(given.is_some() && first.now_or_never().is_none());
    }
}
