//! One hard cap per server, and a fair share of it per tenant.
//!
//! The rule: a quarter of a server's connections is for tenants that have none in use. Whatever becomes free goes to
//! the one of those waiting that has fewest in use, in order of arrival among equals. So a tenant with none waits for
//! one statement of anybody's to end, however many others there are and whatever they send.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use metrics::Gauge;
use tenantry_domain::ids::{ServerId, TenantId};
use tokio::sync::oneshot;

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
    held: HashMap<TenantId, usize>,
    queue: VecDeque<Waiter>,
}

struct Waiter {
    tenant: TenantId,
    ready: oneshot::Sender<Permit>,
}

/// The right to have one connection in use. Dropping it passes it on.
pub(super) struct Permit {
    tenant: TenantId,
    /// None once it was taken back.
    budget: Option<Budget>,
}

impl State {
    fn held_by(&self, tenant: TenantId) -> usize {
        self.held.get(&tenant).copied().unwrap_or(0)
    }

    /// Those who wait have been passed over already: whatever they may take is in use.
    fn may_take(&self, tenant: TenantId) -> bool {
        let reserved = if self.held_by(tenant) == 0 { 0 } else { self.cap / 4 };
        self.in_use + reserved < self.cap
    }

    fn take(&mut self, tenant: TenantId) {
        self.in_use += 1;
        *self.held.entry(tenant).or_default() += 1;
    }

    fn give_back(&mut self, tenant: TenantId) {
        self.in_use -= 1;
        if let Some(held) = self.held.get_mut(&tenant) {
            *held -= 1;
            if *held == 0 {
                self.held.remove(&tenant);
            }
        }
    }

    /// Who is next, if anybody may have what is free.
    fn next(&mut self) -> Option<Waiter> {
        self.queue.retain(|waiter| !waiter.ready.is_closed());
        let by_held = self.queue.iter().enumerate().min_by_key(|(_, waiter)| self.held_by(waiter.tenant));
        let (at, waiter) = by_held?;
        if self.may_take(waiter.tenant) { self.queue.remove(at) } else { None }
    }
}

impl Budget {
    /// `longest_hold`: by then a permit has come back, so that a tenant without any waits at least as long.
    pub(super) fn new(server: ServerId, cap: usize, max_waiting: usize, longest_hold: Duration) -> Self {
        let gauge = |state: &'static str| metrics::gauge!("tenantry_pool_connections", "server" => server.to_string(), "state" => state);
        let state =
            State { cap: cap.max(1), max_waiting, in_use: 0, held: HashMap::new(), queue: VecDeque::new() };
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
            self.pass_on(&mut state);
        }
    }

    /// Connections in use, and the cap.
    pub(super) fn in_use_of(&self) -> (usize, usize) {
        let state = self.state();
        (state.in_use, state.cap)
    }

    /// Waits for a permit.
    pub(super) async fn acquire(&self, tenant: TenantId, timeout: Duration) -> Result<Permit, Exhausted> {
        let (waiting, timeout) = {
            let mut state = self.state();
            if state.may_take(tenant) {
                state.take(tenant);
                self.report(&state);
                return Ok(self.permit(tenant));
            }
            state.queue.retain(|waiter| !waiter.ready.is_closed());
            let own = state.queue.iter().filter(|waiter| waiter.tenant == tenant).count();
            let is_full = state.queue.len() >= state.max_waiting || own >= state.max_waiting.div_ceil(2);
            // Others cannot keep a tenant from waiting at all.
            if is_full && own > 0 {
                return Err(Exhausted);
            }
            let (ready, waiting) = oneshot::channel();
            state.queue.push_back(Waiter { tenant, ready });
            self.report(&state);
            let has_none = state.held_by(tenant) == 0;
            (waiting, if has_none { timeout.max(self.0.longest_hold) } else { timeout })
        };
        tokio::time::timeout(timeout, waiting).await.ok().and_then(Result::ok).ok_or(Exhausted)
    }

    fn permit(&self, tenant: TenantId) -> Permit {
        Permit { tenant, budget: Some(self.clone()) }
    }

    fn pass_on(&self, state: &mut State) {
        while let Some(waiter) = state.next() {
            state.take(waiter.tenant);
            if let Err(mut unwanted) = waiter.ready.send(self.permit(waiter.tenant)) {
                // Whoever waited has gone. Taken back by hand: dropping it would lock the state again.
                unwanted.budget = None;
                state.give_back(waiter.tenant);
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
            let mut state = budget.state();
            state.give_back(self.tenant);
            budget.pass_on(&mut state);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use uuid::Uuid;

    use super::*;

    const LONG: Duration = Duration::from_mins(1);

    fn tenant(number: u128) -> TenantId {
        TenantId::from_uuid(Uuid::from_u128(number))
    }

    fn budget(cap: usize, max_waiting: usize) -> Budget {
        Budget::new(ServerId::from_uuid(Uuid::from_u128(1)), cap, max_waiting, Duration::ZERO)
    }

    fn now(budget: &Budget, of: TenantId) -> Option<Permit> {
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
}
