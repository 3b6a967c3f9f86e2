//! One hard cap per server, and a fair share of it per tenant.
//!
//! A quarter of a server's connections is for tenants that have none in use. Whatever becomes free goes to the tenant
//! that has fewest in use for its weight; among equals, to the one whose turn was longest ago. So a tenant with none
//! waits until as many permits have come back as other tenants waited before it, whatever these send.
//!
//! Connections do not tell how busy a server is: a few long statements keep all its cores from everybody's short
//! ones. So while a tenant with short statements is being served, those whose statements take ten times as long run one
//! each at least, a tenth of the connections at most, times the weight, and half of them together; the rest waits. A tenant
//! of which nothing is known yet has a tenth too.

use std::{
    collections::{HashMap, VecDeque},
    num::NonZeroU8,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use metrics::{Counter, Gauge};
use tenantry_domain::ids::{ServerId, TenantId};
use tokio::{sync::oneshot, time::timeout};

use super::statements::{LATELY, Quickest, Statements};

/// A tenant whose statements take less is never slow.
const SLOW_FROM: Duration = Duration::from_millis(10);

/// A slow tenant's statements take so many times as long as those of the quickest.
const SLOW_TIMES: f64 = 10.0;

/// A slow tenant may have one connection in this many, while a quick one is served.
const PER_SLOW: usize = 10;

/// Slow tenants together may have one connection in this many, while a quick one is served.
const PER_ALL_SLOW: usize = 2;

/// A tenant that had no connection for so long is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(30);

/// Nothing became free in time, or too many wait already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exhausted;

/// Who asks for a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claim {
    pub(crate) tenant: TenantId,
    /// What its share is against others', by its plan.
    pub(crate) weight: NonZeroU8,
}

/// The connections of one server, as permits.
#[derive(Clone)]
pub(super) struct Budget(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    longest_hold: Duration,
    in_use: Gauge,
    waiting: Gauge,
    held_back: Counter,
}

struct State {
    cap: usize,
    max_waiting: usize,
    in_use: usize,
    /// Of those, by tenants that were slow when they got them.
    in_use_by_slow: usize,
    /// Of those, permits that give way: each ends a connection first.
    giving_way: usize,
    waiting: usize,
    /// Grows with each permit that is given.
    turn: u64,
    tenants: HashMap<TenantId, Usage>,
    /// Those that wait, in the order in which they began to.
    queued: Vec<TenantId>,
    quickest: Quickest,
    /// When tenants were forgotten last.
    tidied: Instant,
}

/// What a tenant has, and had lately.
struct Usage {
    weight: NonZeroU8,
    in_use: usize,
    queue: VecDeque<oneshot::Sender<Permit>>,
    /// When it got a permit last.
    turn: u64,
    statements: Statements,
}

/// Whether a tenant may have one more.
enum Verdict {
    /// Yes; and whether it is slow.
    Given { slow: bool },
    /// Enough are in use.
    Full,
    /// It is slow, and has enough while a quick one is served.
    HeldBack,
}

/// The right to have one connection in use. Dropping it passes it on.
pub(super) struct Permit {
    tenant: TenantId,
    /// It counts as a slow tenant's.
    slow: bool,
    /// When the statement began that is not answered yet.
    statement: Option<Instant>,
    /// It is on its way back, for one who waits.
    gives_way: bool,
    /// None once it was taken back.
    budget: Option<Budget>,
}

impl State {
    /// Tenants that have none and wait, where all permits are in use.
    fn in_need(&self) -> usize {
        let waits = |usage: &Usage| usage.in_use == 0 && usage.queue.iter().any(|ready| !ready.is_closed());
        let waiting = self.queued.iter().filter(|tenant| self.tenants.get(tenant).is_some_and(waits));
        if self.in_use < self.cap { 0 } else { waiting.count() }
    }

    /// Notes that a tenant asks for a connection.
    fn meet(&mut self, claim: Claim, now: Instant) {
        // Not before those that wait already.
        let turn = self.turn;
        let usage = self.tenants.entry(claim.tenant).or_insert_with(|| Usage {
            weight: claim.weight,
            in_use: 0,
            queue: VecDeque::new(),
            turn,
            statements: Statements::new(now),
        });
        usage.weight = claim.weight;
    }

    fn verdict(&self, tenant: TenantId, usage: &Usage, now: Instant) -> Verdict {
        let reserved = if usage.in_use == 0 { 0 } else { self.cap / 4 };
        if self.in_use + reserved >= self.cap {
            return Verdict::Full;
        }
        let Some(quickest) = self.quickest.besides(tenant, now) else {
            return Verdict::Given { slow: false };
        };
        let mean = usage.statements.mean();
        let (slow, unknown) = (mean > SLOW_FROM.as_secs_f64() && mean > quickest * SLOW_TIMES, mean == 0.0);
        let own = (self.cap * usize::from(usage.weight.get()) / PER_SLOW).max(1);
        let is_enough = slow && self.in_use_by_slow >= self.cap / PER_ALL_SLOW;
        if usage.in_use > 0 && ((slow || unknown) && usage.in_use >= own || is_enough) {
            return Verdict::HeldBack;
        }
        Verdict::Given { slow }
    }

    fn take(&mut self, tenant: TenantId, slow: bool) {
        self.turn += 1;
        self.in_use += 1;
        self.in_use_by_slow += usize::from(slow);
        if let Some(usage) = self.tenants.get_mut(&tenant) {
            usage.in_use += 1;
            usage.turn = self.turn;
        }
    }

    fn give_back(&mut self, tenant: TenantId, slow: bool) {
        self.in_use -= 1;
        self.in_use_by_slow -= usize::from(slow);
        if let Some(usage) = self.tenants.get_mut(&tenant) {
            usage.in_use -= 1;
        }
    }

    /// Notes how long a statement of a tenant took.
    fn note(&mut self, tenant: TenantId, took: Duration, now: Instant) {
        let Some(usage) = self.tenants.get_mut(&tenant) else { return };
        usage.statements.add(took, now);
        self.quickest.note(tenant, usage.statements.mean(), now);
    }

    /// Who is next, if anybody may have what is free; and whether that one is slow.
    fn next(&mut self, now: Instant) -> Option<(TenantId, bool, oneshot::Sender<Permit>)> {
        while self.in_use < self.cap {
            let waiting = self.queued.iter().enumerate().filter_map(|(at, tenant)| {
                let usage = self.tenants.get(tenant)?;
                let Verdict::Given { slow } = self.verdict(*tenant, usage, now) else { return None };
                // By millionths, for fractions of a weight.
                let share = usage.in_use * 1_000_000 / usize::from(usage.weight.get());
                Some(((share, usage.turn), at, *tenant, slow))
            });
            let (_, at, tenant, slow) = waiting.min_by_key(|(key, ..)| *key)?;
            let queue = &mut self.tenants.get_mut(&tenant)?.queue;
            let before = queue.len();
            // Some have left meanwhile.
            let ready = std::iter::from_fn(|| queue.pop_front()).find(|ready| !ready.is_closed());
            self.waiting -= before - queue.len();
            if queue.is_empty() {
                self.queued.remove(at);
            }
            if let Some(ready) = ready {
                return Some((tenant, slow, ready));
            }
        }
        None
    }

    fn wait(&mut self, tenant: TenantId) -> Result<oneshot::Receiver<Permit>, Exhausted> {
        let own = |state: &Self| state.tenants.get(&tenant).map_or(0, |usage| usage.queue.len());
        let max = self.max_waiting;
        if self.waiting >= max || own(self) >= max.div_ceil(2) {
            self.forget_who_left();
        }
        // Others cannot keep a tenant from waiting at all, nor from its part of a full queue.
        let (own, parts) = (own(self), self.queued.len() + 1);
        if own >= max.div_ceil(2) || (self.waiting >= max && own * parts >= max) {
            return Err(Exhausted);
        }
        let Some(usage) = self.tenants.get_mut(&tenant) else { return Err(Exhausted) };
        let (ready, permit) = oneshot::channel();
        usage.queue.push_back(ready);
        if own == 0 {
            self.queued.push(tenant);
        }
        self.waiting += 1;
        Ok(permit)
    }

    fn forget_who_left(&mut self) {
        let Self { queued, tenants, waiting, .. } = self;
        queued.retain(|tenant| {
            let Some(usage) = tenants.get_mut(tenant) else { return false };
            let before = usage.queue.len();
            usage.queue.retain(|ready| !ready.is_closed());
            *waiting -= before - usage.queue.len();
            !usage.queue.is_empty()
        });
    }

    fn tidy(&mut self, now: Instant) {
        if now.saturating_duration_since(self.tidied) < FORGOTTEN_AFTER / 3 {
            return;
        }
        self.tidied = now;
        self.tenants.retain(|_, usage| {
            usage.in_use > 0
                || !usage.queue.is_empty()
                || now.saturating_duration_since(usage.statements.last) < FORGOTTEN_AFTER
        });
    }
}

impl Budget {
    /// `longest_hold`: by then a permit has come back, so that a tenant without any waits at least as long.
    pub(super) fn new(server: ServerId, cap: usize, max_waiting: usize, longest_hold: Duration) -> Self {
        let gauge = |state: &'static str| metrics::gauge!("tenantry_pool_connections", "server" => server.to_string(), "state" => state);
        let now = Instant::now();
        let state = State {
            cap: cap.max(1),
            max_waiting,
            in_use: 0,
            in_use_by_slow: 0,
            giving_way: 0,
            waiting: 0,
            turn: 0,
            tenants: HashMap::new(),
            queued: Vec::new(),
            quickest: Quickest::new(now),
            tidied: now,
        };
        Self(Arc::new(Shared {
            state: Mutex::new(state),
            longest_hold,
            in_use: gauge("in_use"),
            waiting: metrics::gauge!("tenantry_pool_waiting", "server" => server.to_string()),
            held_back: metrics::counter!("tenantry_pool_held_back_total", "server" => server.to_string()),
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
    pub(super) async fn acquire(&self, claim: Claim, patience: Duration) -> Result<Permit, Exhausted> {
        let tenant = claim.tenant;
        let now = Instant::now();
        let (mut permit, patience) = {
            let mut state = self.state();
            state.tidy(now);
            state.meet(claim, now);
            let usage = &state.tenants[&tenant];
            let (has_none, verdict) = (usage.in_use == 0, state.verdict(tenant, usage, now));
            match verdict {
                // Whoever else waits may not have it: what came back was offered to all.
                Verdict::Given { slow } if usage.queue.is_empty() && (!slow || state.queued.is_empty()) => {
                    state.take(tenant, slow);
                    self.report(&state);
                    return Ok(self.permit(tenant, slow));
                }
                Verdict::HeldBack => self.0.held_back.increment(1),
                Verdict::Given { .. } | Verdict::Full => {}
            }
            let permit = state.wait(tenant)?;
            self.pass_on(&mut state, now);
            let waits_for_all = has_none || matches!(verdict, Verdict::HeldBack);
            (permit, if waits_for_all { patience.max(self.0.longest_hold) } else { patience })
        };
        let deadline = now + patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match timeout(left.min(LATELY), &mut permit).await {
                Ok(given) => return given.map_err(|_| Exhausted),
                Err(_) if left <= LATELY => return Err(Exhausted),
                // Who was held back may not be any more, without anything that came back.
                Err(_) => self.pass_on(&mut self.state(), Instant::now()),
            }
        }
    }

    fn permit(&self, tenant: TenantId, slow: bool) -> Permit {
        Permit { tenant, slow, statement: None, gives_way: false, budget: Some(self.clone()) }
    }

    fn pass_on(&self, state: &mut State, now: Instant) {
        while let Some((tenant, slow, ready)) = state.next(now) {
            state.take(tenant, slow);
            if let Err(mut unwanted) = ready.send(self.permit(tenant, slow)) {
                // Whoever waited has gone. Taken back by hand: dropping it would lock the state again.
                unwanted.budget = None;
                state.give_back(tenant, slow);
            }
        }
        self.report(state);
    }

    #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
    fn report(&self, state: &State) {
        self.0.in_use.set(state.in_use as f64);
        self.0.waiting.set(state.waiting as f64);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    /// A statement of the tenant is sent: until it is answered, the server works for the tenant.
    pub(super) fn statement_begins(&mut self) {
        self.statement = Some(Instant::now());
    }

    /// Whether a tenant that has none waits for one, and no other permit is on its way to him: then this one is from now on.
    /// To be dropped at once.
    pub(super) fn gives_way(&mut self) -> bool {
        let Some(budget) = &self.budget else { return false };
        let mut state = budget.state();
        let gives_way = !self.gives_way && state.in_need() > state.giving_way;
        if gives_way {
            state.giving_way += 1;
            self.gives_way = true;
        }
        gives_way
    }

    /// It is answered. Who takes the answer slowly keeps the connection, and not the server's cores.
    pub(super) fn statement_ends(&mut self) {
        let (Some(begun), Some(budget)) = (self.statement.take(), &self.budget) else { return };
        let now = Instant::now();
        let mut state = budget.state();
        state.note(self.tenant, now.saturating_duration_since(begun), now);
        if std::mem::take(&mut self.slow) {
            state.in_use_by_slow -= 1;
            budget.pass_on(&mut state, now);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(budget) = self.budget.take() else { return };
        let now = Instant::now();
        let mut state = budget.state();
        state.giving_way -= usize::from(self.gives_way);
        state.give_back(self.tenant, self.slow);
        if let (Some(begun), Some(usage)) = (self.statement, state.tenants.get_mut(&self.tenant)) {
            // Given up before it was answered: how quick it would have been nobody knows.
            usage.statements.add(now.saturating_duration_since(begun), now);
        }
        budget.pass_on(&mut state, now);
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
    async fn of_several_one_gives_way_for_each_tenant_that_waits() {
        let budget = budget(4, 10);
        let mut held: Vec<_> = (1..=4).filter_map(|n| now(&budget, tenant(n))).collect();
        assert!(!held.iter_mut().any(Permit::gives_way), "nobody waits");
        let mut waiting = [5, 6].map(|n| Box::pin(budget.acquire(tenant(n), LONG)));
        for waiter in &mut waiting {
            assert!(waiter.now_or_never().is_none());
        }
        let given: Vec<bool> = held.iter_mut().map(Permit::gives_way).collect();
        assert_eq!(given, [true, true, false, false]);
        drop(held.drain(..2));
        let got = futures::future::join_all(waiting).await;
        assert!(got.iter().all(Result::is_ok));
        assert!(!held.iter_mut().any(Permit::gives_way), "nobody waits any more");
        // Those that gave way are counted no longer.
        let mut next = Box::pin(budget.acquire(tenant(7), LONG));
        assert!((&mut next).now_or_never().is_none());
        assert!(held[0].gives_way());
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
        let all = waiting.into_iter().chain([third]).map(async |waiter| drop(waiter.await.unwrap()));
        futures::future::join_all(all).await;
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

    /// Statements that took so long.
    fn ran(budget: &Budget, by: Claim, count: usize, took: Duration) {
        for _ in 0..count {
            let mut permit = now(budget, by).unwrap();
            permit.statement = Instant::now().checked_sub(took);
            permit.statement_ends();
        }
    }

    fn all_it_gets(budget: &Budget, claim: Claim) -> Vec<Permit> {
        std::iter::from_fn(|| now(budget, claim)).collect()
    }

    #[tokio::test]
    async fn tenants_with_long_statements_have_few_at_a_time_while_another_is_served() {
        let budget = budget(20, 100);
        let (slow, bought_more, quick) = (tenant(1), of_weight(2, 3), tenant(3));
        for claim in [slow, bought_more] {
            ran(&budget, claim, 10, Duration::from_millis(200));
        }
        assert_eq!(all_it_gets(&budget, slow).len(), 15, "nobody is quicker");
        ran(&budget, quick, 1, Duration::from_millis(1));
        let of_slow = all_it_gets(&budget, slow);
        assert_eq!(of_slow.len(), 2);
        let of_bought_more = all_it_gets(&budget, bought_more);
        assert_eq!(of_bought_more.len(), 6);
        let others = [4, 5, 6].map(|number| {
            ran(&budget, tenant(number), 1, Duration::from_millis(100));
            all_it_gets(&budget, tenant(number))
        });
        assert_eq!(others.map(|given| given.len()), [2, 1, 1], "half for all of them, and one each");
        // More of its own waits, although connections are free.
        let mut waiting = Box::pin(budget.acquire(slow, LONG));
        assert!((&mut waiting).now_or_never().is_none());
        assert!(now(&budget, quick).is_some());
        drop(of_slow);
        assert!(waiting.await.is_ok());
    }

    #[tokio::test]
    async fn short_statements_do_not_hide_long_ones_and_what_nobody_used_is_none() {
        let budget = budget(20, 100);
        let (slow, quick) = (tenant(1), tenant(2));
        ran(&budget, slow, 5, Duration::from_millis(200));
        ran(&budget, slow, 100, Duration::from_millis(1));
        ran(&budget, quick, 1, Duration::from_millis(2));
        drop(now(&budget, tenant(3)));
        assert_eq!(all_it_gets(&budget, slow).len(), 2);
        ran(&budget, tenant(4), 1, Duration::from_millis(15));
        assert_eq!(all_it_gets(&budget, tenant(4)).len(), 15, "seven times as long is not slow");
    }

    #[tokio::test]
    async fn who_is_held_back_goes_on_when_the_quick_one_has_gone() {
        let budget = budget(20, 100);
        let (slow, quick) = (tenant(1), tenant(2));
        ran(&budget, slow, 5, Duration::from_millis(200));
        ran(&budget, quick, 1, Duration::from_millis(1));
        let held = all_it_gets(&budget, slow);
        let mut waiting = Box::pin(budget.acquire(slow, LONG));
        assert!((&mut waiting).now_or_never().is_none());
        budget.state().quickest.since -= 2 * LATELY;
        assert!(waiting.await.is_ok());
        assert_eq!(held.len(), 2);
    }

    #[tokio::test]
    async fn a_tenant_with_none_waits_for_one_of_each_of_the_others() {
        let budget = budget(20, 200);
        let mut held: Vec<_> = (1..=20).filter_map(|n| now(&budget, tenant(n))).collect();
        let mut greedy: Vec<_> =
            (0..100).map(|n| Box::pin(budget.acquire(tenant(1 + n % 20), LONG))).collect();
        for waiting in &mut greedy {
            assert!(waiting.now_or_never().is_none());
        }
        let mut modest = Box::pin(budget.acquire(tenant(21), LONG));
        assert!((&mut modest).now_or_never().is_none());
        // The tenant whose it was waited before.
        held.pop();
        assert!((&mut modest).now_or_never().is_none());
        drop(greedy.remove(19).await);
        assert!(modest.await.is_ok(), "and has had its turn now");
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
