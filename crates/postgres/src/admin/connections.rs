//! The admin connections to one server, within a budget: some to the shared database, which are kept for the next
//! use, and sessions in other databases, which are closed after use. A fleet of tenants with a database each would
//! otherwise hold a pool each.
//!
//! Each session has a name of its own (its `application_name`), so that the server can be asked on another what
//! became of it. That is why this is no pool of sqlx, whose connections are all alike.

use std::{
    collections::HashSet,
    ops::{Deref, DerefMut},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use rand::Rng;
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep, timeout, timeout_at},
};

use super::{
    AdminLimits, MAINTENANCE,
    idle::Idle,
    relay::{self, AdminLogin},
    watch::{Waiting, Watched},
};

/// What the names of all sessions begin with.
const SESSION_PREFIX: &str = "tenantry-admin-";

/// A connection that has been idle for longer is checked before it is used.
const FRESH: Duration = Duration::from_millis(500);

/// How long a connection that should answer at once is waited for.
const SIGN_OF_LIFE: Duration = Duration::from_secs(2);

/// How soon a server without a free connection is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// One connection is closed after so many tenants whose tables were made or changed on any of them. A backend
/// keeps a description of every relation that it has made, and a transaction that makes some dozens looks through
/// all of them when it ends: with 10,000 of them (some 500 tenants) making a tenant took 1.4 times as long.
pub(super) const TENANTS_PER_CLOSING: u32 = 32;

/// Takes back what an app's SQL may have left in a session, so that no other app's SQL meets it: also the seed of `random()`, which
/// is set to another one. Prepared statements of sqlx's go, too.
pub(super) const CLEAN: &str = "RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL; CLOSE ALL; UNLISTEN *; DEALLOCATE ALL; \
    DISCARD TEMP; DISCARD SEQUENCES; SELECT pg_catalog.pg_advisory_unlock_all(), \
    pg_catalog.setseed(pg_catalog.hashtext(pg_catalog.gen_random_uuid()::text) / 2147483648.0::float8);";

/// See the module.
pub(super) struct Connections {
    login: AdminLogin,
    connect: PgConnectOptions,
    shared_database: String,
    idle: Arc<Idle>,
    /// How often one was taken to make or change a tenant's tables.
    used_for_tables: AtomicU32,
    places: Places,
    sessions: Places,
    acquire_timeout: Duration,
}

/// So many connections may be used at a time.
struct Places {
    free: Arc<Semaphore>,
    /// Whoever waits for one has it too.
    wanted: Arc<()>,
}

impl Places {
    fn new(count: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(count)), wanted: Arc::default() }
    }

    /// Waiting for one is not the server's fault, and has no limit of its own: the step has one.
    async fn take(&self) -> Result<OwnedSemaphorePermit, sqlx::Error> {
        if let Ok(place) = Arc::clone(&self.free).try_acquire_owned() {
            return Ok(place);
        }
        let _waits = Arc::clone(&self.wanted);
        Arc::clone(&self.free).acquire_owned().await.map_err(|_| sqlx::Error::PoolClosed)
    }

    /// Whether this is one of them that nobody waits for.
    fn can_spare(&self, place: &OwnedSemaphorePermit) -> bool {
        Arc::ptr_eq(&self.free, place.semaphore()) && Arc::strong_count(&self.wanted) == 1
    }
}

/// A connection and the name that the server knows it by.
pub(super) struct Session {
    pub(super) connection: PgConnection,
    name: Arc<str>,
}

impl Connections {
    pub(super) fn new(
        login: AdminLogin,
        connect: PgConnectOptions,
        shared_database: &str,
        limits: AdminLimits,
    ) -> Self {
        Self {
            login,
            connect,
            shared_database: shared_database.to_owned(),
            idle: Arc::new(Idle::new(limits.idle_timeout)),
            used_for_tables: AtomicU32::new(0),
            places: Places::new(limits.shared_connections as usize),
            sessions: Places::new(limits.sessions),
            acquire_timeout: limits.acquire_timeout,
        }
    }

    /// A connection to the shared database.
    pub(super) async fn shared(&self) -> Result<AdminConnection, sqlx::Error> {
        let _waiting = Waiting::begin();
        let place = self.places.take().await?;
        while let Some((mut session, idle_for)) = self.idle.take() {
            if idle_for < FRESH
                || matches!(timeout(SIGN_OF_LIFE, session.connection.ping()).await, Ok(Ok(())))
            {
                return Ok(AdminConnection::new(session, place, Some(Arc::clone(&self.idle))));
            }
        }
        let session = self.open(&self.shared_database).await?;
        Ok(AdminConnection::new(session, place, Some(Arc::clone(&self.idle))))
    }

    /// A connection to the shared database that makes or changes a tenant's tables.
    pub(super) async fn shared_for_tables(&self) -> Result<AdminConnection, sqlx::Error> {
        let mut connection = self.shared().await?;
        let before = self.used_for_tables.fetch_add(1, Ordering::Relaxed);
        if before % TENANTS_PER_CLOSING == TENANTS_PER_CLOSING - 1 {
            connection.close_on_drop();
        }
        Ok(connection)
    }

    /// A session in any database, closed after use.
    pub(super) async fn session(&self, database: &str) -> Result<AdminConnection, sqlx::Error> {
        let _waiting = Waiting::begin();
        let place = self.sessions.take().await?;
        Ok(AdminConnection::new(self.open(database).await?, place, None))
    }

    /// Connects. A server that has no connection free, or comes up, is asked again until the limit.
    async fn open(&self, database: &str) -> Result<Session, sqlx::Error> {
        let deadline = Instant::now() + self.acquire_timeout;
        let mut refusal = None;
        loop {
            let Ok(opened) = timeout_at(deadline, self.connect(database)).await else {
                // Whoever has refused is there, however late its next answer is.
                return Err(refusal.unwrap_or(sqlx::Error::PoolTimedOut));
            };
            match opened {
                Err(error) if may_let_in_soon(&error) && Instant::now() + ASK_AGAIN < deadline => {
                    refusal = Some(error);
                    sleep(ASK_AGAIN).await;
                }
                opened => return opened,
            }
        }
    }

    async fn connect(&self, database: &str) -> Result<Session, sqlx::Error> {
        let name: Arc<str> = format!("{SESSION_PREFIX}{:016x}", rand::rng().next_u64()).into();
        let connect = self.connect.clone().database(database).application_name(&name);
        Ok(Session { connection: relay::connect(&self.login, connect).await?, name })
    }

    /// Whether the server lets somebody in and answers, on a connection of its own.
    pub(super) async fn probe(&self, limit: Duration) -> Result<(), sqlx::Error> {
        let probe = async {
            let mut session = self.connect(MAINTENANCE).await?;
            session.connection.ping().await?;
            // Not closed politely: that would wait for the server again.
            session.connection.close_hard().await
        };
        timeout(limit, probe).await.map_err(|_| sqlx::Error::PoolTimedOut)?
    }

    /// The names of all admin sessions of the server that run a statement, or ran one a moment ago. Asked on a
    /// connection of its own.
    pub(super) async fn at_work(&self, limits: AdminLimits) -> Result<HashSet<String>, sqlx::Error> {
        let ask = async {
            let mut session = self.connect(MAINTENANCE).await?;
            // No state is shown where the server does not track it.
            let names: Vec<String> = sqlx::query_scalar(
                "SELECT application_name FROM pg_stat_activity WHERE starts_with(application_name, $1)
                     AND (coalesce(state, 'active') NOT LIKE 'idle%' OR clock_timestamp() - state_change < $2)",
            )
            .persistent(false)
            .bind(SESSION_PREFIX)
            .bind(limits.probe_after)
            .fetch_all(&mut session.connection)
            .await?;
            session.connection.close_hard().await?;
            Ok(names.into_iter().collect())
        };
        timeout(limits.probe_timeout, ask).await.map_err(|_| sqlx::Error::PoolTimedOut)?
    }

    pub(super) async fn close(&self) {
        self.sessions.free.close();
        self.places.free.close();
        self.idle.close().await;
    }
}

/// Whether the server is there, and refuses for a while.
fn may_let_in_soon(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    matches!(code.as_deref(), Some("53300" | "57P03"))
}

/// An admin connection in use.
pub(super) struct AdminConnection {
    /// Some until it is dropped.
    session: Option<Session>,
    /// Where it goes after this use; none: it is closed. Dropping the socket ends the server's process too, only a
    /// moment later.
    idle: Option<Arc<Idle>>,
    /// Whoever uses it next may meet what this use has left: it is closed.
    unfinished: bool,
    /// Its place in the budget; some until it is dropped.
    place: Option<OwnedSemaphorePermit>,
    watched: Option<Arc<Watched>>,
}

impl AdminConnection {
    fn new(session: Session, place: OwnedSemaphorePermit, idle: Option<Arc<Idle>>) -> Self {
        let (session, place) = (Some(session), Some(place));
        let mut connection = Self { session, idle, unfinished: false, place, watched: None };
        connection.be_watched();
        connection
    }

    /// Has whoever watches the current task watch this connection, which another task may have opened.
    pub(super) fn be_watched(&mut self) {
        let before = std::mem::replace(&mut self.watched, Watched::current());
        let Some(session) = &self.session else { return };
        if let Some(before) = before {
            before.lets_go(&session.name);
        }
        if let Some(watched) = &self.watched {
            watched.holds(&session.name);
        }
    }

    /// Ends the connection after this use.
    pub(super) fn close_on_drop(&mut self) {
        self.idle = None;
    }

    /// Ends the connection after this use, unless that comes to its end ([`AdminConnection::finish`]).
    pub(super) fn close_unless_finished(&mut self) {
        self.unfinished = true;
    }

    /// Whether it can be used again: it is one of these connections, nobody waits for its place, and it is alive.
    pub(super) async fn serves_again(&mut self, connections: &Connections, idle_for: Duration) -> bool {
        let Some(place) = &self.place else { return false };
        (connections.places.can_spare(place) || connections.sessions.can_spare(place))
            && (idle_for < FRESH || matches!(timeout(SIGN_OF_LIFE, self.ping()).await, Ok(Ok(()))))
    }

    /// This use has come to its end, and leaves nothing in the session.
    pub(super) fn finish(&mut self) {
        self.unfinished = false;
    }
}

impl Drop for AdminConnection {
    fn drop(&mut self) {
        let (Some(mut session), Some(place)) = (self.session.take(), self.place.take()) else { return };
        if let Some(watched) = &self.watched {
            watched.lets_go(&session.name);
        }
        let (Some(idle), Ok(runtime)) = (self.idle.take(), Handle::try_current()) else { return };
        if self.unfinished {
            return;
        }
        runtime.spawn(async move {
            let clean = async {
                session.connection.clear_cached_statements().await?;
                sqlx::raw_sql(CLEAN).execute(&mut session.connection).await
            };
            // Its last statement may have been given up half-way, and may run for long.
            if matches!(timeout(SIGN_OF_LIFE, clean).await, Ok(Ok(_))) {
                idle.put(session);
            }
            drop(place);
        });
    }
}

const IN_USE: &str = "the session is there until the connection is dropped";

impl Deref for AdminConnection {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.session.as_ref().expect(IN_USE).connection
    }
}

impl DerefMut for AdminConnection {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.session.as_mut().expect(IN_USE).connection
    }
}

#[cfg(test)]
mod tests {
    use sqlx::AssertSqlSafe;
    use tenantry_domain::server_tls::ServerTls;

    use super::*;
    use crate::{
        admin::{ServerAddress, ServerAdmin},
        fixture::{Bench, app, name, server},
    };

    /// The process that serves the admin connection that is used next.
    async fn backend(bench: &Bench) -> i32 {
        let mut connection = bench.admin.connection("test").await.unwrap();
        let pid = sqlx::query_scalar("SELECT pg_backend_pid()").persistent(false);
        pid.fetch_one(&mut *connection).await.unwrap()
    }

    #[tokio::test]
    async fn what_the_sql_of_one_app_leaves_in_a_session_is_not_met_by_another_one() {
        let bench = Bench::with_one_connection("left_behind").await;
        let before = backend(&bench).await;
        let leaves = "CREATE TABLE log (word text); CREATE SEQUENCE numbers; SELECT nextval('numbers'), setseed(0.5); SET client_encoding = 'LATIN1'; SET standard_conforming_strings = off;
            SET default_transaction_isolation = serializable; SET hostile.word = 'left'; CREATE TEMP TABLE log (LIKE log);
            GRANT ALL ON pg_temp.log TO public; PREPARE left_over AS SELECT 1; SELECT pg_advisory_lock(20261201);
            DECLARE left_over CURSOR WITH HOLD FOR SELECT 1; LISTEN left_over";
        bench.tenant("tenant_left_first", &app(&[(leaves, None)])).await;
        let writes = "CREATE TABLE log (word text, other text, told text);
            INSERT INTO log VALUES ('é', 'a\\b', concat(current_setting('transaction_isolation'),
                current_setting('hostile.word', true), (SELECT count(*) FROM pg_prepared_statements WHERE from_sql),
                (SELECT count(*) FROM pg_cursors WHERE name = 'left_over'),
                (SELECT count(*) FROM pg_listening_channels()),
                (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid())))";
        let second = bench.tenant("tenant_left_second", &app(&[(writes, None)])).await;
        let mut connection = bench.admin.connection("test").await.unwrap();
        let found = format!("SELECT word, other, told FROM {}.log", second.quoted());
        let found = sqlx::query_as(AssertSqlSafe(found)).persistent(false).fetch_all(&mut *connection);
        let found: Vec<(String, String, String)> = found.await.unwrap();
        let as_written = ("é".to_owned(), "a\\b".to_owned(), "read committed0000".to_owned());
        assert_eq!(found, [as_written]);
        let number = sqlx::query_scalar::<_, i64>("SELECT lastval()").persistent(false);
        number.fetch_one(&mut *connection).await.expect_err("no sequence was used in this session");
        let random = sqlx::query_scalar::<_, bool>("SELECT random() = (SELECT random() FROM setseed(0.5))");
        let same = random.persistent(false).fetch_one(&mut *connection).await;
        assert!(!same.unwrap(), "the seed is another one");
        drop(connection);
        assert_eq!(backend(&bench).await, before, "it was not closed instead");
    }

    #[tokio::test]
    async fn a_connection_is_replaced_after_many_tenants() {
        let bench = Bench::with_one_connection("replaced").await;
        let before = backend(&bench).await;
        for n in 1..TENANTS_PER_CLOSING {
            bench.tenant_without_tables(&format!("tenant_replaced_{n}")).await;
        }
        assert_eq!(backend(&bench).await, before);
        bench.tenant_without_tables("tenant_replaced_last").await;
        assert_ne!(backend(&bench).await, before);
    }

    /// Makes a role that may have one connection.
    async fn role_with_one_connection(bench: &Bench, role: &str) {
        let sql = format!(
            "CREATE ROLE {role} LOGIN PASSWORD 'pw' CONNECTION LIMIT 1; GRANT CONNECT ON DATABASE postgres TO {role}"
        );
        bench.admin.execute(&sql).await.unwrap();
    }

    /// Logs in with such a role.
    async fn admin_as(bench: &Bench, role: &str, limits: AdminLimits) -> ServerAdmin {
        let server = server().await;
        let address = ServerAddress {
            host: server.host(),
            port: server.port(),
            tls: &ServerTls::Prefer,
            user: role,
            password: &"pw".into(),
            shared_database: &bench.database,
        };
        ServerAdmin::new(&address, limits)
    }

    #[tokio::test]
    async fn a_server_that_refuses_until_nobody_waits_any_more_is_full_and_not_away() {
        let bench = Bench::new("refuses").await;
        role_with_one_connection(&bench, "refused_admin").await;
        let held = admin_as(&bench, "refused_admin", AdminLimits::default()).await;
        let _taken = held.session(&name("postgres"), "test").await.unwrap();
        // Some of these end while the server is being asked once more.
        let waits = (0..40).map(async |n| {
            let limits = AdminLimits {
                acquire_timeout: Duration::from_millis(1_000 + 5 * n),
                ..AdminLimits::default()
            };
            let admin = admin_as(&bench, "refused_admin", limits).await;
            admin.session(&name("postgres"), "test").await.err().unwrap()
        });
        for error in futures::future::join_all(waits).await {
            assert!(error.is_full(), "{error}");
        }
    }

    #[tokio::test]
    async fn a_server_that_refuses_a_look_for_want_of_connections_is_there() {
        let bench = Bench::new("crowded").await;
        let limits = AdminLimits { probe_after: Duration::from_millis(100), ..AdminLimits::default() };
        role_with_one_connection(&bench, "crowded_admin").await;
        let admin = admin_as(&bench, "crowded_admin", limits).await;
        let mut connection = admin.session(&name("postgres"), "test").await.unwrap();
        let slow = async {
            sqlx::query("SELECT pg_sleep(1)")
                .execute(&mut *connection)
                .await
                .map_err(|e| admin.failed("test", e))
        };
        admin.watch(slow).await.unwrap();
    }
}
