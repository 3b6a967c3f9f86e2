//! What the binary may set. Nothing here is read from the environment.

use std::time::Duration;

use tenantry_domain::Slug;
use tenantry_http::{AccessLog, ConnectionLimits};

use crate::resolve::Methods;

/// How a data plane behaves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Tenants are `<slug>.<base domain>`.
    pub base_domain: String,
    /// By what a request may name its tenant.
    pub methods: Methods,
    /// Serve this tenant only; what names another one is refused.
    pub single_tenant: Option<Slug>,
    /// Bytes of a request's body.
    pub max_body: usize,
    /// After this a route is read again in the background; after twice this, before it is used.
    pub route_ttl: Duration,
    /// How long an unknown tenant is known to be unknown. The change feed ends it sooner.
    pub unknown_ttl: Duration,
    /// Routes kept in memory.
    pub max_routes: usize,
    /// Connections to tenant servers.
    pub pool: PoolSettings,
    /// How long one statement may run.
    pub statement_timeout: Duration,
    /// How long a request that writes waits while its tenant is being moved. Longer than a worker's lease, after which
    /// another takes over a move whose worker died.
    pub hold: Duration,
    /// How many such requests wait at a time.
    pub max_held: usize,
    /// Rows in one answer, whatever the client asks for.
    pub max_rows: u64,
    /// How often usage goes to the registry.
    pub usage_interval: Duration,
    /// Which requests are logged.
    pub access_log: AccessLog,
    /// What clients may hold open.
    pub connections: ConnectionLimits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            base_domain: "localhost".into(),
            methods: Methods::all(),
            single_tenant: None,
            max_body: 2 << 20,
            route_ttl: Duration::from_mins(1),
            unknown_ttl: Duration::from_secs(2),
            max_routes: 250_000,
            pool: PoolSettings::default(),
            statement_timeout: Duration::from_secs(15),
            hold: Duration::from_secs(30),
            max_held: 2000,
            max_rows: 1000,
            usage_interval: Duration::from_secs(10),
            access_log: AccessLog::Off,
            connections: ConnectionLimits::default(),
        }
    }
}

/// How connections to tenant servers are shared.
#[derive(Debug, Clone)]
pub struct PoolSettings {
    /// Connections to one server; the server's own ceiling in the registry may be lower.
    pub connections_per_server: usize,
    /// How long a request waits for a connection before it is answered with 503.
    pub wait_timeout: Duration,
    /// Requests that may wait for one server; one tenant's at most half of it.
    pub max_waiting: usize,
    /// How long logging in may take.
    pub connect_timeout: Duration,
    /// An idle connection is closed after this.
    pub idle_timeout: Duration,
    /// A connection is closed after this, so that moved addresses and changed roles are noticed.
    pub max_age: Duration,
    /// A connection that has been this many tenants is closed: each leaves its tables in the server
    /// process's caches (500 schemas of 20 tables hold 213 MB, DESIGN section 4).
    pub max_tenants_touched: usize,
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self {
            connections_per_server: 20,
            wait_timeout: Duration::from_secs(2),
            max_waiting: 256,
            connect_timeout: Duration::from_secs(3),
            idle_timeout: Duration::from_mins(1),
            max_age: Duration::from_mins(30),
            max_tenants_touched: 100,
        }
    }
}
