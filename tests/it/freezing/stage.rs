//! A Tenantry on which workers are frozen, many points at a time.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::{StreamExt, stream};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tenantry_domain::{operation::OperationKind, plan::Tier};
use tenantry_postgres::embedded::{Durability, EmbeddedPostgres};
use tenantry_tests::{
    TestApp,
    freezing::{At, FreezingProxy, Message, Side, Watched},
    one_operation::{OneOperation, OneOperationProcess},
    server,
    within::within,
};

use super::{
    cases::{Case, Undo, Window},
    world::{Live, moved_on},
};

const BINARY: &str = env!("CARGO_BIN_EXE_tenantry-under-test");

/// What is prepared, asked for or looked at beside each other.
const BESIDE: usize = 6;

/// Workers that are started beside each other: each starts a process.
const STARTING: usize = 4;

/// How long a worker may take to come to its point before the next one is started.
const HELD_UP: Duration = Duration::from_secs(10);

/// Warm tenants, where there are any: as many as sign-ups of a wave.
const WARM: usize = super::AT_ONCE;

/// Where a worker is frozen; none: nowhere.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    pub(super) case: Case,
    pub(super) freeze: Option<(usize, Side)>,
}

/// What came of it.
pub(super) struct Outcome {
    /// It came to that point.
    pub(super) frozen: bool,
    pub(super) messages: Vec<Message>,
    /// What is not as it must be.
    pub(super) losses: Vec<String>,
}

/// See the module.
pub(super) struct Stage {
    pub(super) app: TestApp,
    pub(super) proxy: FreezingProxy,
    registry_url: SecretString,
    warm: bool,
    /// What is lost when servers are.
    lost: Option<EmbeddedPostgres>,
    /// An address for each server that is lost.
    addresses: Mutex<Vec<FreezingProxy>>,
}

/// An operation whose worker is frozen, or was not.
pub(super) struct Frozen {
    pub(super) point: Point,
    pub(super) slug: String,
    pub(super) operation: String,
    /// The server that is given up, to be registered again.
    pub(super) server: Option<Value>,
    watched: Arc<Watched>,
    process: OneOperationProcess,
}

impl Stage {
    pub(super) async fn set(warm: bool) -> Self {
        let server = Arc::new(server::of_frozen_workers().await);
        let address = format!("127.0.0.1:{}", server.port());
        let proxy = FreezingProxy::start(address.parse().unwrap()).await;
        let app = TestApp::build()
            .without_daily_quotas()
            .on_server(server)
            .with_tenant_server_proxy(proxy.address)
            .with_apps(&["crm"])
            .control_plane(|settings| settings.undo_moves_for = Duration::from_hours(24))
            .without_worker()
            .start()
            .await;
        let url = app.registry_url().expose_secret().replace(&address, &proxy.address.to_string());
        assert!(url.contains(&proxy.address.to_string()), "the registry is behind the proxy");
        Self { app, proxy, registry_url: url.into(), warm, lost: None, addresses: Mutex::default() }
    }

    /// Has done once what is done once on a server: the shared database, templates, logins.
    pub(super) async fn use_once(&mut self) {
        self.start_worker().await;
        for plan in ["basic", "premium"] {
            self.app.sign_up(plan, plan, "crm").await;
        }
        self.app.stop_worker().await;
    }

    /// The worker that finishes what others began.
    pub(super) async fn start_worker(&mut self) {
        let mut settings = self.app.worker_settings();
        settings.warm_tenants = self.warm_tenants();
        settings.concurrency.interactive = BESIDE;
        // Beginning a slot waits for whatever runs on the server.
        settings.concurrency.long = super::AT_ONCE;
        settings.move_at_once = 0;
        self.app.start_worker(settings).await;
    }

    fn warm_tenants(&self) -> usize {
        if self.warm { WARM } else { 0 }
    }

    /// Freezes a worker at each of these points, and lets the world move on; all at a time.
    pub(super) async fn run(&mut self, points: &[Point]) -> Vec<Outcome> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        self.start_worker().await;
        let lost_server = points.iter().any(|point| point.case.kind == OperationKind::RemoveLostServer);
        if lost_server && self.lost.is_none() {
            self.lost = Some(server::start(Durability::Volatile).await.unwrap());
        }
        if lost_server {
            self.cordon("main", true).await;
        }
        // On servers of their own one after another: the next goes to the emptiest.
        let beside = if lost_server { 1 } else { BESIDE };
        let slugs: Vec<(Point, String, Option<Value>)> = stream::iter(points)
            .map(async |point| {
                let name = format!("f{}", COUNT.fetch_add(1, Ordering::Relaxed));
                let server = self.prepare(point.case, &name).await;
                (*point, self.app.slug(&name), server)
            })
            .buffered(beside)
            .collect()
            .await;
        if lost_server {
            self.cordon("main", false).await;
        }
        if self.warm {
            let free = "SELECT greatest(0, 24 - count(*)) FROM warm_tenants WHERE operation_id IS NULL";
            self.app.until_zero(free).await;
        }
        self.app.stop_worker().await;

        let frozen: Vec<Frozen> = stream::iter(slugs)
            .map(async |(point, slug, server)| self.begin(point, slug, server).await)
            .buffered(STARTING)
            .collect()
            .await;

        self.start_worker().await;
        let app = &self.app;
        let lives: Vec<(Frozen, Live)> = stream::iter(frozen)
            .map(async |frozen| {
                let ended = app.operation_ended(&frozen.operation).await;
                let live = moved_on(app, &frozen, &ended).await;
                (frozen, live)
            })
            .buffered(BESIDE)
            .collect()
            .await;
        app.routes_caught_up().await;
        let mut outcomes: Vec<Outcome> = stream::iter(lives)
            .map(async |(mut frozen, mut live)| {
                live.settle(app).await;
                let was_frozen = tokio::select! {
                    biased;
                    () = frozen.watched.frozen() => true,
                    _ = frozen.process.ended() => false,
                };
                if was_frozen {
                    frozen.watched.release().await;
                    frozen.process.ended().await;
                }
                let mut losses = live.losses(app).await;
                let messages = frozen.watched.messages();
                if !losses.is_empty() {
                    let at = frozen.point.freeze.and_then(|(at, side)| Some((side, messages.get(at)?)));
                    losses.push(format!("{} at {at:?}, {}", frozen.point.case, frozen.slug));
                }
                Outcome { frozen: was_frozen, messages, losses }
            })
            .buffered(BESIDE)
            .collect()
            .await;
        sqlx::raw_sql("UPDATE undo_windows SET closes_at = now()").execute(app.owner()).await.unwrap();
        app.until_zero("SELECT count(*) FROM undo_windows").await;
        if let Some(outcome) = outcomes.last_mut() {
            outcome.losses.extend(super::world::imbalances(app).await);
        }
        if self.warm {
            within(Duration::from_secs(20), "no warm tenant is forgotten", async || {
                super::world::forgotten_warm_tenants(app).await.is_empty()
            })
            .await;
        }
        self.app.stop_worker().await;
        outcomes
    }

    async fn cordon(&self, server: &str, cordoned: bool) {
        let state = if cordoned { "cordoned" } else { "active" };
        self.app.api.patch(&format!("/api/v1/servers/{server}"), json!({ "state": state })).await.expect(200);
    }

    /// Brings a tenant to the state before an operation. Answers its server, where that is to be lost.
    async fn prepare(&self, case: Case, name: &str) -> Option<Value> {
        let app = &self.app;
        let mut server = None;
        match (case.kind, &self.lost) {
            (OperationKind::Provision, _) => return None,
            (OperationKind::RemoveLostServer, Some(lost)) => {
                let address = format!("{}:{}", lost.host(), lost.port()).parse().unwrap();
                let proxy = FreezingProxy::start(address).await;
                let body = lost_server(app, name, lost, proxy.address.port());
                self.addresses.lock().unwrap().push(proxy);
                app.api.post("/api/v1/servers?check=false", body.clone()).await.expect(201);
                server = Some(body);
            }
            _ => {}
        }
        let slug = app.sign_up(name, case.plan(), "crm").await.slug;
        let path = format!("/api/v1/tenants/{slug}");
        match case.kind {
            OperationKind::Resume => {
                app.api.post_and_wait(&format!("{path}/suspend"), json!({})).await.expect(200);
            }
            OperationKind::Restore => {
                app.api.delete_and_wait(&path).await.expect(200);
            }
            OperationKind::Move if case.window == Window::Takes => {
                let to = if case.tier == Tier::Schema { "database" } else { "schema" };
                app.api.post_and_wait(&format!("{path}/move"), json!({ "tier": to })).await.expect(200);
            }
            _ => {}
        }
        server
    }

    /// Asks for an operation, without a worker that hears of it; answers its id.
    async fn ask(&self, case: Case, slug: &str) -> String {
        let (api, path) = (&self.app.api, format!("/api/v1/tenants/{slug}"));
        let answer = match case.kind {
            OperationKind::Provision => {
                let body = json!({ "name": slug, "slug": slug, "plan": case.plan(), "app": "crm" });
                api.post("/api/v1/tenants", body).await
            }
            OperationKind::Suspend => api.post(&format!("{path}/suspend"), json!({})).await,
            OperationKind::Resume => api.post(&format!("{path}/resume"), json!({})).await,
            OperationKind::Deactivate => api.delete(&path).await,
            OperationKind::Restore => api.post(&format!("{path}/restore"), json!({})).await,
            OperationKind::Purge => api.delete(&format!("{path}?purge=now")).await,
            OperationKind::Move => {
                let data = self.app.data.with_host(format!("{slug}.localhost"));
                let data = data.with_key(self.app.data_key(slug).await);
                data.post("/api/contacts", json!({ "email": super::MOVED })).await.expect(201);
                if case.window == Window::Takes {
                    let answer = api.post(&format!("{path}/move/undo"), json!({})).await;
                    return answer.expect(202).json()["operation"]["id"].as_str().unwrap().to_owned();
                }
                // One way live, since no worker moves anything at once, and back offline.
                let body = if case.tier == Tier::Schema {
                    json!({ "tier": "database" })
                } else {
                    json!({ "tier": "schema", "offline": case.window == Window::None })
                };
                api.post(&format!("{path}/move"), body).await
            }
            OperationKind::DrainServer
            | OperationKind::OrderServer
            | OperationKind::DeleteServer
            | OperationKind::ResizeServer
            | OperationKind::HibernateServer
            | OperationKind::WakeServer
            | OperationKind::Rollout => {
                unreachable!("is not among the cases")
            }
            OperationKind::RemoveLostServer => {
                let name = slug.split('-').next().unwrap();
                let away =
                    "UPDATE servers SET unreachable_since = now(), unreachable_error = 'the test says so'
                            WHERE name = $1";
                sqlx::query(away).bind(name).execute(self.app.owner()).await.unwrap();
                api.delete(&format!("/api/v1/servers/{name}?lost=true")).await
            }
        };
        answer.expect(202).json()["operation"]["id"].as_str().unwrap().to_owned()
    }

    /// Has a worker of its own begin an operation; waits until it is frozen, or has ended.
    async fn begin(&self, point: Point, slug: String, server: Option<Value>) -> Frozen {
        let operation = self.ask(point.case, &slug).await;
        if point.case.window == Window::None {
            let none = "UPDATE operations SET input = input || '{\"undo_window_seconds\": 0}'
                WHERE id = $1::uuid AND kind = 'move'";
            sqlx::query(none).bind(&operation).execute(self.app.owner()).await.unwrap();
        }
        let last = point.case.last_undone();
        let mut run = self.one(&operation);
        if point.case.undo == Some(Undo::Cancelled) {
            let registry_url = self.app.registry_url();
            let first = OneOperation { stop_at: last.as_deref(), registry_url, ..run.clone() };
            first.start(None).kill_when_stopped().await;
            self.app.api.post(&format!("/api/v1/operations/{operation}/cancel"), json!({})).await.expect(202);
            let expire = "UPDATE operations SET lease_expires_at = now() WHERE id = $1::uuid";
            sqlx::query(expire).bind(&operation).execute(self.app.owner()).await.unwrap();
        }
        if point.case.undo == Some(Undo::Failed) {
            run.fail_at = last.as_deref();
        }
        run.mark_steps = point.freeze.is_none();
        let watched = self.proxy.watch(point.freeze.map(|(at, side)| (At::Number(at), side)));
        let mut process = run.start(Some(&watched));
        tokio::select! {
            () = watched.frozen() => {}
            _ = process.ended() => {}
            // What others hold that are frozen already: it comes to its point when they are taken over.
            () = tokio::time::sleep(HELD_UP) => {}
        }
        Frozen { point, slug, operation, server, watched, process }
    }

    /// Has a worker of its own begin an operation, and freezes it.
    pub(super) async fn start_frozen(
        &self,
        operation: &str,
        fail_at: Option<&str>,
        at: At,
        side: Side,
    ) -> (Arc<Watched>, OneOperationProcess) {
        let watched = self.proxy.watch(Some((at, side)));
        let mut process = OneOperation { fail_at, ..self.one(operation) }.start(Some(&watched));
        tokio::select! {
            () = watched.frozen() => {}
            ended = process.ended() => panic!("it ended ({ended}) before: {:#?}", watched.messages()),
        }
        (watched, process)
    }

    /// A worker for an operation, which reaches the registry through the proxy.
    fn one<'a>(&'a self, operation: &'a str) -> OneOperation<'a> {
        OneOperation {
            registry_url: &self.registry_url,
            warm_tenants: self.warm_tenants(),
            ..OneOperation::new(BINARY, &self.app, operation)
        }
    }
}

/// A server to be lost, as it is registered.
fn lost_server(app: &TestApp, name: &str, server: &EmbeddedPostgres, port: u16) -> Value {
    json!({
        "name": name, "host": server.host(), "port": port, "adminUser": server.user(),
        "adminPassword": server.password().expose_secret(), "sharedDatabase": format!("tenants_{}_{name}", app.suffix),
        "tiers": ["schema", "database"], "capacity": 10, "maxConnections": 16, "region": "local",
        "provider": "static", "state": "active",
    })
}
