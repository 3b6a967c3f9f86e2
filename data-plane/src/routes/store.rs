//! What is in memory, and whether it may be believed. No I/O.
//!
//! A load reads the registry while changes go on. So a load notes before it reads what it has heard
//! ([`Store::snapshot`]), and what it brings is believed only as far as nothing was heard since.

use std::{
    hash::{BuildHasher, Hash, RandomState},
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use quick_cache::{
    DefaultHashBuilder, Equivalent, Lifecycle, OptionsBuilder, UnitWeighter,
    sync::{Cache, EntryAction, EntryResult},
};
use tenantry_domain::{ids::TenantId, route::Route};

/// By what a route is looked up. Labels and domains are normalised: lower case, no final dot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RouteName<'a> {
    /// The tenant's id.
    Id(TenantId),
    /// Its slug or subdomain.
    Label(&'a str),
    /// A verified custom domain.
    Domain(&'a str),
}

/// A [`RouteName`] that is kept. Same variants in the same order, so that both hash alike.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum OwnedName {
    Id(TenantId),
    Label(Box<str>),
    Domain(Box<str>),
}

impl Equivalent<OwnedName> for RouteName<'_> {
    fn equivalent(&self, key: &OwnedName) -> bool {
        *self == key.borrowed()
    }
}

impl OwnedName {
    pub(super) fn borrowed(&self) -> RouteName<'_> {
        match self {
            Self::Id(id) => RouteName::Id(*id),
            Self::Label(label) => RouteName::Label(label),
            Self::Domain(domain) => RouteName::Domain(domain),
        }
    }
}

impl RouteName<'_> {
    pub(super) fn to_owned_name(self) -> OwnedName {
        match self {
            Self::Id(id) => OwnedName::Id(id),
            Self::Label(label) => OwnedName::Label(label.into()),
            Self::Domain(domain) => OwnedName::Domain(domain.into()),
        }
    }

    /// Whether the tenant has this name. A mapping that says so may be out of date.
    pub(crate) fn is_of(self, route: &Route) -> bool {
        match self {
            Self::Id(id) => route.tenant_id == id,
            Self::Label(label) => {
                route.slug.as_str() == label
                    || route.subdomain.as_ref().is_some_and(|own| own.as_str() == label)
            }
            Self::Domain(domain) => route.domains.iter().any(|own| own.as_str() == domain),
        }
    }
}

/// A route in memory. Cheap to clone.
#[derive(Debug, Clone)]
pub struct CachedRoute(Arc<Entry>);

/// In this order, so that what every lookup asks lies next to the `Arc`'s counter.
#[derive(Debug)]
#[repr(C)]
struct Entry {
    read_at: Instant,
    generation: u32,
    doubtful: AtomicBool,
    /// A later load took its place: a name that still leads here leads to the tenant, not to this.
    replaced: AtomicBool,
    lookups: AtomicU8,
    /// Grows with each load: a slow one must not overwrite a later one.
    load: u64,
    route: Route,
}

impl Deref for CachedRoute {
    type Target = Route;

    fn deref(&self) -> &Route {
        &self.0.route
    }
}

impl CachedRoute {
    /// Whether both are the same load.
    pub(crate) fn is_same_load(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// Whether a route may be used as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Freshness {
    Fresh,
    /// Usable; read it again in the background.
    Aging,
    /// To be read again before it is used.
    Stale,
}

/// What is known of a name.
#[derive(Debug)]
pub(super) enum Found {
    Route(CachedRoute, Freshness),
    /// Nobody has this name, as of a moment ago.
    Nobody,
    Unknown,
}

/// What had been heard when a load began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Snapshot {
    load: u64,
    mark: u32,
    generation: u32,
    heard: u64,
}

/// Routes by the hash of a name: whether the route found really has the name is checked anyway
/// ([`RouteName::is_of`]), and a name that is not stored is one place less to fetch from memory. The
/// route itself, not the tenant's id: that would be two more.
#[derive(Debug)]
struct Names {
    routes: Cache<u64, CachedRoute>,
    hasher: RandomState,
}

impl Names {
    fn hash(&self, name: RouteName<'_>) -> u64 {
        self.hasher.hash_one(name)
    }
}

/// What goes with a route that makes room for another: its names.
#[derive(Debug, Clone)]
struct ForgetNames(Arc<Names>);

impl Lifecycle<TenantId, CachedRoute> for ForgetNames {
    type RequestState = ();

    fn on_evict(&self, (): &mut (), _: TenantId, route: CachedRoute) {
        for name in names_of(&route) {
            self.0.routes.remove(&self.0.hash(name));
        }
        // A name that was being kept just now finds out.
        route.0.replaced.store(true, Ordering::Release);
    }
}

/// All names of a route but its id.
fn names_of(route: &Route) -> impl Iterator<Item = RouteName<'_>> {
    let labels = std::iter::once(&route.slug).chain(&route.subdomain);
    labels
        .map(|label| RouteName::Label(label.as_str()))
        .chain(route.domains.iter().map(|domain| RouteName::Domain(domain.as_str())))
}

#[derive(Debug)]
pub(super) struct Store {
    routes: Cache<TenantId, CachedRoute, UnitWeighter, DefaultHashBuilder, ForgetNames>,
    names: Arc<Names>,
    nobody: Cache<OwnedName, Instant>,
    ttl: Duration,
    unknown_ttl: Duration,
    /// Changes heard per name, by the name's hash: a collision only costs a load.
    marks: Box<[AtomicU32]>,
    /// Grows when many routes change at once.
    generation: AtomicU32,
    /// All changes heard.
    heard: AtomicU64,
    loads: AtomicU64,
}

/// Names that are known to be nobody's; a scan of random names must not fill the memory.
const MAX_NOBODY: usize = 10_000;
const MARKS: usize = 1024;

impl Store {
    pub(super) fn new(max_routes: usize, ttl: Duration, unknown_ttl: Duration) -> Self {
        let names =
            Arc::new(Names { routes: Cache::new(max_routes.saturating_mul(2)), hasher: RandomState::new() });
        let options = OptionsBuilder::new()
            .estimated_items_capacity(max_routes)
            .weight_capacity(max_routes as u64)
            .build()
            .expect("both capacities are given");
        Self {
            routes: Cache::with_options(
                options,
                UnitWeighter,
                DefaultHashBuilder::default(),
                ForgetNames(Arc::clone(&names)),
            ),
            names,
            nobody: Cache::new(MAX_NOBODY),
            ttl,
            unknown_ttl,
            marks: (0..MARKS).map(|_| AtomicU32::new(0)).collect(),
            generation: AtomicU32::new(0),
            heard: AtomicU64::new(0),
            loads: AtomicU64::new(0),
        }
    }

    /// Allocates nothing.
    pub(super) fn find(&self, name: RouteName<'_>, now: Instant) -> Found {
        let route = match name {
            RouteName::Id(id) => self.routes.get(&id),
            _ => self.by_name(name),
        };
        if let Some(route) = route.filter(|route| name.is_of(route)) {
            let standing = self.standing(&route, now);
            return Found::Route(route, standing);
        }
        match self.nobody.get(&name) {
            Some(until) if now < until => Found::Nobody,
            _ => Found::Unknown,
        }
    }

    fn by_name(&self, name: RouteName<'_>) -> Option<CachedRoute> {
        let hash = self.names.hash(name);
        let route = self.names.routes.get(&hash)?;
        if route.0.replaced.load(Ordering::Acquire) {
            let mark = self.mark_of(name);
            let route = self.routes.get(&route.tenant_id)?;
            self.keep_name(name, &route, mark);
            return Some(route);
        }
        // What is only ever looked up by name must not seem unused.
        if route.0.lookups.fetch_add(1, Ordering::Relaxed) == 0 {
            let _ = self.routes.get(&route.tenant_id);
        }
        Some(route)
    }

    /// Lets a name lead to a route, unless the name changed since its mark was read.
    fn keep_name(&self, name: RouteName<'_>, route: &CachedRoute, mark: u32) {
        if !name.is_of(route) {
            return;
        }
        let hash = self.names.hash(name);
        self.names.routes.insert(hash, route.clone());
        if self.mark_of(name) != mark {
            self.names.routes.remove(&hash);
        }
    }

    fn standing(&self, route: &CachedRoute, now: Instant) -> Freshness {
        let entry = &*route.0;
        let age = now.saturating_duration_since(entry.read_at);
        if entry.doubtful.load(Ordering::Acquire)
            || entry.generation != self.generation.load(Ordering::Acquire)
            || age >= self.ttl * 2
        {
            Freshness::Stale
        } else if age >= self.ttl {
            Freshness::Aging
        } else {
            Freshness::Fresh
        }
    }

    pub(super) fn mark_of(&self, name: RouteName<'_>) -> u32 {
        self.mark(name).load(Ordering::Acquire)
    }

    fn mark(&self, name: RouteName<'_>) -> &AtomicU32 {
        &self.marks[usize::try_from(self.names.hash(name) % MARKS as u64).expect("a remainder of 1024")]
    }

    /// To be taken before the registry is read.
    pub(super) fn snapshot(&self, name: RouteName<'_>) -> Snapshot {
        Snapshot {
            load: self.loads.fetch_add(1, Ordering::AcqRel),
            mark: self.mark_of(name),
            generation: self.generation.load(Ordering::Acquire),
            heard: self.heard.load(Ordering::Acquire),
        }
    }

    /// Keeps what a load brought, unless a later load was faster; answers what is kept.
    pub(super) fn put(
        &self,
        name: RouteName<'_>,
        route: Route,
        before: Snapshot,
        now: Instant,
    ) -> CachedRoute {
        let id = route.tenant_id;
        let fresh = CachedRoute(Arc::new(Entry {
            route,
            read_at: now,
            load: before.load,
            generation: before.generation,
            doubtful: AtomicBool::new(false),
            replaced: AtomicBool::new(false),
            lookups: AtomicU8::new(0),
        }));
        let kept = self.routes.entry(&id, None, |_, kept| {
            if kept.0.load < fresh.0.load {
                let old = std::mem::replace(kept, fresh.clone());
                old.0.replaced.store(true, Ordering::Release);
            }
            EntryAction::Retain(kept.clone())
        });
        let kept = match kept {
            EntryResult::Retained(kept) => kept,
            EntryResult::Vacant(place) => {
                // Only fails if the place was taken away meanwhile, by a removal: used once, then.
                if place.insert(fresh.clone()).is_err() {
                    fresh.0.replaced.store(true, Ordering::Release);
                }
                fresh.clone()
            }
            EntryResult::Removed(..) | EntryResult::Replaced(..) | EntryResult::Timeout => {
                unreachable!("what is there is retained, without a limit of time")
            }
        };
        // Only now that a change would find it in place: what was heard before is seen here.
        // A load by label could not know whose changes to watch for, so it heeds all of them.
        let overtaken = match name {
            RouteName::Id(_) => self.mark_of(name) != before.mark,
            _ => self.heard.load(Ordering::Acquire) != before.heard,
        };
        if overtaken {
            fresh.0.doubtful.store(true, Ordering::Release);
        }
        self.nobody.remove(&name);
        if !matches!(name, RouteName::Id(_)) {
            self.keep_name(name, &kept, before.mark);
        }
        kept
    }

    /// Keeps that a name is nobody's.
    pub(super) fn put_nobody(&self, name: RouteName<'_>, before: Snapshot, now: Instant) {
        if let RouteName::Id(id) = name
            && let Some((_, gone)) = self.routes.remove_if(&id, |kept| kept.0.load < before.load)
        {
            gone.0.replaced.store(true, Ordering::Release);
        }
        self.nobody.insert(name.to_owned_name(), now + self.unknown_ttl);
        if self.mark_of(name) != before.mark {
            self.nobody.remove(&name);
        }
    }

    /// A tenant's route changed. Answers whether it is in memory.
    pub(super) fn tenant_changed(&self, id: TenantId) -> bool {
        self.name_changed(RouteName::Id(id));
        self.routes.peek(&id).is_some_and(|route| {
            route.0.doubtful.store(true, Ordering::Release);
            true
        })
    }

    /// A name appeared or went.
    pub(super) fn name_changed(&self, name: RouteName<'_>) {
        self.mark(name).fetch_add(1, Ordering::AcqRel);
        self.heard.fetch_add(1, Ordering::AcqRel);
        self.nobody.remove(&name);
        if !matches!(name, RouteName::Id(_)) {
            self.names.routes.remove(&self.names.hash(name));
        }
    }

    /// Something that several routes share changed.
    pub(super) fn shared_changed(&self, uses: impl Fn(&Route) -> bool) {
        // Loads that are under way may have read the old value: whichever they are for.
        for mark in &*self.marks {
            mark.fetch_add(1, Ordering::AcqRel);
        }
        self.heard.fetch_add(1, Ordering::AcqRel);
        for (_, route) in self.routes.iter().filter(|(_, route)| uses(route)) {
            route.0.doubtful.store(true, Ordering::Release);
        }
    }

    /// Anything may have changed.
    pub(super) fn all_changed(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.heard.fetch_add(1, Ordering::AcqRel);
        for mark in &*self.marks {
            mark.fetch_add(1, Ordering::AcqRel);
        }
        self.nobody.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.routes.len()
    }

    /// Keeps a route with all its names, as if it had just been read.
    pub(super) fn insert(&self, route: Route, now: Instant) {
        let before = self.snapshot(RouteName::Id(route.tenant_id));
        let id = route.tenant_id;
        let kept = self.put(RouteName::Id(id), route, before, now);
        for name in names_of(&kept) {
            self.keep_name(name, &kept, self.mark_of(name));
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::{collections::BTreeMap, num::NonZeroU8};

    use tenantry_domain::{
        Slug,
        app::{AppName, Manifest},
        domain_name::DomainName,
        plan::{Limits, PlanName},
        route::{RouteApp, RouteUsers},
        tenant::TenantPhase,
    };
    use uuid::Uuid;

    use super::*;

    pub(crate) fn route(number: u128, slug: &str) -> Route {
        Route {
            tenant_id: TenantId::from_uuid(Uuid::from_u128(number)),
            slug: Slug::parse(slug).unwrap(),
            subdomain: None,
            domains: Box::default(),
            name: slug.into(),
            phase: TenantPhase::Active,
            plan: PlanName::parse("basic").unwrap(),
            limits: Limits::default(),
            storage_full: false,
            weight: NonZeroU8::MIN,
            users: RouteUsers::default(),
            features: Arc::new(BTreeMap::new()),
            app: Arc::new(RouteApp { name: AppName::parse("crm").unwrap(), manifest: Manifest::default() }),
            placement: None,
            keys: Box::default(),
            signing_keys: Box::default(),
        }
    }

    const TTL: Duration = Duration::from_mins(1);

    fn store() -> Store {
        Store::new(1000, TTL, Duration::from_secs(2))
    }

    fn standing(store: &Store, name: RouteName<'_>, now: Instant) -> Option<Freshness> {
        match store.find(name, now) {
            Found::Route(_, standing) => Some(standing),
            Found::Nobody | Found::Unknown => None,
        }
    }

    const ACME: RouteName<'_> = RouteName::Label("acme");

    #[test]
    fn a_route_is_found_by_all_its_names() {
        let (store, now) = (store(), Instant::now());
        let mut acme = route(1, "acme");
        acme.subdomain = Some(Slug::parse("shop").unwrap());
        let long = format!("{}.example.com", "a".repeat(60));
        let domains =
            ["a.example.com", &long, "b.example.com", "c.example.com", "d.example.com", "e.example.com"];
        acme.domains = domains.map(|domain| DomainName::parse(domain).unwrap()).into();
        let id = acme.tenant_id;
        store.insert(acme, now);
        let names = [RouteName::Id(id), ACME, RouteName::Label("shop")];
        for name in names.into_iter().chain(domains.map(RouteName::Domain)) {
            assert_eq!(standing(&store, name, now), Some(Freshness::Fresh), "{name:?}");
        }
        for other in [
            RouteName::Label("other"),
            RouteName::Label(""),
            RouteName::Label("a.example.com"),
            RouteName::Domain("acme"),
            RouteName::Domain("f.example.com"),
        ] {
            assert!(matches!(store.find(other, now), Found::Unknown), "{other:?}");
        }
    }

    #[test]
    fn a_route_ages_and_is_then_doubted() {
        let (store, now) = (store(), Instant::now());
        store.insert(route(1, "acme"), now);
        assert_eq!(standing(&store, ACME, now + TTL), Some(Freshness::Aging));
        assert_eq!(standing(&store, ACME, now + TTL * 2), Some(Freshness::Stale));
    }

    #[test]
    fn a_change_puts_one_route_in_doubt_and_a_reconnection_all() {
        let (store, now) = (store(), Instant::now());
        let (a, b) = (route(1, "acme"), route(2, "globex"));
        let id = a.tenant_id;
        store.insert(a, now);
        store.insert(b, now);
        assert!(store.tenant_changed(id));
        assert_eq!(standing(&store, ACME, now), Some(Freshness::Stale));
        assert_eq!(standing(&store, RouteName::Label("globex"), now), Some(Freshness::Fresh));
        store.all_changed();
        assert_eq!(standing(&store, RouteName::Label("globex"), now), Some(Freshness::Stale));
    }

    #[test]
    fn a_load_that_a_change_overtook_is_not_believed() {
        let (store, now) = (store(), Instant::now());
        let acme = route(1, "acme");
        let name = RouteName::Id(acme.tenant_id);
        let before = store.snapshot(name);
        store.tenant_changed(acme.tenant_id);
        store.put(name, acme, before, now);
        assert_eq!(standing(&store, name, now), Some(Freshness::Stale));

        let before = store.snapshot(RouteName::Label("new"));
        store.name_changed(RouteName::Label("new"));
        store.put_nobody(RouteName::Label("new"), before, now);
        assert!(matches!(store.find(RouteName::Label("new"), now), Found::Unknown));
    }

    #[test]
    fn a_slow_load_does_not_overwrite_a_later_one() {
        let (store, now) = (store(), Instant::now());
        let (old, mut new) = (route(1, "acme"), route(1, "acme"));
        new.phase = TenantPhase::Suspended;
        let name = RouteName::Id(old.tenant_id);
        let (first, second) = (store.snapshot(name), store.snapshot(name));
        store.put(name, new, second, now);
        assert_eq!(store.put(name, old, first, now).phase, TenantPhase::Suspended);
    }

    #[test]
    fn a_label_that_went_to_another_tenant_is_not_served_from_the_old_one() {
        let (store, now) = (store(), Instant::now());
        store.insert(route(1, "acme"), now);
        let renamed = route(1, "acme-old");
        let before = store.snapshot(RouteName::Id(renamed.tenant_id));
        store.put(RouteName::Id(renamed.tenant_id), renamed, before, now);
        assert!(matches!(store.find(ACME, now), Found::Unknown));
    }

    #[test]
    fn a_route_that_makes_room_takes_its_names_with_it() {
        let (store, now) = (Store::new(100, TTL, Duration::from_secs(2)), Instant::now());
        let slug = |number: u128| format!("tenant-{number}");
        for number in 0..1000 {
            store.insert(route(number, &slug(number)), now);
        }
        assert!(store.len() <= 100);
        for number in 0..1000 {
            let id = RouteName::Id(TenantId::from_uuid(Uuid::from_u128(number)));
            let by_name = standing(&store, RouteName::Label(&slug(number)), now);
            assert_eq!(by_name, standing(&store, id, now), "tenant {number}");
        }
        assert!(store.names.routes.len() <= 100);
    }

    #[test]
    fn a_name_leads_to_the_latest_load() {
        let (store, now) = (store(), Instant::now());
        let old = route(1, "acme");
        let name = RouteName::Id(old.tenant_id);
        store.insert(old, now);
        for phase in [TenantPhase::Suspended, TenantPhase::Active] {
            let mut new = route(1, "acme");
            new.phase = phase;
            store.put(name, new, store.snapshot(name), now);
            for _ in 0..2 {
                assert!(matches!(store.find(ACME, now), Found::Route(route, _) if route.phase == phase));
            }
        }
    }

    #[test]
    fn nobody_is_forgotten_in_time_and_at_once_when_somebody_appears() {
        let (store, now) = (store(), Instant::now());
        store.put_nobody(ACME, store.snapshot(ACME), now);
        assert!(matches!(store.find(ACME, now), Found::Nobody));
        assert!(matches!(store.find(ACME, now + Duration::from_secs(2)), Found::Unknown));
        store.name_changed(ACME);
        assert!(matches!(store.find(ACME, now), Found::Unknown));
    }

    #[test]
    fn a_shared_thing_that_changed_puts_its_users_in_doubt() {
        let (store, now) = (store(), Instant::now());
        store.insert(route(1, "acme"), now);
        store.shared_changed(|route| route.plan.as_str() == "premium");
        assert_eq!(standing(&store, ACME, now), Some(Freshness::Fresh));
        store.shared_changed(|route| route.plan.as_str() == "basic");
        assert_eq!(standing(&store, ACME, now), Some(Freshness::Stale));
    }
}
