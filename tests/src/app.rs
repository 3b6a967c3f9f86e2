//! A test's own Tenantry: registry, control plane, data plane and worker.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use rand::Rng;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use sqlx::PgPool;
use tenantry_cli::{
    app_folder,
    compose::{
        self, Patience, Process, RegistryConfig, control_plane::ControlPlaneConfig,
        data_plane::DataPlaneConfig, worker::WorkerConfig,
    },
    embedded::database_url,
};
use tenantry_data_plane::DataPlane;
use tenantry_domain::{Clock, SystemClock, api_key::NewKey, app::App, envelope::Key};
use tenantry_postgres::{
    admin::AdminLimits,
    embedded::{Durability, EmbeddedPostgres},
};
use tenantry_registry::{ConnectSettings, Part, Registry, feed::Change};
use tenantry_worker::{
    Worker,
    dns::TxtResolver,
    engine::{Definitions, Probe, Unobserved},
};
use tokio::{sync::broadcast::error::RecvError, task::JoinHandle};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    Answer, Api,
    local_servers::{self, RemovedAtTheEnd},
    logs, server,
    versions::AdminLogin,
    within::{in_time, within},
};

/// How a test's Tenantry differs from the usual one.
#[allow(missing_debug_implementations, reason = "closures and trait objects")]
pub struct TestAppBuilder {
    server: Option<Arc<EmbeddedPostgres>>,
    admin: Option<AdminLogin>,
    worker: bool,
    probe: Arc<dyn Probe>,
    resolver: Option<Arc<dyn TxtResolver>>,
    clock: Arc<dyn Clock>,
    registry_proxy: Option<SocketAddr>,
    worker_registry_proxy: Option<SocketAddr>,
    control_plane_registry_proxy: Option<SocketAddr>,
    tenant_server_proxy: Option<SocketAddr>,
    registry_timeout: Duration,
    control_plane: Box<dyn FnOnce(&mut tenantry_control_plane::Settings) + Send>,
    data_plane: Box<dyn FnOnce(&mut tenantry_data_plane::Settings) + Send>,
    worker_settings: Box<dyn FnOnce(&mut tenantry_worker::Settings) + Send>,
    daily_quotas: bool,
    apps: Vec<&'static str>,
}

/// A running Tenantry of a test's own.
#[allow(missing_debug_implementations, reason = "holds the roles")]
pub struct TestApp {
    /// What makes this test's names its own; slugs get it appended, see [`TestApp::slug`].
    pub suffix: String,
    /// The control plane, with an operator's key.
    pub api: Api,
    /// The data plane, without a key.
    pub data: Api,
    /// The admin port.
    pub admin: Api,
    /// The key-encryption key.
    pub kek: Key,
    /// The operator's key.
    pub key: SecretString,
    /// The worker, if it runs in this process.
    pub worker: Option<Worker>,
    /// The data plane behind `data`.
    pub data_plane: DataPlane,
    registry_url: SecretString,
    owner: PgPool,
    own_server: Option<Arc<EmbeddedPostgres>>,
    shared_server: &'static EmbeddedPostgres,
    shared_database: String,
    stop: CancellationToken,
    worker_stop: CancellationToken,
    worker_task: Option<JoinHandle<anyhow::Result<()>>>,
    process: Process,
    _local_servers: RemovedAtTheEnd,
}

/// A tenant that was signed up, and how to reach its data.
#[derive(Debug, Clone)]
pub struct Signup {
    /// The tenant's id.
    pub id: String,
    /// Its slug.
    pub slug: String,
    /// The key of its data.
    pub key: SecretString,
    /// The data plane at its subdomain, with its key.
    pub data: Api,
}

impl Default for TestAppBuilder {
    fn default() -> Self {
        Self {
            server: None,
            admin: None,
            worker: true,
            probe: Arc::new(Unobserved),
            resolver: None,
            clock: SystemClock::shared(),
            registry_proxy: None,
            worker_registry_proxy: None,
            control_plane_registry_proxy: None,
            tenant_server_proxy: None,
            // A machine that is busy with other tests is not a registry that hangs.
            registry_timeout: Duration::from_secs(30),
            control_plane: Box::new(|_| {}),
            data_plane: Box::new(|_| {}),
            worker_settings: Box::new(|_| {}),
            apps: vec!["crm", "salesflow"],
            daily_quotas: true,
        }
    }
}

impl TestAppBuilder {
    /// Tenants may send as many requests in a day as they like, for tests that send thousands.
    #[must_use]
    pub fn without_daily_quotas(mut self) -> Self {
        self.daily_quotas = false;
        self
    }

    /// On a server of its own instead of the shared one.
    #[must_use]
    pub fn on_server(mut self, server: Arc<EmbeddedPostgres>) -> Self {
        self.server = Some(server);
        self
    }

    /// With another login than the superuser to administer the tenants' server.
    #[must_use]
    pub fn administered_by(mut self, admin: AdminLogin) -> Self {
        self.admin = Some(admin);
        self
    }

    /// Without a worker: operations stay queued.
    #[must_use]
    pub fn without_worker(mut self) -> Self {
        self.worker = false;
        self
    }

    /// With a probe in the worker.
    #[must_use]
    pub fn with_probe(mut self, probe: impl Probe + 'static) -> Self {
        self.probe = Arc::new(probe);
        self
    }

    /// With a probe that the test keeps a hand on.
    #[must_use]
    pub fn with_shared_probe(mut self, probe: Arc<dyn Probe>) -> Self {
        self.probe = probe;
        self
    }

    /// With a resolver of TXT records.
    #[must_use]
    pub fn with_resolver(mut self, resolver: Arc<dyn TxtResolver>) -> Self {
        self.resolver = Some(resolver);
        self
    }

    /// With a clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The data plane reaches the registry through a proxy.
    #[must_use]
    pub fn with_registry_proxy(mut self, proxy: SocketAddr) -> Self {
        self.registry_proxy = Some(proxy);
        self
    }

    /// The worker reaches the registry through a proxy.
    #[must_use]
    pub fn with_worker_registry_proxy(mut self, proxy: SocketAddr) -> Self {
        self.worker_registry_proxy = Some(proxy);
        self
    }

    /// The control plane reaches the registry through a proxy.
    #[must_use]
    pub fn with_control_plane_registry_proxy(mut self, proxy: SocketAddr) -> Self {
        self.control_plane_registry_proxy = Some(proxy);
        self
    }

    /// Everybody reaches the tenants' server through a proxy.
    #[must_use]
    pub fn with_tenant_server_proxy(mut self, proxy: SocketAddr) -> Self {
        self.tenant_server_proxy = Some(proxy);
        self
    }

    /// With less patience for a registry that does not answer.
    #[must_use]
    pub fn with_registry_timeout(mut self, limit: Duration) -> Self {
        self.registry_timeout = limit;
        self
    }

    /// With other settings of the control plane.
    #[must_use]
    pub fn control_plane(
        mut self,
        change: impl FnOnce(&mut tenantry_control_plane::Settings) + Send + 'static,
    ) -> Self {
        self.control_plane = Box::new(change);
        self
    }

    /// With other settings of the data plane.
    #[must_use]
    pub fn data_plane(
        mut self,
        change: impl FnOnce(&mut tenantry_data_plane::Settings) + Send + 'static,
    ) -> Self {
        self.data_plane = Box::new(change);
        self
    }

    /// With other settings of the worker.
    #[must_use]
    pub fn worker(mut self, change: impl FnOnce(&mut tenantry_worker::Settings) + Send + 'static) -> Self {
        self.worker_settings = Box::new(change);
        self
    }

    /// With these of the sample apps.
    #[must_use]
    pub fn with_apps(mut self, apps: &[&'static str]) -> Self {
        self.apps = apps.to_vec();
        self
    }

    /// Starts it.
    pub async fn start(self) -> TestApp {
        logs::begin();
        let suffix = random_suffix();
        let shared_server = server::shared().await;
        let registry_name = format!("registry_{suffix}");
        let registry_url = match &self.server {
            None => server::fresh_registry(&registry_name).await,
            Some(own) => {
                let url = database_url(own, &registry_name);
                Registry::create_database(url.expose_secret()).await.expect("a registry");
                Registry::migrate(url.expose_secret()).await.expect("a migrated registry");
                url
            }
        };
        let server_port = self.server.as_deref().unwrap_or(shared_server).port();
        let owner = PgPool::connect_lazy(registry_url.expose_secret()).expect("a registry URL");
        let direct_url = registry_url.expose_secret().to_owned();
        let through = move |proxy: Option<SocketAddr>| -> String {
            let url = &direct_url;
            proxy.map_or_else(
                || url.clone(),
                |proxy| url.replace(&format!("@127.0.0.1:{server_port}"), &format!("@{proxy}")),
            )
        };

        let (kek, key) = (Key::generate(&mut rand::rng()), NewKey::operator(&mut rand::rng()).key);
        let answer_timeout = self.registry_timeout;
        let registry = |url: String, max_connections| RegistryConfig {
            url: url.into(),
            connect: ConnectSettings { max_connections, answer_timeout },
        };
        let process = Process::new(Arc::clone(&self.clock), Patience::Once).expect("a recorder of metrics");
        let stop = CancellationToken::new();
        let admin = process.serve_admin(any_port(), stop.clone()).await.expect("a free port");

        // Moves keep nothing of where a tenant was, unless a test wants that.
        let mut settings =
            tenantry_control_plane::Settings { undo_moves_for: Duration::ZERO, ..Default::default() };
        (self.control_plane)(&mut settings);
        let config = ControlPlaneConfig {
            registry: registry(through(self.control_plane_registry_proxy), REGISTRY_CONNECTIONS),
            kek: kek.clone(),
            addr: any_port(),
            api_key: Some(key.clone()),
            apps: Vec::new(),
            tenant_server: None,
            settings,
            resolver: self.resolver.clone(),
        };
        let control_plane = Box::pin(compose::control_plane::start(&process, config, stop.clone()))
            .await
            .expect("a control plane");

        let mut settings = tenantry_data_plane::Settings::default();
        (self.data_plane)(&mut settings);
        let config = DataPlaneConfig {
            registry: registry(through(self.registry_proxy), REGISTRY_CONNECTIONS),
            kek: kek.clone(),
            addr: any_port(),
            settings,
        };
        let data_plane =
            Box::pin(compose::data_plane::start(&process, config, stop.clone())).await.expect("a data plane");

        let mut app = TestApp {
            api: Api::new(control_plane.address).with_key(key.clone()),
            data: Api::new(data_plane.address),
            admin: Api::new(admin),
            kek,
            key,
            worker: None,
            data_plane: data_plane.role,
            process,
            owner,
            shared_server,
            own_server: self.server,
            shared_database: format!("tenants_{suffix}"),
            worker_stop: stop.child_token(),
            worker_task: None,
            stop,
            registry_url,
            _local_servers: RemovedAtTheEnd(local_servers::folder(&suffix)),
            suffix,
        };
        if !self.daily_quotas {
            let lift = "UPDATE plans SET limits = limits - 'apiRequestsPerDay', default_config = default_config - 'api.rate_limit'";
            sqlx::query(lift).execute(&app.owner).await.expect("the registry answers");
        }
        app.load_apps(&self.apps).await;
        let admin = self.admin.unwrap_or_else(|| AdminLogin::superuser(app.server()));
        let port = self.tenant_server_proxy.map_or(app.server().port(), |proxy| proxy.port());
        app.register_server(app.server_body("main", app.server(), &admin, port)).await;
        if self.worker {
            let mut settings = app.worker_settings();
            (self.worker_settings)(&mut settings);
            let registry = registry(through(self.worker_registry_proxy), REGISTRY_CONNECTIONS);
            let mut config = WorkerConfig::new(registry, app.kek.clone(), settings);
            config.probe = self.probe;
            config.resolver = self.resolver.unwrap_or(config.resolver);
            let worker = Box::pin(compose::worker::start(&app.process, config, app.worker_stop.clone()))
                .await
                .expect("a worker");
            app.worker = Some(worker.role);
            app.worker_task = Some(worker.task);
        }
        app
    }
}

impl TestApp {
    /// The usual one.
    pub async fn start() -> Self {
        Self::build().start().await
    }

    /// One that differs.
    pub fn build() -> TestAppBuilder {
        TestAppBuilder::default()
    }

    /// A slug of this test's own: `acme` is `acme-<suffix>`.
    pub fn slug(&self, name: &str) -> String {
        format!("{name}-{}", self.suffix)
    }

    /// The registry's URL, with full rights.
    pub fn registry_url(&self) -> &SecretString {
        &self.registry_url
    }

    /// The registry with full rights, for looks behind the API.
    pub fn owner(&self) -> &PgPool {
        &self.owner
    }

    /// The server that holds registry and tenants.
    pub fn server(&self) -> &EmbeddedPostgres {
        self.own_server.as_deref().unwrap_or(self.shared_server)
    }

    /// The database that tenants of tier `schema` share.
    pub fn shared_database(&self) -> &str {
        &self.shared_database
    }

    /// What distinguishes this test's logins and templates.
    pub fn label(&self) -> &str {
        &self.suffix
    }

    /// Settings of a worker with pauses short enough for tests.
    pub fn worker_settings(&self) -> tenantry_worker::Settings {
        tenantry_worker::Settings {
            name: format!("worker-{}-{}", self.suffix, random_suffix()),
            lease: Duration::from_secs(2),
            retry_base: Duration::from_millis(5),
            retry_cap: Duration::from_millis(50),
            step_tries: 4,
            label: self.suffix.clone(),
            webhooks: compose::worker::loopback_webhooks(),
            warm_databases: 0,
            warm_tenants: 0,
            providers: local_servers::providers(&self.suffix, Durability::Volatile),
            away_pause: Duration::from_millis(500),
            probe_away_every: Duration::from_millis(500),
            admin: AdminLimits {
                idle_in_transaction_timeout: Duration::from_secs(2),
                probe_after: Duration::from_secs(2),
                // A machine that is busy with other tests is not a server that hangs.
                probe_timeout: Duration::from_secs(5),
                ..AdminLimits::default()
            },
            ..tenantry_worker::Settings::default()
        }
    }

    /// Signs a tenant up, waits until it is served, and makes a key for its data.
    pub async fn sign_up(&self, name: &str, plan: &str, app: &str) -> Signup {
        self.sign_up_as(&self.slug(name), name, plan, app).await
    }

    /// The same with a slug that the test chose.
    pub async fn sign_up_as(&self, slug: &str, name: &str, plan: &str, app: &str) -> Signup {
        let answer = self
            .api
            .post_and_wait("/api/v1/tenants", json!({ "name": name, "slug": slug, "plan": plan, "app": app }))
            .await
            .expect(201);
        let id = answer.json()["tenant"]["id"].as_str().expect("an id").to_owned();
        let key = self.data_key(&id).await;
        let data = self.data.with_host(format!("{slug}.localhost")).with_key(key.clone());
        Signup { id, slug: slug.to_owned(), key, data }
    }

    /// A key for a tenant's data.
    pub async fn data_key(&self, tenant: &str) -> SecretString {
        let path = format!("/api/v1/tenants/{tenant}/keys");
        let answer = self.api.post(&path, json!({ "name": "test" })).await.expect(201);
        answer.json()["key"].as_str().expect("a key").to_owned().into()
    }

    /// Waits for an operation to end (by its event stream, not by asking again) and answers it.
    pub async fn operation_ended(&self, id: &str) -> Value {
        // The stream ends after the operation's last event, or when the client's patience does.
        let path = format!("/api/v1/operations/{id}/events");
        for _ in 0..5 {
            let events = self.api.request(reqwest::Method::GET, &path).send().await.expect("an answer");
            assert_eq!(events.status(), 200, "{path}");
            if events.text().await.is_ok() {
                break;
            }
        }
        self.api.get(&format!("/api/v1/operations/{id}")).await.expect(200).json()
    }

    /// Waits until the data plane has applied every change that is committed in the registry by now: what it
    /// announces it announces in the order of the commits.
    pub async fn routes_caught_up(&self) {
        let mut changes = self.data_plane.routes().changes();
        let marker = format!("marker-{}", random_suffix());
        let announce = async || {
            let statement =
                "INSERT INTO plans SELECT $1, tier, limits, features, default_config, retention_days, now()
                             FROM plans WHERE name = 'basic'
                             ON CONFLICT (name) DO UPDATE SET updated_at = now()";
            sqlx::query(statement).bind(&marker).execute(&self.owner).await.expect("a marker");
        };
        // Made, which is no news, and changed, which is.
        announce().await;
        announce().await;
        let caught_up = async {
            loop {
                match changes.recv().await {
                    Ok(Change::Plan(plan)) if plan.as_str() == marker => return,
                    // The feed began anew, or went too fast: the announcement may be lost.
                    Ok(Change::Reconnected) | Err(RecvError::Lagged(_)) => announce().await,
                    Ok(_) => {}
                    Err(RecvError::Closed) => panic!("the data plane is gone"),
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(30), caught_up)
            .await
            .expect("the data plane hears of changes");
        sqlx::query("DELETE FROM plans WHERE name = $1")
            .bind(&marker)
            .execute(&self.owner)
            .await
            .expect("gone");
    }

    /// Stops the worker of this process, which hands over its work.
    pub async fn stop_worker(&mut self) {
        self.worker_stop.cancel();
        if let Some(task) = self.worker_task.take() {
            let ended = in_time("the worker hands over its work", task).await;
            ended.expect("the worker does not panic").expect("the worker ends well");
        }
    }

    /// Starts a worker again in place of the one that was stopped, with the same settings but its name.
    ///
    /// # Panics
    /// There was none, or it does not start.
    pub async fn restart_worker(&mut self) {
        let stopped = self.worker.take().expect("a worker that was stopped");
        let name = self.worker_settings().name;
        self.start_worker(tenantry_worker::Settings { name, ..stopped.resources().settings.clone() }).await;
    }

    /// Starts a worker in this process, where there is none; [`TestApp::stop_worker`] stops it.
    ///
    /// # Panics
    /// It does not start.
    pub async fn start_worker(&mut self, settings: tenantry_worker::Settings) {
        self.worker_stop = self.stop.child_token();
        let registry = RegistryConfig { url: self.registry_url.clone(), connect: ConnectSettings::default() };
        let config = WorkerConfig::new(registry, self.kek.clone(), settings);
        let worker = Box::pin(compose::worker::start(&self.process, config, self.worker_stop.clone()))
            .await
            .expect("a worker");
        self.worker = Some(worker.role);
        self.worker_task = Some(worker.task);
    }

    /// Another worker on this registry, that ends when the guard is dropped.
    pub fn second_worker(&self) -> DropGuard {
        let stop = self.stop.child_token();
        let registry = RegistryConfig { url: self.registry_url.clone(), connect: ConnectSettings::default() };
        let config = WorkerConfig::new(registry, self.kek.clone(), self.worker_settings());
        let (process, until) = (self.process.clone(), stop.clone());
        tokio::spawn(async move { compose::worker::start(&process, config, until).await });
        stop.drop_guard()
    }

    /// As [`TestApp::second_worker`], with other settings and other steps than the product's.
    pub fn worker_with(
        &self,
        change: impl FnOnce(&mut tenantry_worker::Settings),
        definitions: Arc<dyn Definitions>,
    ) -> RunningWorker {
        let mut settings = self.worker_settings();
        change(&mut settings);
        let registry =
            Registry::connect_lazy(self.registry_url.expose_secret(), Part::Worker, 12).expect("a URL");
        let worker = Worker::new(registry, self.kek.clone(), SystemClock::shared(), settings);
        let stop = self.stop.child_token();
        let task = tokio::spawn(worker.with_definitions(definitions).run(stop.clone()));
        RunningWorker { stop, task }
    }

    /// A client of another data plane on this registry, which ends with the test.
    pub async fn another_data_plane(&self) -> Api {
        let registry = RegistryConfig { url: self.registry_url.clone(), connect: ConnectSettings::default() };
        let config = DataPlaneConfig {
            registry,
            kek: self.kek.clone(),
            addr: any_port(),
            settings: tenantry_data_plane::Settings::default(),
        };
        let plane = Box::pin(compose::data_plane::start(&self.process, config, self.stop.clone()));
        Api::new(plane.await.expect("a data plane").address)
    }

    /// A client of another control plane on this registry, with the operator's key; it ends with the test.
    pub async fn another_control_plane(&self) -> Api {
        let registry = RegistryConfig { url: self.registry_url.clone(), connect: ConnectSettings::default() };
        let config = ControlPlaneConfig {
            registry,
            kek: self.kek.clone(),
            addr: any_port(),
            api_key: None,
            apps: Vec::new(),
            tenant_server: None,
            settings: tenantry_control_plane::Settings::default(),
            resolver: None,
        };
        let plane = Box::pin(compose::control_plane::start(&self.process, config, self.stop.clone()));
        Api::new(plane.await.expect("a control plane").address).with_key(self.key.clone())
    }

    /// Registers a further server for this test's tenants, without asking a worker to check it.
    pub async fn add_server(&self, name: &str, server: &EmbeddedPostgres) {
        self.add_server_at(name, server, server.port()).await;
    }

    /// The same, reached at another port: that of a proxy.
    pub async fn add_server_at(&self, name: &str, server: &EmbeddedPostgres, port: u16) {
        let body = self.server_body(name, server, &AdminLogin::superuser(server), port);
        self.register_server(body).await;
    }

    /// As [`TestApp::add_server`]; it takes no tenants, so that nothing is made there by itself.
    pub async fn add_cordoned_server(&self, name: &str, server: &EmbeddedPostgres) {
        let mut body = self.server_body(name, server, &AdminLogin::superuser(server), server.port());
        body["state"] = "cordoned".into();
        self.register_server(body).await;
    }

    fn server_body(&self, name: &str, server: &EmbeddedPostgres, admin: &AdminLogin, port: u16) -> Value {
        json!({
            "name": name, "host": server.host(), "port": port, "adminUser": admin.user,
            "adminPassword": admin.password.expose_secret(), "sharedDatabase": self.shared_database,
            "tiers": ["schema", "database"], "capacity": 100_000, "maxConnections": 16, "region": "local",
            "provider": "static",
        })
    }

    /// Unchecked: no worker runs yet that could check it, or the test has none.
    async fn register_server(&self, body: Value) {
        self.api.post("/api/v1/servers?check=false", body).await.expect(201);
    }

    /// Asks for a sign-up, and answers the operation's id.
    pub async fn begin_sign_up(&self, slug: &str, plan: &str) -> String {
        let body = json!({ "name": slug, "slug": slug, "plan": plan, "app": "crm" });
        let begun = self.api.post("/api/v1/tenants", body).await.expect(202).json();
        begun["operation"]["id"].as_str().expect("an id").to_owned()
    }

    /// Where a tenant's data is, password included, as the API shows it.
    pub async fn connection(&self, tenant: &str) -> Value {
        self.api.get(&format!("/api/v1/tenants/{tenant}/connection?reveal=true")).await.expect(200).json()
    }

    /// The URL by which a tenant logs in itself.
    pub async fn own_url(&self, tenant: &str) -> String {
        let view = self.connection(tenant).await;
        let text = |name: &str| view[name].as_str().expect("a text").to_owned();
        let (role, password, host) = (text("role"), text("password"), text("host"));
        format!("postgres://{role}:{password}@{host}:{}/{}", view["port"], text("database"))
    }

    /// An operation as the API shows it.
    pub async fn operation(&self, id: &str) -> Value {
        self.api.get(&format!("/api/v1/operations/{id}")).await.expect(200).json()
    }

    /// Waits until an operation is in a state; answers it as it is then.
    pub async fn operation_is(&self, id: &str, state: &str) -> Value {
        let what = format!("operation {id} is {state}");
        within(Duration::from_mins(1), &what, async || self.operation(id).await["state"] == state).await;
        self.operation(id).await
    }

    /// A worker on this registry that does nothing: what it works with is for running things by hand.
    pub fn idle_worker(&self, clock: Arc<dyn Clock>) -> Worker {
        self.idle_worker_with(clock, self.worker_settings())
    }

    /// The same with other settings.
    pub fn idle_worker_with(&self, clock: Arc<dyn Clock>, settings: tenantry_worker::Settings) -> Worker {
        let registry =
            Registry::connect_lazy(self.registry_url.expose_secret(), Part::Worker, 12).expect("a URL");
        Worker::new(registry, self.kek.clone(), clock, settings)
    }

    async fn load_apps(&self, apps: &[&str]) {
        for name in apps {
            let App { name, manifest, seed, migrations, .. } = sample_app(name);
            self.api
                .put(
                    &format!("/api/v1/apps/{name}"),
                    json!({
                        "manifest": {
                            "description": manifest.description, "extensions": manifest.extensions,
                            "features": manifest.features, "jsonCase": manifest.json_case,
                            "registration": manifest.registration,
                        },
                        "seed": seed,
                    }),
                )
                .await
                .assert_success();
            for migration in migrations {
                let body = json!({
                    "version": migration.version, "name": migration.name, "up": migration.up, "down": migration.down
                });
                self.api.post(&format!("/api/v1/apps/{name}/versions"), body).await.assert_success();
            }
        }
    }
}

/// A worker that a test stops.
#[derive(Debug)]
pub struct RunningWorker {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl RunningWorker {
    /// Stops it, and waits until it has handed over its work.
    pub async fn stop(self) {
        self.stop.cancel();
        in_time("the worker hands over its work", self.task).await.expect("the worker does not panic");
    }
}

impl Answer {
    #[track_caller]
    fn assert_success(&self) {
        assert!(self.status.is_success(), "{self:?}");
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.stop.cancel();
        if std::thread::panicking() {
            eprintln!(
                "what its operations met, the latest first: {:#?}",
                server::trouble_of(&self.registry_url)
            );
        }
        server::drop_databases_of(&self.suffix);
        logs::check();
    }
}

/// One of the sample apps.
pub fn sample_app(name: &str) -> App {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations/tenant").join(name);
    app_folder::read(&folder).expect("a sample app")
}

/// Eight letters that no other test has.
pub fn random_suffix() -> String {
    let mut bytes = [0u8; 8];
    rand::rng().fill_bytes(&mut bytes);
    bytes.iter().map(|byte| char::from(b'a' + byte % 26)).collect()
}

/// Of each pool of a part: what a part connects costs a test more than what it asks.
const REGISTRY_CONNECTIONS: u32 = 4;

fn any_port() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}
