//! The worker's side of a tenant server: roles, schemas, databases and the migrations of apps.
//!
//! Every call is idempotent: run again, also after a crash in its middle, it leaves what one run
//! leaves. Each is one round trip where PostgreSQL allows it. What a call may touch is marked with
//! the tenant it belongs to (`owner_mark`, a comment on the object), and a call that meets another
//! mark refuses ([`AdminError::Taken`]).
//!
//! Advisory locks count per database, so calls on roles and databases, which the whole server
//! shares, are made from the database `postgres`.

mod database;
mod error;
mod extension;
mod ledger;
mod migration;
mod object;
mod owner_transaction;
mod prepare;
mod role;
mod schema;
mod size;
mod template;
mod warm_pool;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use secrecy::{ExposeSecret, SecretString};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, PgPool, Postgres,
    pool::PoolConnection,
    postgres::{PgConnectOptions, PgPoolOptions, PgQueryResult, PgSslMode},
};
use tenantry_domain::names::ObjectName;

pub use error::{AdminError, ObjectKind};
pub use migration::MigrationReport;
pub use object::{MarkedObject, TenantObjects};
pub use template::Template;

/// The role that owns every tenant object of a server. Nobody logs in as it.
pub const OWNER_ROLE: &str = "tenantry_owner";

/// The schema of the app's tables in a template database, until a tenant adopts it.
pub const TEMPLATE_SCHEMA: &str = "tenantry_template";

/// The table in a tenant's schema that remembers which migrations it has.
pub const MIGRATIONS_TABLE: &str = "tenantry_migrations";

/// The database that every server has, and that holds no tenant.
const MAINTENANCE: &str = "postgres";

/// What the admin connections to one server may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdminLimits {
    /// Connections to one database of the server at a time.
    pub connections_per_database: u32,
    /// How long to wait for a connection, a new one included.
    pub acquire_timeout: Duration,
    /// How long a connection is kept without use.
    pub idle_timeout: Duration,
    /// How long one statement of DDL waits for a lock before it gives way (a transient error).
    pub lock_timeout: Duration,
}

impl Default for AdminLimits {
    fn default() -> Self {
        Self {
            connections_per_database: 8,
            acquire_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_mins(1),
            lock_timeout: Duration::from_secs(5),
        }
    }
}

/// Admin connections to one server: a small pool per database, made when first used.
pub struct ServerAdmin {
    server: String,
    connect: PgConnectOptions,
    limits: AdminLimits,
    pools: Mutex<HashMap<String, PgPool>>,
    /// What has been prepared by this process and need not be looked at again.
    done: Mutex<HashSet<Done>>,
    /// Held by whoever makes a template.
    building: tokio::sync::Mutex<()>,
}

/// See [`ServerAdmin::done`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Done {
    Server,
    Database(ObjectName),
    Extension(ObjectName, Arc<str>),
    Login(ObjectName, Arc<str>),
}

impl std::fmt::Debug for ServerAdmin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerAdmin").field("server", &self.server).finish_non_exhaustive()
    }
}

impl ServerAdmin {
    /// Pools above this number make room when another is needed and some stand empty.
    const MANY_POOLS: usize = 32;

    /// Prepares to connect; nothing happens until the first call.
    pub fn new(host: &str, port: u16, user: &str, password: &SecretString, limits: AdminLimits) -> Self {
        let connect = PgConnectOptions::new_without_pgpass()
            .host(host)
            .port(port)
            .username(user)
            .password(password.expose_secret())
            .ssl_mode(PgSslMode::Prefer)
            .application_name("tenantry-admin")
            // Most statements name a tenant, and making room in the cache costs a round trip each.
            // Without it sqlx would still leave named statements on the server, so ours are all
            // `persistent(false)` or without parameters.
            .statement_cache_capacity(0)
            .options([("client_min_messages", "warning"), ("statement_timeout", "0")])
            // Statements on roles hold verifiers.
            .disable_statement_logging();
        Self {
            server: format!("{host}:{port}"),
            connect,
            limits,
            pools: Mutex::default(),
            done: Mutex::default(),
            building: tokio::sync::Mutex::default(),
        }
    }

    /// The server as it appears in messages: `host:port`.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Checks that the server answers.
    pub async fn ping(&self) -> Result<(), AdminError> {
        self.run(MAINTENANCE, "ping", "SELECT 1".into()).await.map(drop)
    }

    /// Closes all connections.
    pub async fn close(&self) {
        let pools: Vec<_> = self.pools.lock().expect(NO_PANIC).drain().map(|(_, pool)| pool).collect();
        for pool in pools {
            pool.close().await;
        }
    }

    pub(crate) fn pool(&self, database: &str) -> PgPool {
        let mut pools = self.pools.lock().expect(NO_PANIC);
        if let Some(pool) = pools.get(database) {
            return pool.clone();
        }
        if pools.len() >= Self::MANY_POOLS {
            pools.retain(|_, pool| pool.size() > 0);
        }
        let pool = PgPoolOptions::new()
            .max_connections(self.limits.connections_per_database)
            .acquire_timeout(self.limits.acquire_timeout)
            .idle_timeout(self.limits.idle_timeout)
            // One that was in use a moment ago is not asked again whether it is alive: a round trip.
            .test_before_acquire(false)
            .before_acquire(|connection, state| {
                Box::pin(async move {
                    if state.idle_for < FRESH {
                        return Ok(true);
                    }
                    Ok(connection.ping().await.is_ok())
                })
            })
            .connect_lazy_with(self.connect.clone().database(database));
        pools.insert(database.into(), pool.clone());
        pool
    }

    /// Ends our own connections to a database that is to be renamed, copied or dropped.
    async fn leave(&self, database: &ObjectName) {
        let pool = self.pools.lock().expect(NO_PANIC).remove(database.as_str());
        if let Some(pool) = pool {
            pool.close().await;
        }
    }

    async fn connection(
        &self,
        database: &str,
        task: &'static str,
    ) -> Result<PoolConnection<Postgres>, AdminError> {
        self.pool(database).acquire().await.map_err(|e| self.failed(task, e))
    }

    /// Runs SQL text in one round trip. Several statements are one transaction.
    async fn run(
        &self,
        database: &str,
        task: &'static str,
        sql: String,
    ) -> Result<PgQueryResult, AdminError> {
        let mut connection = self.connection(database, task).await?;
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *connection).await.map_err(|e| self.failed(task, e))
    }

    fn failed(&self, task: &'static str, source: sqlx::Error) -> AdminError {
        AdminError::from_sqlx(&self.server, task, source)
    }

    fn is_done(&self, what: &Done) -> bool {
        self.done.lock().expect(NO_PANIC).contains(what)
    }

    fn mark_done(&self, what: Done) {
        self.done.lock().expect(NO_PANIC).insert(what);
    }
}

/// A connection that has been idle for longer is checked before it is used.
const FRESH: Duration = Duration::from_millis(500);

const NO_PANIC: &str = "no code panics while it holds this lock";

#[cfg(test)]
mod tests;
