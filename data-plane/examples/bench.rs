//! throw-away
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tenantry_data_plane::*;
use tenantry_domain::{
    api_key::KeyHash, app::*, ids::*, names::ObjectName, placement::Epoch, plan::*, route::*,
    tenant::TenantPhase, *,
};
use tenantry_registry::{Part, Registry};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn route(
    n: u128,
    server: &Arc<RouteServer>,
    app: &Arc<RouteApp>,
    db: &Arc<ObjectName>,
    login: &Arc<ObjectName>,
    features: &Arc<Features>,
) -> Route {
    let slug = Slug::parse(&format!("tenant-number-{n}")).unwrap();
    let key = |k: &str| RouteKey {
        hash: KeyHash::of(&format!("{k}{n}")),
        read: true,
        write: true,
        expires_at: None,
    };
    Route {
        tenant_id: TenantId::from_uuid(uuid::Uuid::from_u128(0x019a_0000_0000_7000_8000_0000_0000_0000 + n)),
        subdomain: None,
        domains: if n % 10 == 0 {
            [domain_name::DomainName::parse(&format!("events.customer{n}.com")).unwrap()].into()
        } else {
            Box::default()
        },
        name: format!("Tenant Number {n}").into(),
        phase: TenantPhase::Active,
        plan: PlanName::parse("premium").unwrap(),
        limits: Limits::default(),
        features: features.clone(),
        app: app.clone(),
        placement: Some(RoutePlacement {
            epoch: Epoch::FIRST,
            server: server.clone(),
            database: db.clone(),
            login: login.clone(),
            schema: slug.object_name(),
            schema_version: AppVersion::try_from(20260101).unwrap(),
        }),
        keys: [key("a"), key("b")].into(),
        slug,
    }
}
fn rss() -> u64 {
    std::fs::read_to_string("/proc/self/statm").unwrap().split(' ').nth(1).unwrap().parse::<u64>().unwrap()
        * 4096
}

#[tokio::main]
async fn main() {
    let what = std::env::args().nth(1).unwrap();
    if what == "lookup" {
        let registry =
            Registry::connect_lazy("postgres://tenantry@127.0.0.1:54329/registry_dp", Part::DataPlane, 5)
                .unwrap();
        let plane = DataPlane::new(
            registry,
            envelope::Key::from_base64("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").unwrap(),
            SystemClock::shared(),
            Settings::default(),
        );
        let server = Arc::new(RouteServer {
            id: ServerId::from_uuid(uuid::Uuid::from_u128(1)),
            host: "h".into(),
            port: 1,
            max_connections: 10,
        });
        let app = Arc::new(RouteApp { name: AppName::parse("crm").unwrap(), manifest: Manifest::default() });
        let (db, login) = (
            Arc::new(ObjectName::parse("tenants").unwrap()),
            Arc::new(ObjectName::parse("dp_login_1").unwrap()),
        );
        let features = Arc::new(Features::new());
        let before = rss();
        for n in 0..100_000 {
            plane.routes().insert(route(n, &server, &app, &db, &login, &features));
        }
        let after = rss();
        println!(
            "{} routes, {} MB, {} bytes a route",
            plane.routes().len(),
            (after - before) >> 20,
            (after - before) / 100_000
        );
        let names: Vec<String> =
            (0..100_000u64).map(|n| format!("tenant-number-{}", (n * 7919) % 100_000)).collect();
        let ids: Vec<TenantId> = (0..100_000u128)
            .map(|n| {
                TenantId::from_uuid(uuid::Uuid::from_u128(
                    0x019a_0000_0000_7000_8000_0000_0000_0000 + (n * 7919) % 100_000,
                ))
            })
            .collect();
        let hosts: Vec<String> =
            (0..100_000u64).map(|n| format!("events.customer{}.com", ((n * 7919) % 10_000) * 10)).collect();
        let mut all: Vec<u64> = Vec::with_capacity(1_000_000);
        for (kind, f) in [("label", 0), ("id", 1), ("domain", 2)] {
            all.clear();
            let mut hit = 0;
            let total = Instant::now();
            for r in 0..10 {
                for n in 0..100_000usize {
                    let n = (n + r * 31) % 100_000;
                    let name = match f {
                        0 => RouteName::Label(&names[n]),
                        1 => RouteName::Id(ids[n]),
                        _ => RouteName::Domain(&hosts[n]),
                    };
                    let t = Instant::now();
                    let found = plane.routes().lookup(name);
                    all.push(t.elapsed().as_nanos() as u64);
                    hit += usize::from(found.is_some());
                }
            }
            let total = total.elapsed();
            all.sort_unstable();
            println!(
                "{kind}: hits {hit}, mean {} ns, p50 {} p99 {} p99.9 {} ns",
                total.as_nanos() / 1_000_000,
                all[500_000],
                all[990_000],
                all[999_000]
            );
        }
        return;
    }
    if what == "bare" {
        let pool = sqlx::postgres::PgPoolOptions::new()
            .max_connections(20)
            .connect("postgres://tenantry@127.0.0.1:54329/dp_tenants")
            .await
            .unwrap();
        let app = axum::Router::new()
            .route(
                "/api/contacts/{id}",
                axum::routing::get(
                    |axum::extract::State(pool): axum::extract::State<sqlx::PgPool>,
                     axum::extract::Path(id): axum::extract::Path<uuid::Uuid>| async move {
                        let (body,): (String,) = sqlx::query_as(
                            "SELECT to_json(c)::text FROM tenant_acme.contacts c WHERE id = $1",
                        )
                        .bind(id)
                        .fetch_one(&pool)
                        .await
                        .unwrap();
                        ([("content-type", "application/json")], body)
                    },
                ),
            )
            .with_state(pool);
        let l = tokio::net::TcpListener::bind("127.0.0.1:18082").await.unwrap();
        use axum::serve::ListenerExt;
        axum::serve(
            l.tap_io(|s| {
                let _ = s.set_nodelay(true);
            }),
            app,
        )
        .await
        .unwrap();
        return;
    }
    if what == "load" {
        let (port, id, secs) = (std::env::args().nth(2).unwrap(), std::env::args().nth(3).unwrap(), 6);
        let done = Arc::new(AtomicU64::new(0));
        let bad = Arc::new(AtomicU64::new(0));
        let mut tasks = Vec::new();
        let begin = Instant::now();
        for _ in 0..16 {
            let (port, id, done, bad) = (port.clone(), id.clone(), done.clone(), bad.clone());
            tasks.push(tokio::spawn(async move {
            let mut s = tokio::net::TcpStream::connect(format!("127.0.0.1:{port}")).await.unwrap(); s.set_nodelay(true).unwrap();
            let req = format!("GET /api/contacts/{id} HTTP/1.1\r\nHost: acme.localhost:{port}\r\nAuthorization: Bearer tnt_019a0000000070008000000000000001_secret\r\n\r\n");
            let mut buf = vec![0u8; 16384]; let mut lat = Vec::new();
            while begin.elapsed() < Duration::from_secs(secs) {
                let t = Instant::now();
                s.write_all(req.as_bytes()).await.unwrap();
                let mut n = 0;
                loop { n += s.read(&mut buf[n..]).await.unwrap(); let text = std::str::from_utf8(&buf[..n]).unwrap();
                    if let Some(at) = text.find("\r\n\r\n") { let len: usize = text[..at].to_ascii_lowercase().split("content-length: ").nth(1).unwrap().split("\r\n").next().unwrap().parse().unwrap(); if n >= at + 4 + len { break; } } }
                if !buf.starts_with(b"HTTP/1.1 200") { bad.fetch_add(1, Ordering::Relaxed); }
                lat.push(t.elapsed().as_micros() as u64); done.fetch_add(1, Ordering::Relaxed);
            }
            lat
        }));
        }
        let mut lat = Vec::new();
        for t in tasks {
            lat.extend(t.await.unwrap());
        }
        lat.sort_unstable();
        println!(
            "{port}: {:.0} req/s, bad {}, p50 {} us p99 {} us",
            done.load(Ordering::Relaxed) as f64 / secs as f64,
            bad.load(Ordering::Relaxed),
            lat[lat.len() / 2],
            lat[lat.len() * 99 / 100]
        );
    }
}
