//! Target 17: another tenant's p99 while one does what was found to stop everybody, against its own alone.
//!
//! The attackers and the tenant have threads of their own; the machine is shared by all, PostgreSQL included. The
//! attackers' threads give way to the others: theirs would be other machines.

use std::{
    net::{IpAddr, SocketAddr},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use futures::future::join_all;
use secrecy::ExposeSecret;
use tenantry_postgres::embedded::EmbeddedPostgres;
use tenantry_tests::{Signup, TestApp, report::Figure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// How long the tenant is watched, and how often it asks.
const WATCHED: Duration = Duration::from_secs(6);
const EVERY: Duration = Duration::from_millis(5);

/// What an attacker does until it is stopped.
#[derive(Debug, Clone, Copy)]
enum Attack {
    /// Bodies of 480 KB that are all keys, by 40 clients.
    Bodies,
    /// 3,000 heads that never end.
    HalfSent,
    /// 50 readers of answers of 10 MB that do not read.
    SlowReaders,
    /// Rows that embeddings multiply, by 16 clients.
    Embeddings,
    /// None at all: as many processes that compute as there are cores. What the kernel's scheduler makes of that is the
    /// limit for whatever keeps all cores.
    BusyCores,
}

pub(crate) async fn on_others(postgres: &Arc<EmbeddedPostgres>) -> anyhow::Result<Vec<Figure>> {
    let mut app = TestApp::build()
        .without_daily_quotas()
        .on_server(Arc::clone(postgres))
        .with_apps(&["crm"])
        .start()
        .await;
    let (attacker, victim) =
        (app.sign_up("attacker", "basic", "crm").await, app.sign_up("victim", "basic", "crm").await);
    let row = serde_json::json!({ "email": "one@example.com" });
    victim.data.post("/api/contacts", row).await.expect(201);
    let rows: Vec<_> = (0..1000)
        .map(|n| serde_json::json!({ "email": format!("{n}@example.com"), "company": "x".repeat(10_000) }))
        .collect();
    for part in rows.chunks(100) {
        attacker.data.post("/api/contacts", serde_json::json!(part)).await.expect(201);
    }
    // What it does by itself every second is no attack.
    app.stop_worker().await;
    let address = app.data.address();
    let mut figures = Vec::new();
    for attack in
        [Attack::Bodies, Attack::HalfSent, Attack::SlowReaders, Attack::Embeddings, Attack::BusyCores]
    {
        let alone = p99(address, &victim).await;
        let stop = Arc::new(AtomicBool::new(false));
        let (until, target) = (Arc::clone(&stop), Target::of(address, &attacker));
        let attacking = thread::spawn(move || {
            if !matches!(attack, Attack::BusyCores) {
                give_way();
            }
            runtime().block_on(attack.run(&target, &until));
        });
        // Until it is in full swing.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let meanwhile = p99(address, &victim).await;
        stop.store(true, Ordering::Relaxed);
        tokio::task::spawn_blocking(move || attacking.join()).await?.expect("the attack ends by itself");
        figures.push(Figure {
            target: 17,
            what: format!("p99 of another tenant's reads during {attack:?}, against alone"),
            ours: meanwhile,
            raw: Some(alone),
            unit: "ms",
            bound: 1.5,
            at_least: false,
        });
    }
    Ok(figures)
}

/// Requests a second that the flooding tenant's plan lets it send.
const RATE: u32 = 50;
/// How much more it sends.
const TIMES: u32 = 100;

/// Target 19: another tenant's p99 while one sends a hundred times as many requests as its plan allows.
pub(crate) async fn flood(postgres: &Arc<EmbeddedPostgres>) -> anyhow::Result<Figure> {
    let mut app = TestApp::build()
        .without_daily_quotas()
        .on_server(Arc::clone(postgres))
        .with_apps(&["crm"])
        .start()
        .await;
    let plan = serde_json::json!({
        "name": "slow", "tier": "schema", "limits": { "requestsPerSecond": RATE, "burst": RATE },
    });
    app.api.post("/api/v1/plans", plan).await.expect(201);
    let (flooding, victim) =
        (app.sign_up("flooding", "slow", "crm").await, app.sign_up("victim", "basic", "crm").await);
    let row = serde_json::json!({ "email": "one@example.com" });
    victim.data.post("/api/contacts", row).await.expect(201);
    app.stop_worker().await;
    let address = app.data.address();
    let alone = p99(address, &victim).await;
    let stop = Arc::new(AtomicBool::new(false));
    let (until, target) = (Arc::clone(&stop), Target::of(address, &flooding));
    let sent = thread::spawn(move || {
        give_way();
        runtime().block_on(target.flood(RATE * TIMES, &until))
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let meanwhile = p99(address, &victim).await;
    stop.store(true, Ordering::Relaxed);
    let (sent, served, took) =
        tokio::task::spawn_blocking(move || sent.join()).await?.expect("it ends by itself");
    println!("the flood: {sent} requests in {took:.1?}, {served} of them served");
    Ok(Figure {
        target: 19,
        what: "p99 of another tenant's reads while one sends 100 times its limit".into(),
        ours: meanwhile,
        raw: Some(alone),
        unit: "ms",
        bound: 1.2,
        at_least: false,
    })
}

/// Makes this thread one that the kernel interrupts for any other. One that is only nice runs to the end of its slice, which is
/// milliseconds.
fn give_way() {
    let this = rustix::thread::gettid().as_raw_pid().to_string();
    let idle = Command::new("chrt").args(["--idle", "--pid", "0", &this]).status();
    if !idle.is_ok_and(|status| status.success()) {
        rustix::process::nice(19).expect("a thread may give way");
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Whom requests are for.
#[derive(Clone)]
struct Target {
    address: SocketAddr,
    host: String,
    key: String,
}

impl Target {
    fn of(address: SocketAddr, tenant: &Signup) -> Self {
        let key = tenant.key.expose_secret().to_owned();
        Self { address, host: format!("{}.localhost", tenant.slug), key }
    }

    fn request(&self, client: &reqwest::Client, path: &str) -> reqwest::RequestBuilder {
        let url = format!("http://{}{path}", self.address);
        client.get(url).header("host", &self.host).bearer_auth(&self.key)
    }

    /// Sends so many requests a second until it is stopped, over connections that do not wait for answers; how many were
    /// sent and served, and how long that took.
    async fn flood(&self, per_second: u32, stop: &AtomicBool) -> (u64, u64, Duration) {
        const CONNECTIONS: u32 = 16;
        let head = format!(
            "GET /api/contacts?select=email&limit=1 HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\n\r\n",
            self.host, self.key
        );
        let began = Instant::now();
        let one = async |nth| {
            let connection = TcpStream::connect(self.address).await.expect("a connection");
            let (mut reader, mut writer) = connection.into_split();
            let answers = tokio::spawn(async move {
                let (mut buffer, mut served) = (vec![0; 1 << 16], 0_u64);
                while let Ok(read @ 1..) = reader.read(&mut buffer).await {
                    served += buffer[..read].windows(12).filter(|w| w == b"HTTP/1.1 200").count() as u64;
                }
                served
            });
            // A tick of 10 ms has so many.
            let each = per_second / 100 / CONNECTIONS;
            let burst = head.repeat(each.max(1) as usize);
            let every = Duration::from_secs(1) * each.max(1) * CONNECTIONS / per_second;
            // Not all at the same instant: many clients are not in step.
            let first = tokio::time::Instant::now() + every * nth / CONNECTIONS;
            let (mut next, mut sent) = (tokio::time::interval_at(first, every), 0_u64);
            while !stop.load(Ordering::Relaxed) {
                next.tick().await;
                if writer.write_all(burst.as_bytes()).await.is_err() {
                    break;
                }
                sent += u64::from(each.max(1));
            }
            drop(writer);
            (sent, answers.await.expect("it reads"))
        };
        let counts = join_all((0..CONNECTIONS).map(one)).await;
        let sum = |of: fn(&(u64, u64)) -> u64| counts.iter().map(of).sum();
        (sum(|counts| counts.0), sum(|counts| counts.1), began.elapsed())
    }

    /// Connections that sent this and read nothing, until it is stopped.
    async fn hold(&self, count: usize, sent: &str, stop: &AtomicBool) {
        let mut connections = Vec::new();
        for _ in 0..count {
            if let Ok(mut connection) = TcpStream::connect(self.address).await {
                let _ = connection.write_all(sent.as_bytes()).await;
                connections.push(connection);
            }
        }
        while !stop.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// In milliseconds, of reads that come at a steady pace.
async fn p99(address: SocketAddr, tenant: &Signup) -> f64 {
    let target = Target::of(address, tenant);
    let watched = thread::spawn(move || {
        runtime().block_on(async {
            // Its address is not the attacker's, which has its share of connections.
            let client = reqwest::Client::builder().local_address(IpAddr::from([127, 0, 0, 2]));
            let client = client.build().expect("a client");
            let mut took = Vec::new();
            let mut next = tokio::time::interval(EVERY);
            let began = Instant::now();
            while began.elapsed() < WATCHED {
                next.tick().await;
                let asked = Instant::now();
                let answer = target.request(&client, "/api/contacts?select=email&limit=1").send().await;
                let answer = answer.expect("an answer");
                let status = answer.status();
                let text = answer.text().await.expect("the answer");
                assert!(status == 200, "the tenant is not served: {status} {text}");
                took.push(asked.elapsed().as_secs_f64() * 1e3);
            }
            took.sort_by(f64::total_cmp);
            took[took.len() * 99 / 100]
        })
    });
    tokio::task::spawn_blocking(move || watched.join()).await.expect("it runs").expect("it is served")
}

impl Attack {
    async fn run(self, target: &Target, stop: &AtomicBool) {
        let client = reqwest::Client::new();
        match self {
            Self::Bodies => {
                let keys: Vec<String> = (0..32_000).map(|n| format!("\"key{n:05}\":1")).collect();
                let body = format!("{{{}}}", keys.join(","));
                let send = async |_| {
                    while !stop.load(Ordering::Relaxed) {
                        let url = format!("http://{}/api/contacts", target.address);
                        let request = client.post(url).header("host", &target.host).bearer_auth(&target.key);
                        let _ = request
                            .header("content-type", "application/json")
                            .body(body.clone())
                            .send()
                            .await;
                    }
                };
                join_all((0..40).map(send)).await;
            }
            Self::HalfSent => target.hold(3000, "GET /api/contacts HTTP/1.1\r\nhost: ", stop).await,
            Self::SlowReaders => {
                let head = format!(
                    "GET /api/contacts?select=email,company HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\n\r\n",
                    target.host, target.key
                );
                target.hold(50, &head, stop).await;
            }
            Self::Embeddings => {
                let send = async |_| {
                    while !stop.load(Ordering::Relaxed) {
                        let path = "/api/contacts?select=*,conversations(*,messages(*))&limit=1000";
                        if let Ok(answer) = target.request(&client, path).send().await {
                            let _ = answer.bytes().await;
                        }
                    }
                };
                join_all((0..16).map(send)).await;
            }
            Self::BusyCores => thread::scope(|scope| {
                for _ in 0..thread::available_parallelism().map_or(1, std::num::NonZero::get) {
                    scope.spawn(|| {
                        while !stop.load(Ordering::Relaxed) {
                            std::hint::spin_loop();
                        }
                    });
                }
            }),
        }
    }
}
