//! The route cache: what is in memory, and loading what is not.
//!
//! One load per name at a time, in a task of its own, so that a client that hangs up takes nothing
//! from those who wait with it; loads of the same moment are read together ([`super::reads`]). A change
//! of what many routes share reads nothing: each is read again before it is next used. While the registry is down, what is in memory is served as it is:
//! a stale route is harmless, because the placement it names refuses what it must not serve (a move
//! fences it; after a purge its login is no member of the slug's next role, see ADR 5).

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use metrics::{Counter, Gauge, Histogram};
use tenantry_domain::{ids::TenantId, route::Route};
use tenantry_registry::{Registry, RegistryError, RouteReader, feed::Change};
use tokio::sync::broadcast;

use super::{
    reads::{NoAnswer, Reads, TIMEOUT},
    store::{CachedRoute, Found, Freshness, OwnedName, RouteName, Snapshot, Store},
};

/// How a [`RouteCache`] behaves; see [`crate::Settings`].
#[derive(Debug, Clone, Copy)]
pub struct RouteCacheSettings {
    /// Routes kept in memory.
    pub max_routes: usize,
    /// After this a route is read again in the background; after twice this, before it is used.
    pub ttl: Duration,
    /// How long an unknown tenant is known to be unknown.
    pub unknown_ttl: Duration,
}

/// The registry does not answer, and the route is not in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the registry is unavailable, and the route is not in memory")]
pub struct RoutesUnavailable;

/// Routes in memory. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RouteCache(Arc<Inner>);

struct Inner {
    store: Arc<Store>,
    reader: Arc<RouteReader>,
    reads: Arc<Reads>,
    flights: Mutex<HashMap<OwnedName, Flight>>,
    flight_numbers: AtomicU64,
    outage: Outage,
    /// Until when a tenant's share of checked refusals is used up.
    rechecked: quick_cache::sync::Cache<TenantId, Instant>,
    /// Changes, after they were applied.
    applied: broadcast::Sender<Change>,
    metrics: CacheMetrics,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RouteCache").field("routes", &self.store.len()).finish_non_exhaustive()
    }
}

type Loaded = Result<Option<CachedRoute>, RoutesUnavailable>;

struct Flight {
    number: u64,
    /// The mark of its name when it began to read; unset while it waits for its turn.
    began: Arc<OnceLock<u32>>,
    outcome: Shared<BoxFuture<'static, Loaded>>,
}

struct CacheMetrics {
    hits: Counter,
    misses: Counter,
    unknown: Counter,
    stale: Counter,
    load_seconds: Histogram,
    /// From a change's announcement until the route is in memory as it is now.
    change_seconds: Histogram,
    routes: Gauge,
}

impl CacheMetrics {
    fn new() -> Self {
        let lookups =
            |outcome: &'static str| metrics::counter!("tenantry_route_lookups_total", "outcome" => outcome);
        Self {
            hits: lookups("hit"),
            misses: lookups("miss"),
            unknown: lookups("unknown"),
            stale: metrics::counter!("tenantry_stale_routes_served_total"),
            load_seconds: metrics::histogram!("tenantry_route_load_seconds"),
            change_seconds: metrics::histogram!("tenantry_route_change_seconds"),
            routes: metrics::gauge!("tenantry_routes_cached"),
        }
    }
}

/// Changes that a listener may be behind.
const APPLIED_KEPT: usize = 1024;
/// How soon a route whose change is waited for is read without that it was announced.
const LOOK_FIRST: Duration = Duration::from_millis(10);
const LOOK_LAST: Duration = Duration::from_millis(200);
/// A refusal is checked against the registry at most this often per tenant, in the long run.
const RECHECK_INTERVAL: Duration = Duration::from_millis(250);
/// So many may come at once: whoever makes a few keys and uses each must not be told that they are none.
const RECHECK_BURST: u32 = 8;

impl RouteCache {
    /// An empty cache on a registry.
    pub fn new(registry: Registry, settings: RouteCacheSettings) -> Self {
        let store = Arc::new(Store::new(settings.max_routes, settings.ttl, settings.unknown_ttl));
        let reader = Arc::new(RouteReader::new(registry));
        Self(Arc::new(Inner {
            reads: Arc::new(Reads::new(Arc::clone(&reader), Arc::clone(&store))),
            store,
            reader,
            flights: Mutex::new(HashMap::new()),
            flight_numbers: AtomicU64::new(0),
            outage: Outage::new(),
            rechecked: quick_cache::sync::Cache::new(4096),
            applied: broadcast::Sender::new(APPLIED_KEPT),
            metrics: CacheMetrics::new(),
        }))
    }

    /// Keeps a route as if it had just been read.
    pub fn insert(&self, route: Route) {
        self.0.store.insert(route, Instant::now());
    }

    /// What is in memory and may be used as it is. Allocates nothing.
    pub fn lookup(&self, name: RouteName<'_>) -> Option<CachedRoute> {
        match self.0.store.find(name, Instant::now()) {
            Found::Route(route, Freshness::Fresh | Freshness::Aging) => Some(route),
            _ => None,
        }
    }

    /// Whether a name is in memory, be it that its route is to be read again or that it is nobody's.
    pub(crate) fn remembers(&self, name: RouteName<'_>) -> bool {
        !matches!(self.0.store.find(name, Instant::now()), Found::Unknown)
    }

    /// Routes in memory.
    pub fn len(&self) -> usize {
        self.0.store.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The route of a name, read from the registry where need be; none if nobody has the name.
    ///
    /// # Errors
    /// It is not in memory, and the registry does not answer.
    pub async fn get(&self, name: RouteName<'_>) -> Loaded {
        match self.0.store.find(name, Instant::now()) {
            Found::Route(route, Freshness::Fresh) => {
                self.0.metrics.hits.increment(1);
                Ok(Some(route))
            }
            Found::Route(route, Freshness::Aging) => {
                self.0.metrics.hits.increment(1);
                self.revalidate(route.tenant_id);
                Ok(Some(route))
            }
            Found::Route(route, Freshness::Stale) => self.resolve_doubt(name, route).await,
            Found::Nobody => {
                self.0.metrics.unknown.increment(1);
                Ok(None)
            }
            Found::Unknown => {
                self.0.metrics.misses.increment(1);
                self.load(name).await
            }
        }
    }

    async fn resolve_doubt(&self, name: RouteName<'_>, route: CachedRoute) -> Loaded {
        let id = route.tenant_id;
        if self.0.outage.is_on() {
            self.revalidate(id);
            return Ok(Some(self.serve_stale(route)));
        }
        match self.load(RouteName::Id(id)).await {
            Ok(Some(route)) if name.is_of(&route) => Ok(Some(route)),
            Ok(None) if matches!(name, RouteName::Id(_)) => Ok(None),
            // The name is another tenant's now, or nobody's.
            Ok(_) => self.load(name).await,
            Err(RoutesUnavailable) => Ok(Some(self.serve_stale(route))),
        }
    }

    fn serve_stale(&self, route: CachedRoute) -> CachedRoute {
        self.0.metrics.stale.increment(1);
        if self.0.outage.should_log() {
            tracing::warn!(tenant.id = %route.tenant_id, "the registry is unavailable; serving stale routes");
        }
        route
    }

    /// Reads a route again because it led to a refusal that the registry may not know of any more.
    /// None if that was done too often lately, and where the registry has nothing else to say.
    pub(crate) async fn recheck(&self, refused: &CachedRoute) -> Option<CachedRoute> {
        let (id, now) = (refused.tenant_id, Instant::now());
        let used_until = self.0.rechecked.get(&id).map_or(now, |until| until.max(now));
        if used_until + RECHECK_INTERVAL > now + RECHECK_INTERVAL * RECHECK_BURST {
            // Somebody else is at it, or has brought a newer one.
            let flight = self.flights().get(&OwnedName::Id(id)).map(|flight| flight.outcome.clone());
            if let Some(flight) = flight {
                return flight.await.ok().flatten().filter(|route| !route.is_same_load(refused));
            }
            return self.lookup(RouteName::Id(id)).filter(|route| !route.is_same_load(refused));
        }
        self.0.rechecked.insert(id, used_until + RECHECK_INTERVAL);
        self.load(RouteName::Id(id)).await.ok().flatten().filter(|route| !route.is_same_load(refused))
    }

    /// Waits until a tenant's route says what is wanted; none if the tenant is gone. Looks at each change that is
    /// announced, and from time to time by itself: the announcement may be lost.
    pub(crate) async fn until(
        &self,
        route: &CachedRoute,
        wanted: impl Fn(&CachedRoute) -> bool,
    ) -> Option<CachedRoute> {
        let id = route.tenant_id;
        let mut changes = self.changes();
        let mut pause = LOOK_FIRST;
        loop {
            match self.load(RouteName::Id(id)).await {
                Ok(None) => return None,
                Ok(Some(newer)) if wanted(&newer) => return Some(newer),
                // The registry is away: the change comes when it is back.
                Ok(Some(_)) | Err(RoutesUnavailable) => {}
            }
            let announced = async {
                while let Ok(change) = changes.recv().await {
                    if matches!(&change, Change::Tenant(tenant) if *tenant == id) {
                        return;
                    }
                }
                // Some were missed.
            };
            let _ = tokio::time::timeout(pause, announced).await;
            pause = (pause * 2).min(LOOK_LAST);
        }
    }

    /// Reads a route again in the background.
    pub(super) fn revalidate(&self, id: TenantId) {
        // The flight is a task of its own; nobody has to wait for it.
        drop(self.start(RouteName::Id(id)));
    }

    async fn load(&self, name: RouteName<'_>) -> Loaded {
        match self.start(name) {
            Some(flight) => flight.await,
            None => Err(RoutesUnavailable),
        }
    }

    /// Joins the flight for a name or starts one; none while the registry is known to be down.
    fn start(&self, name: RouteName<'_>) -> Option<Shared<BoxFuture<'static, Loaded>>> {
        let name = name.to_owned_name();
        let mark = self.0.store.mark_of(name.borrowed());
        let mut flights = self.flights();
        if let Some(flight) = flights.get(&name)
            // One that began before the last change may bring what was before it.
            && flight.began.get().is_none_or(|began| *began == mark)
        {
            return Some(flight.outcome.clone());
        }
        if !self.0.outage.may_try() {
            return None;
        }
        let number = self.0.flight_numbers.fetch_add(1, Ordering::Relaxed);
        let began = Arc::new(OnceLock::new());
        let task = {
            let (cache, name, began) = (self.clone(), name.clone(), Arc::clone(&began));
            tokio::spawn(async move {
                let loaded = cache.0.fetch(name.borrowed(), &began).await;
                let mut flights = cache.flights();
                if flights.get(&name).is_some_and(|flight| flight.number == number) {
                    flights.remove(&name);
                }
                loaded
            })
        };
        let outcome = async move { task.await.unwrap_or(Err(RoutesUnavailable)) }.boxed().shared();
        flights.insert(name, Flight { number, began, outcome: outcome.clone() });
        Some(outcome)
    }

    fn flights(&self) -> std::sync::MutexGuard<'_, HashMap<OwnedName, Flight>> {
        self.0.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tenant_changed(&self, id: TenantId) {
        if self.0.store.tenant_changed(id)
            && let Some(flight) = self.start(RouteName::Id(id))
        {
            let (heard, cache) = (Instant::now(), self.clone());
            tokio::spawn(async move {
                drop(flight.await);
                cache.0.metrics.change_seconds.record(heard.elapsed().as_secs_f64());
            });
        }
    }

    pub(super) fn name_changed(&self, name: RouteName<'_>) {
        self.0.store.name_changed(name);
    }

    pub(super) fn shared_changed(&self, uses: impl Fn(&Route) -> bool) {
        self.0.store.shared_changed(uses);
    }

    pub(super) fn all_changed(&self) {
        self.0.store.all_changed();
        self.0.outage.end();
    }

    /// The registry's changes, each after it was applied to what is in memory.
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        self.0.applied.subscribe()
    }

    pub(super) fn applied(&self, change: Change) {
        // An error says that nobody listens.
        let _ = self.0.applied.send(change);
    }

    /// How often the registry was asked for routes, however many at a time.
    pub fn registry_reads(&self) -> u64 {
        self.0.reader.reads()
    }

    /// Whether the registry is down, as far as the last load knows.
    pub(crate) fn is_in_outage(&self) -> bool {
        self.0.outage.is_on()
    }

    pub(crate) fn reader(&self) -> &RouteReader {
        &self.0.reader
    }
}

impl Inner {
    async fn fetch(&self, name: RouteName<'_>, began: &Arc<OnceLock<u32>>) -> Loaded {
        let started = Instant::now();
        let read = tokio::time::timeout(TIMEOUT, self.reads.read(name, began)).await;
        self.metrics.load_seconds.record(started.elapsed().as_secs_f64());
        let (route, before) = match read {
            Ok(Ok(Ok(read))) => read,
            Ok(Ok(Err(error))) => {
                self.report(name, &error);
                // One route that cannot be read says nothing of the others.
                if error.is_unavailable() {
                    self.outage.begin();
                }
                return Err(RoutesUnavailable);
            }
            Ok(Err(NoAnswer)) | Err(_) => {
                self.outage.begin();
                return Err(RoutesUnavailable);
            }
        };
        self.outage.end();
        Ok(self.keep(name, route, before))
    }

    fn keep(&self, name: RouteName<'_>, route: Option<Route>, before: Snapshot) -> Option<CachedRoute> {
        let now = Instant::now();
        let kept = route.map(|route| self.store.put(name, route, before, now));
        if kept.is_none() {
            self.store.put_nobody(name, before, now);
        }
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
        self.metrics.routes.set(self.store.len() as f64);
        kept
    }

    fn report(&self, name: RouteName<'_>, error: &RegistryError) {
        if !error.is_unavailable() {
            tracing::error!(error = error as &dyn std::error::Error, "the route of {name:?} cannot be read");
        } else if self.outage.should_log() {
            tracing::warn!(error = error as &dyn std::error::Error, "the registry is unavailable: {error}");
        }
    }
}

/// Whether the registry is down, as far as the last load knows. While it is, only one load in a
/// while tries, and nobody with a stale route waits for it.
struct Outage {
    origin: Instant,
    /// Milliseconds after `origin`, plus one, of the next try; 0 when there is no outage.
    next_try: AtomicU64,
    next_log: AtomicU64,
}

const TRY_EVERY: u64 = 250;
const LOG_EVERY: u64 = 10_000;

impl Outage {
    fn new() -> Self {
        Self { origin: Instant::now(), next_try: AtomicU64::new(0), next_log: AtomicU64::new(0) }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX - LOG_EVERY) + 1
    }

    fn begin(&self) {
        self.next_try.store(self.now() + TRY_EVERY, Ordering::Release);
    }

    fn end(&self) {
        self.next_try.store(0, Ordering::Release);
    }

    fn is_on(&self) -> bool {
        self.next_try.load(Ordering::Acquire) != 0
    }

    fn may_try(&self) -> bool {
        let (due, now) = (self.next_try.load(Ordering::Acquire), self.now());
        due == 0
            || (now >= due
                && self
                    .next_try
                    .compare_exchange(due, now + TRY_EVERY, Ordering::AcqRel, Ordering::Acquire)
                    .is_ok())
    }

    fn should_log(&self) -> bool {
        let (due, now) = (self.next_log.load(Ordering::Acquire), self.now());
        now >= due
            && self
                .next_log
                .compare_exchange(due, now + LOG_EVERY, Ordering::AcqRel, Ordering::Acquire)
                .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use tenantry_registry::Part;

    use super::{super::store::tests::route, *};

    /// A registry at a port where nobody listens.
    fn cache() -> RouteCache {
        let registry =
            Registry::connect_lazy("postgres://nobody@127.0.0.1:1/none", Part::DataPlane, 1).unwrap();
        let settings = RouteCacheSettings {
            max_routes: 100,
            ttl: Duration::from_mins(1),
            unknown_ttl: Duration::from_secs(2),
        };
        RouteCache::new(registry, settings)
    }

    #[tokio::test]
    async fn without_the_registry_what_is_in_memory_is_served_and_the_rest_is_unavailable() {
        let cache = cache();
        let acme = route(1, "acme");
        cache.insert(acme.clone());
        assert_eq!(cache.get(RouteName::Label("globex")).await.unwrap_err(), RoutesUnavailable);
        cache.tenant_changed(acme.tenant_id);
        let served = cache.get(RouteName::Label("acme")).await.unwrap().unwrap();
        assert_eq!(*served, acme);
    }

    #[tokio::test]
    async fn an_outage_that_is_known_costs_nobody_any_waiting() {
        let cache = cache();
        cache.0.outage.begin();
        assert!(cache.get(RouteName::Label("globex")).await.is_err());
        assert_eq!(cache.registry_reads(), 0, "nobody waited for an answer");
    }

    #[tokio::test]
    async fn a_reserved_word_is_nobody_s_without_asking() {
        assert!(cache().get(RouteName::Label("www")).await.unwrap().is_none());
    }

    #[test]
    fn during_an_outage_one_load_in_a_while_tries() {
        let outage = Outage::new();
        assert!(outage.may_try() && outage.may_try());
        outage.begin();
        assert!(outage.is_on() && !outage.may_try());
        outage.end();
        assert!(!outage.is_on() && outage.may_try());
    }
}
