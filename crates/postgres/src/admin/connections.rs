//! The admin connections to one server, within a budget: a small pool to the shared database, and single
//! sessions to others, which are closed after use. A fleet of tenants with a database each would otherwise
//! hold a pool each.

use std::{
    ops::{Deref, DerefMut},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use sqlx::{
    ConnectOptions, Connection, PgConnection, PgPool, Postgres,
    pool::PoolConnection,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::AdminLimits;

/// See the module.
pub(super) struct Connections {
    connect: PgConnectOptions,
    shared: PgPool,
    /// How to get into the shared database without the pool.
    to_shared: PgConnectOptions,
    /// How often one was taken to make or change a tenant's tables.
    used_for_tables: AtomicU32,
    places: Arc<Semaphore>,
    sessions: Arc<Semaphore>,
    limits: AdminLimits,
}

/// A connection that has been idle for longer is checked before it is used.
const FRESH: Duration = Duration::from_millis(500);

/// One connection is closed after so many tenants whose tables were made or changed on any of them. A backend
/// keeps a description of every relation that it has made, and a transaction that makes some dozens looks through
/// all of them when it ends: with 10,000 of them (some 500 tenants) making a tenant took 1.4 times as long.
pub(super) const TENANTS_PER_CLOSING: u32 = 32;

impl Connections {
    pub(super) fn new(connect: PgConnectOptions, shared_database: &str, limits: AdminLimits) -> Self {
        let shared = PgPoolOptions::new()
            .max_connections(limits.shared_connections)
            .acquire_timeout(limits.acquire_timeout)
            .idle_timeout(limits.idle_timeout)
            // One that was in use a moment ago is not asked again whether it is alive: a round trip.
            .test_before_acquire(false)
            .before_acquire(|connection, state| {
                Box::pin(async move {
                    if state.idle_for < FRESH {
                        return Ok(true);
                    }
                    Ok(matches!(timeout(Duration::from_secs(2), connection.ping()).await, Ok(Ok(()))))
                })
            })
            .connect_lazy_with(connect.clone().database(shared_database));
        Self {
            to_shared: connect.clone().database(shared_database),
            connect,
            shared,
            used_for_tables: AtomicU32::new(0),
            places: Arc::new(Semaphore::new(limits.shared_connections as usize)),
            sessions: Arc::new(Semaphore::new(limits.sessions)),
            limits,
        }
    }

    /// A connection to the shared database.
    pub(super) async fn shared(&self) -> Result<AdminConnection, sqlx::Error> {
        // As for sessions: the pool's own limit is for the server alone.
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| sqlx::Error::PoolClosed)?;
        match self.shared.acquire().await {
            Ok(connection) => Ok(AdminConnection::Pooled(connection, place)),
            // The pool tries again when there are too many connections, and does not say in the end that it was that.
            Err(sqlx::Error::PoolTimedOut) => {
                let connected = timeout(self.limits.acquire_timeout, self.to_shared.connect()).await;
                let connection = connected.map_err(|_| sqlx::Error::PoolTimedOut)??;
                Ok(AdminConnection::Session(connection, place))
            }
            Err(error) => Err(error),
        }
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
        // Waiting for a place is not the server's fault, and has no limit of its own: the step has one.
        let permit = Arc::clone(&self.sessions).acquire_owned().await.map_err(|_| sqlx::Error::PoolClosed)?;
        let connect = self.connect.clone().database(database);
        let connected = timeout(self.limits.acquire_timeout, connect.connect()).await;
        let connection = connected.map_err(|_| sqlx::Error::PoolTimedOut)??;
        Ok(AdminConnection::Session(connection, permit))
    }

    /// Whether the server lets somebody in and answers, on a connection of its own.
    pub(super) async fn probe(&self, database: &str, limit: Duration) -> Result<(), sqlx::Error> {
        let probe = async {
            let mut connection = self.connect.clone().database(database).connect().await?;
            connection.ping().await?;
            // Not closed politely: that would wait for the server again.
            connection.close_hard().await
        };
        timeout(limit, probe).await.map_err(|_| sqlx::Error::PoolTimedOut)?
    }

    pub(super) async fn close(&self) {
        self.sessions.close();
        self.places.close();
        // A server that hangs must not keep the worker.
        let _ = timeout(Duration::from_secs(2), self.shared.close()).await;
    }
}

/// An admin connection, of the pool or for this use alone.
pub(super) enum AdminConnection {
    /// The permit is its place in the budget.
    Pooled(PoolConnection<Postgres>, #[expect(dead_code, reason = "held, not read")] OwnedSemaphorePermit),
    /// As above. Dropping the socket ends the server's process too, only a moment later.
    Session(PgConnection, #[expect(dead_code, reason = "held, not read")] OwnedSemaphorePermit),
}

impl AdminConnection {
    /// Ends the connection after this use.
    pub(super) fn close_on_drop(&mut self) {
        if let Self::Pooled(connection, _) = self {
            connection.close_on_drop();
        }
    }
}

impl Deref for AdminConnection {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        match self {
            Self::Pooled(connection, _) => connection,
            Self::Session(connection, _) => connection,
        }
    }
}

impl DerefMut for AdminConnection {
    fn deref_mut(&mut self) -> &mut PgConnection {
        match self {
            Self::Pooled(connection, _) => connection,
            Self::Session(connection, _) => connection,
        }
    }
}
