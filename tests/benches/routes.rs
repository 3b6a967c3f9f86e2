//! Targets 5 and 11: the route cache with 100,000 routes. In a process of its own, whose memory is
//! measured, and with an allocator that counts.

#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::print_stdout,
    clippy::float_cmp,
    reason = "figures for people"
)]

use std::{alloc::System, fs, hint::black_box, sync::Arc, time::Instant};

use hdrhistogram::Histogram;
use rand::{Rng, SeedableRng, rngs::SmallRng};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tenantry_data_plane::{RouteCache, RouteCacheSettings, RouteName};
use tenantry_domain::{
    Slug,
    api_key::KeyHash,
    app::{AppVersion, Manifest},
    domain_name::DomainName,
    ids::{ServerId, TenantId},
    names::ObjectName,
    placement::Epoch,
    plan::Plan,
    route::{Route, RouteApp, RouteKey, RoutePlacement, RouteServer, RouteUsers},
    tenant::TenantPhase,
};
use tenantry_registry::{Part, Registry};
use tenantry_tests::report::{Figure, publish};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const ROUTES: usize = 100_000;

fn slug(n: usize) -> String {
    format!("tenant-number-{n}")
}

fn domain(n: usize) -> String {
    format!("app.customer-{n}.example")
}

/// Routes as the registry's reader makes them: what many share is shared.
fn routes() -> (Vec<TenantId>, impl Iterator<Item = Route>) {
    let mut rng = SmallRng::seed_from_u64(1);
    let now = chrono::DateTime::UNIX_EPOCH;
    let ids: Vec<TenantId> = (0..ROUTES).map(|_| TenantId::generate(now, &mut rng)).collect();
    let plan = Plan::built_in().swap_remove(0);
    let features = Arc::new(plan.features.clone());
    let app = Arc::new(RouteApp {
        name: "crm".parse().expect("a name"),
        manifest: Manifest {
            description: "a CRM".into(),
            extensions: ["pg_trgm".into()].into(),
            ..Manifest::default()
        },
    });
    let server = Arc::new(RouteServer {
        id: ServerId::generate(now, &mut rng),
        host: "db-1.internal".into(),
        port: 5432,
        tls: tenantry_domain::server_tls::ServerTls::Prefer,
        max_connections: 60,
        users_login: None,
    });
    let database = Arc::new(ObjectName::parse("tenants").expect("a name"));
    let logins: Vec<Arc<ObjectName>> = (0..ROUTES / 250)
        .map(|n| Arc::new(ObjectName::parse(&format!("tenantry_data_main_{n:08x}")).expect("a name")))
        .collect();
    let made = ids.clone().into_iter().enumerate().map(move |(n, tenant_id)| {
        let slug = Slug::parse(&slug(n)).expect("a slug");
        let key =
            |text: String| RouteKey { hash: KeyHash::of(&text), read: true, write: true, expires_at: None };
        Route {
            tenant_id,
            subdomain: None,
            domains: if n % 10 == 0 {
                [DomainName::parse(&domain(n)).expect("a domain")].into()
            } else {
                [].into()
            },
            name: format!("Tenant Number {n}").into(),
            phase: TenantPhase::Active,
            plan: plan.name.clone(),
            storage_full: false,
            limits: plan.limits,
            weight: plan.database.weight,
            users: RouteUsers::default(),
            features: Arc::clone(&features),
            app: Arc::clone(&app),
            placement: Some(RoutePlacement {
                in_cutover: false,
                migrating: false,
                epoch: Epoch::FIRST,
                server: Arc::clone(&server),
                database: Arc::clone(&database),
                login: Arc::clone(&logins[n / 250]),
                schema: slug.object_name(),
                schema_version: AppVersion::try_from(20_261_120_090_200).expect("a version"),
            }),
            keys: [key(format!("a{n}")), key(format!("b{n}"))].into(),
            signing_keys: [].into(),
            slug,
        }
    });
    (ids, made)
}

/// Resident memory of this process, in bytes.
fn resident() -> f64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux tells");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("it does");
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<f64>().ok()).expect("a number") * 1024.0
}

/// p50 and p99 of a lookup in nanoseconds, the timer's own calls taken off, and allocations per lookup.
/// `read` reads the name first, as whoever looks one up has just read it from a request.
fn measure(lookups: usize, read: impl Fn(usize), mut lookup: impl FnMut(usize)) -> (f64, f64, f64) {
    let mut rng = SmallRng::seed_from_u64(2);
    let order: Vec<usize> = (0..lookups).map(|_| rng.next_u64() as usize % ROUTES).collect();
    let mut overhead = Histogram::<u64>::new(3).expect("a histogram");
    let mut times = Histogram::<u64>::new(3).expect("a histogram");
    for n in &order {
        lookup(*n);
        let started = Instant::now();
        overhead.record(u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX)).expect("in range");
    }
    let region = Region::new(ALLOCATOR);
    for n in &order {
        lookup(*n);
    }
    let allocations = region.change().allocations;
    for n in &order {
        read(*n);
        let started = Instant::now();
        lookup(*n);
        times.record(u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX)).expect("in range");
    }
    let own = overhead.value_at_quantile(0.5) as f64;
    let at = |share| (times.value_at_quantile(share) as f64 - own).max(0.0);
    (at(0.5), at(0.99), allocations as f64 / lookups as f64)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let registry = Registry::connect_lazy("postgres://nobody@127.0.0.1:1/none", Part::DataPlane, 1)?;
    let settings = tenantry_data_plane::Settings::default();
    let cache = RouteCache::new(
        registry,
        RouteCacheSettings {
            max_routes: settings.max_routes,
            ttl: std::time::Duration::from_hours(1),
            unknown_ttl: settings.unknown_ttl,
        },
    );
    let (ids, made) = routes();
    let slugs: Vec<String> = (0..ROUTES).map(slug).collect();
    let domains: Vec<String> = (0..ROUTES).map(|n| domain(n / 10 * 10)).collect();
    let before = resident();
    for route in made {
        cache.insert(route);
    }
    let megabytes = (resident() - before) / 1e6;
    assert_eq!(cache.len(), ROUTES);

    let mut figures = Vec::new();
    let mut by = |what: &str, read: &dyn Fn(usize), lookup: &mut dyn FnMut(usize)| {
        let (p50, p99, allocations) = measure(1_000_000, read, lookup);
        println!("lookup by {what}: p50 {p50:.0} ns, p99 {p99:.0} ns, {allocations:.3} allocations");
        assert_eq!(allocations, 0.0, "a lookup by {what} allocates");
        figures.push(Figure {
            target: 5,
            what: format!("route lookup by {what}, 100,000 routes, p99 (p50 {:.2} us)", p50 / 1e3),
            ours: p99 / 1e3,
            raw: None,
            unit: "us",
            bound: 1.0,
            at_least: false,
        });
    };
    let read = |name: &str| {
        black_box(name.bytes().map(u32::from).sum::<u32>());
    };
    let found = |name: RouteName<'_>| assert!(black_box(cache.lookup(name)).is_some());
    let read_id = |n: usize| {
        black_box(ids[n]);
    };
    by("id", &read_id, &mut |n| found(RouteName::Id(ids[n])));
    by("slug", &|n| read(&slugs[n]), &mut |n| found(RouteName::Label(&slugs[n])));
    by("domain", &|n| read(&domains[n]), &mut |n| found(RouteName::Domain(&domains[n])));
    figures.push(Figure {
        target: 11,
        what: format!("memory of 100,000 cached routes ({:.0} bytes each)", megabytes * 1e6 / ROUTES as f64),
        ours: megabytes,
        raw: None,
        unit: "MB",
        bound: 100.0,
        at_least: false,
    });
    publish(&figures)
}
