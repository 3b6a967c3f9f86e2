//! The data plane: tenant traffic.
//!
//! `resolve` says which tenant a request is for, `routes` knows where that tenant is, `admit`
//! whether it may be served, `serve` runs its statement, `pool` has the connection, `http` answers. It reads routes from the
//! registry and appends usage to it, nothing else; and works on while the registry is down.

mod admit;
mod asks;
mod audit;
mod branding;
mod catalogs;
mod events;
mod feature_plans;
mod http;
mod limits;
mod outbox;
mod outcomes;
mod parts;
mod pool;
mod resolve;
mod routes;
mod serve;
mod settings;
mod state;
mod tokens;
mod turns;
mod usage;
mod users;

use std::{io, sync::Arc, time::Duration};

use axum::Router;
use tenantry_domain::{Clock, envelope};
use tenantry_http::Edge;
use tenantry_registry::Registry;
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;

use crate::{
    asks::Asks,
    branding::Brandings,
    catalogs::Catalogs,
    events::Events,
    feature_plans::FeaturePlans,
    limits::TenantLimits,
    outbox::Outbox,
    outcomes::Outcomes,
    pool::Pools,
    resolve::Rules,
    serve::Runner,
    state::Plane,
    tokens::{KeyAsks, RevokedSessions},
    turns::Turns,
    usage::Usage,
    users::Users,
};
pub use crate::{
    http::openapi,
    resolve::{Method, Methods},
    routes::{CachedRoute, RouteCache, RouteCacheSettings, RouteName, RoutesUnavailable},
    settings::{PoolSettings, Settings},
};

/// A data plane. Cheap to clone. Make it after the metrics recorder is installed.
#[derive(Clone)]
pub struct DataPlane(Arc<Plane>);

impl std::fmt::Debug for DataPlane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DataPlane").field("routes", &self.0.routes).finish_non_exhaustive()
    }
}

/// What its metrics are labelled with.
const PLANE: &str = "data";

/// How often idle connections are looked at.
const CLOSE_IDLE_EVERY: Duration = Duration::from_secs(5);

impl DataPlane {
    /// A data plane on a registry. `kek` opens the passwords of its logins.
    pub fn new(registry: Registry, kek: envelope::Key, clock: Arc<dyn Clock>, settings: Settings) -> Self {
        let routes = RouteCache::new(
            registry.clone(),
            RouteCacheSettings {
                max_routes: settings.max_routes,
                ttl: settings.route_ttl,
                unknown_ttl: settings.unknown_ttl,
            },
        );
        let events = Events::new(kek.clone());
        let limits = Arc::new(TenantLimits::new(registry.clone(), events.clone()));
        let usage = Usage::new();
        let of_requests =
            tenantry_query::Limits { max_rows: settings.max_rows, ..tenantry_query::Limits::default() };
        Self(Arc::new(Plane {
            rules: Rules::new(&settings.base_domain, settings.methods, settings.single_tenant),
            runner: Runner {
                routes: routes.clone(),
                pools: Pools::new(registry.clone(), kek.clone(), settings.pool, settings.statement_timeout),
                catalogs: Catalogs::default(),
                limits: of_requests,
                tenant_limits: Arc::clone(&limits),
                usage: usage.clone(),
                large_bodies: Arc::new(Turns::new()),
                held: Arc::new(Semaphore::new(settings.max_held)),
                hold: settings.hold,
            },
            events,
            audit: Outbox::new(),
            users: Users::new(kek),
            revoked: Arc::new(RevokedSessions::default()),
            key_asks: KeyAsks::new(),
            limits,
            feature_plans: FeaturePlans::default(),
            branding: Brandings::new(routes.clone()),
            routes,
            usage,
            outcomes: Outcomes::new(),
            asks: Asks::new(),
            clock,
            registry,
            max_body: settings.max_body,
            usage_interval: settings.usage_interval,
            access_log: settings.access_log,
            connections: settings.connections,
        }))
    }

    /// The router, complete with its layers, `/docs` and `/openapi.json`.
    pub fn router(&self) -> Router {
        let edge = Edge {
            plane: PLANE,
            max_body: self.0.max_body,
            clock: Arc::clone(&self.0.clock),
            cors: Some(http::cors()),
            access_log: self.0.access_log,
            postgrest: true,
        };
        tenantry_http::with_standard_layers(http::router(&self.0), edge)
    }

    /// The routes in memory.
    pub fn routes(&self) -> &RouteCache {
        &self.0.routes
    }

    /// Serves until `stop` is cancelled, following the registry's changes and reporting usage to it.
    ///
    /// # Errors
    /// The listener fails.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) -> io::Result<()> {
        let background = stop.child_token();
        let tasks = [
            tokio::spawn(self.clone().follow(background.clone())),
            tokio::spawn(self.clone().report_usage(background.clone())),
            tokio::spawn(self.clone().close_idle(background.clone())),
            tokio::spawn(self.0.events.outbox.clone().report(self.0.registry.clone(), background.clone())),
            tokio::spawn(self.0.audit.clone().report(self.0.registry.clone(), background.clone())),
            tokio::spawn(self.0.key_asks.outbox.clone().report(self.0.registry.clone(), background.clone())),
        ];
        let served =
            tenantry_http::serve(listener, self.router(), PLANE, self.0.connections.clone(), stop).await;
        background.cancel();
        for task in tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a background task of the data plane died");
            }
        }
        self.0.usage.report_last(&self.0.registry, &*self.0.clock).await;
        self.0.events.outbox.report_last(&self.0.registry).await;
        self.0.audit.report_last(&self.0.registry).await;
        served
    }

    async fn follow(self, stop: CancellationToken) {
        routes::follow(self.0, stop).await;
    }

    async fn report_usage(self, stop: CancellationToken) {
        let Plane { usage, registry, clock, usage_interval, .. } = &*self.0;
        usage.clone().report(registry.clone(), Arc::clone(clock), *usage_interval, stop).await;
    }

    async fn close_idle(self, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(CLOSE_IDLE_EVERY)).await.is_some() {
            self.0.runner.pools.close_idle();
            self.0.revoked.forget_ended(self.0.clock.now());
        }
    }
}
