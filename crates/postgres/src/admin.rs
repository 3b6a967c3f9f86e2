//! The worker's side of a tenant server: roles, schemas, databases and the migrations of apps.
//!
//! Every call is idempotent: run again, also after a crash in its middle, it leaves what one run
//! leaves. Each is one round trip where PostgreSQL allows it. What a call may touch is marked with
//! the tenant it belongs to (a comment on the object), and a call that meets another mark refuses
//! ([`AdminError::Taken`]). And each carries the fencing token of its lease ([`Fence`]), so that a worker
//! that lost it does nothing any more ([`AdminError::Fenced`]).
//!
//! Roles and databases belong to the whole server; they are made from the shared database, which holds the
//! fences.

mod attempt;
mod audit;
mod batch;
mod blockers;
mod check;
mod connections;
mod data_audit;
mod database;
mod drift;
mod error;
mod extension;
mod fence;
mod idle;
mod ledger;
mod migration;
mod moves;
mod object;
mod owner;
mod owner_transaction;
mod prepare;
mod relay;
mod role;
mod role_limits;
mod schema;
mod size;
mod template;
mod trial;
mod users;
mod warm_pool;
mod warm_tenant;
mod watch;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use secrecy::SecretString;
use sqlx::{
    AssertSqlSafe, ConnectOptions,
    postgres::{PgConnectOptions, PgQueryResult, PgSslMode},
};
use tenantry_domain::{names::ObjectName, server_tls::ServerTls};

use connections::{AdminConnection, Connections};
use relay::AdminLogin;
use watch::Look;

use crate::tls::Tls;

pub use attempt::{Attempted, TableRows, ViewUse};
pub use audit::{FoundRole, ServerContents};
pub use batch::{BatchEnd, BatchItem, BatchLimits, BatchSession, carried, fits_in_batch};
pub use check::{ForbiddenDatabase, check_server};
pub use data_audit::DataChange;
pub use drift::{Drift, VersionCatalog};
pub use error::{AdminError, ObjectKind};
pub use fence::{Fence, SYSTEM_SCHEMA};
pub use migration::{MigrationReport, needs_no_transaction};
pub use moves::{
    Closed, KeepPatience, KeptSlot, MoveError, PublicationId, SchemaCatalog, Site, Survey, TableContents,
    Transfer, Transferred, WayBack,
};
pub use object::{MarkedObject, TenantObjects};
pub use owner::Owner;
pub use role::{RoleSpec, verifier};
pub use role_limits::{LimitedRole, RoleLimits};
pub use template::{TEMPLATE_PREFIX, Template};
pub use trial::Tried;
pub use users::InvitedUser;
pub use warm_tenant::{WARM_TENANT_PREFIX, Warmed};

/// The role that owns every tenant object of a server. Nobody logs in as it.
pub const OWNER_ROLE: &str = "tenantry_owner";

/// The role by which a move reads rows: it may what the owner role may, past row security, and nothing else. To plan a query
/// PostgreSQL calls functions that stand in a table's indexes and statistics, with the rights of whoever asks.
const READER_ROLE: &str = "tenantry_reader";

/// Names of the data plane's logins begin so: `tenantry_data_<label>_<random>`.
pub const LOGIN_PREFIX: &str = "tenantry_data_";

/// Names of databases that are being dropped begin so: `tenantry_gone_<tenant's id>_<attempt>`.
pub const TOMBSTONE_PREFIX: &str = "tenantry_gone_";

/// The schema of the app's tables in a template database, until a tenant adopts it.
pub const TEMPLATE_SCHEMA: &str = "tenantry_template";

/// The table in a tenant's schema that remembers which migrations it has.
pub const MIGRATIONS_TABLE: &str = "tenantry_migrations";

/// The database that every server has, and that holds no tenant.
const MAINTENANCE: &str = "postgres";

/// What the admin connections to one server may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdminLimits {
    /// Connections to the shared database at a time.
    pub shared_connections: u32,
    /// Sessions in other databases at a time.
    pub sessions: usize,
    /// How long to wait for a connection, a new one included.
    pub acquire_timeout: Duration,
    /// How long a connection is kept without use.
    pub idle_timeout: Duration,
    /// How long one statement waits for a lock before it gives way (a transient error).
    pub lock_timeout: Duration,
    /// How long a transaction may do nothing before the server ends it: its worker is frozen, and another one
    /// waits for the fence.
    pub idle_in_transaction_timeout: Duration,
    /// A statement that takes longer has the server looked at meanwhile.
    pub probe_after: Duration,
    /// How long such a look may take.
    pub probe_timeout: Duration,
}

impl Default for AdminLimits {
    fn default() -> Self {
        Self {
            shared_connections: 8,
            sessions: 4,
            acquire_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_mins(1),
            lock_timeout: Duration::from_secs(5),
            idle_in_transaction_timeout: Duration::from_secs(10),
            probe_after: Duration::from_secs(3),
            probe_timeout: Duration::from_secs(3),
        }
    }
}

/// Admin connections to one server, within a budget.
pub struct ServerAdmin {
    server: String,
    shared_database: ObjectName,
    connections: Connections,
    limits: AdminLimits,
    /// What has been prepared by this process and need not be looked at again.
    done: Mutex<HashSet<Done>>,
    /// Held by whoever makes a template.
    building: tokio::sync::Mutex<()>,
    /// Held while a version is tried in a database of its own.
    trying: tokio::sync::Mutex<()>,
    /// The last look at the server. Held by whoever looks.
    looked: tokio::sync::Mutex<Option<Look>>,
}

/// See [`ServerAdmin::done`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Done {
    Server,
    Extension(ObjectName, Arc<str>),
    Login(ObjectName, Arc<str>),
    /// Tenants made from what has this fingerprint can be named later.
    Namable(Arc<str>),
}

impl std::fmt::Debug for ServerAdmin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerAdmin").field("server", &self.server).finish_non_exhaustive()
    }
}

/// Where a server is and who administers it.
#[derive(Debug, Clone)]
pub struct ServerAddress<'a> {
    /// Host name or address.
    pub host: &'a str,
    /// TCP port.
    pub port: u16,
    /// How connections to it are protected.
    pub tls: &'a ServerTls,
    /// A login that may create roles and databases.
    pub user: &'a str,
    /// Its password.
    pub password: &'a SecretString,
    /// The database that tenants of tier `schema` share, and that holds the fences.
    pub shared_database: &'a ObjectName,
}

impl ServerAdmin {
    /// Prepares to connect; nothing happens until the first call.
    pub fn new(address: &ServerAddress<'_>, limits: AdminLimits) -> Self {
        let millis = |duration: Duration| duration.as_millis().to_string();
        let connect = PgConnectOptions::new_without_pgpass()
            .username(address.user)
            // Behind the socket that it connects to there is TLS, and the password.
            .ssl_mode(PgSslMode::Disable)
            // Most statements name a tenant, and making room in the cache costs a round trip each.
            // Without it sqlx would still leave named statements on the server, so ours are all
            // `persistent(false)` or without parameters.
            .statement_cache_capacity(0)
            .options([
                // Else a function that a tenant made in a database open to it could be called in our place.
                ("search_path", "pg_catalog"),
                ("client_min_messages", "warning"),
                ("statement_timeout", "0"),
                ("lock_timeout", &millis(limits.lock_timeout)),
                ("idle_in_transaction_session_timeout", &millis(limits.idle_in_transaction_timeout)),
            ])
            // Statements on roles hold verifiers.
            .disable_statement_logging();
        let login = AdminLogin {
            host: address.host.to_owned(),
            port: address.port,
            tls: Tls::new(address.tls),
            password: address.password.clone(),
        };
        Self {
            server: format!("{}:{}", address.host, address.port),
            shared_database: address.shared_database.clone(),
            connections: Connections::new(login, connect, address.shared_database.as_str(), limits),
            limits,
            done: Mutex::default(),
            building: tokio::sync::Mutex::default(),
            trying: tokio::sync::Mutex::default(),
            looked: tokio::sync::Mutex::default(),
        }
    }

    /// The server as it appears in messages: `host:port`.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The database that tenants of tier `schema` share.
    pub fn shared_database(&self) -> &ObjectName {
        &self.shared_database
    }

    /// Checks that the server answers, on a connection of its own.
    pub async fn ping(&self) -> Result<(), AdminError> {
        let probed = self.connections.probe(self.limits.probe_timeout).await;
        probed.map_err(|e| self.failed("ping", e))
    }

    /// Believes no more that anything is prepared on the server.
    pub fn forget_prepared(&self) {
        self.done.lock().expect(NO_PANIC).clear();
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.connections.close().await;
    }

    /// A connection to the shared database.
    async fn connection(&self, task: &'static str) -> Result<AdminConnection, AdminError> {
        self.connected(task, self.connections.shared().await)
    }

    /// A connection to any database that makes or changes a tenant's tables there.
    async fn connection_for_tables(
        &self,
        database: &ObjectName,
        task: &'static str,
    ) -> Result<AdminConnection, AdminError> {
        if *database == self.shared_database {
            self.connected(task, self.connections.shared_for_tables().await)
        } else {
            self.session(database, task).await
        }
    }

    /// A session in another database.
    async fn session(
        &self,
        database: &ObjectName,
        task: &'static str,
    ) -> Result<AdminConnection, AdminError> {
        self.connected(task, self.connections.session(database.as_str()).await)
    }

    /// A session for locks that live as long as it, on what is of the whole server (locks are of one database). In
    /// the database that all installations see, and that lets no tenant in unless a managed service keeps it open.
    async fn guard(&self, task: &'static str) -> Result<AdminConnection, AdminError> {
        self.session(&template::name(MAINTENANCE.into())?, task).await
    }

    fn connected(
        &self,
        task: &'static str,
        connected: Result<AdminConnection, sqlx::Error>,
    ) -> Result<AdminConnection, AdminError> {
        connected.map_err(|e| self.failed(task, e).unsent())
    }

    /// A connection to any database.
    async fn connection_to(
        &self,
        database: &ObjectName,
        task: &'static str,
    ) -> Result<AdminConnection, AdminError> {
        if *database == self.shared_database {
            self.connection(task).await
        } else {
            self.session(database, task).await
        }
    }

    /// Runs SQL text in the shared database, in one round trip. Several statements are one transaction.
    async fn run(&self, task: &'static str, sql: String) -> Result<PgQueryResult, AdminError> {
        let connection = self.connection(task).await?;
        self.run_on(connection, task, sql).await
    }

    /// As [`ServerAdmin::run`], and ends the sessions of tenants that hold the locks which it waits for: one may
    /// leave a transaction open for ever.
    async fn run_past_tenants(&self, task: &'static str, sql: String) -> Result<PgQueryResult, AdminError> {
        self.run_past_tenants_in(&self.shared_database, task, sql).await
    }

    /// The same in any database.
    async fn run_past_tenants_in(
        &self,
        database: &ObjectName,
        task: &'static str,
        sql: String,
    ) -> Result<PgQueryResult, AdminError> {
        let mut connection = self.connection_to(database, task).await?;
        let backend: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
            .persistent(false)
            .fetch_one(&mut *connection)
            .await
            .map_err(|e| self.failed(task, e))?;
        let end_blockers = async {
            loop {
                tokio::time::sleep(self.limits.lock_timeout / 3).await;
                if let Err(error) = self.run(task, blockers::end(backend)).await {
                    tracing::debug!(%error, "whoever holds the locks stays");
                }
            }
        };
        tokio::select! {
            biased;
            done = self.run_on(connection, task, sql) => done,
            never = end_blockers => never,
        }
    }

    /// As [`ServerAdmin::run`], in any database.
    async fn run_in(
        &self,
        database: &ObjectName,
        task: &'static str,
        sql: String,
    ) -> Result<PgQueryResult, AdminError> {
        let connection = self.connection_to(database, task).await?;
        self.run_on(connection, task, sql).await
    }

    /// Runs anything, for this crate's tests.
    #[cfg(test)]
    pub(crate) async fn execute(&self, sql: &str) -> Result<PgQueryResult, AdminError> {
        self.run("test", sql.to_owned()).await
    }

    async fn run_on(
        &self,
        mut connection: AdminConnection,
        task: &'static str,
        sql: String,
    ) -> Result<PgQueryResult, AdminError> {
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

const NO_PANIC: &str = "no code panics while it holds this lock";

#[cfg(test)]
mod tests;
