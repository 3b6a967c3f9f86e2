//! Connections that cannot hang: every statement on the registry ends within a limit.
//!
//! A connection may be dead without either end knowing it (a firewall that forgot it, a host that
//! vanished): a statement on it would wait for minutes. So each is given a deadline, a connection
//! that missed one is closed instead of going back to the pool, and one that was idle is asked for
//! a sign of life before it is used.

use std::{
    io,
    ops::{Deref, DerefMut},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::{
    FutureExt, StreamExt, TryStreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use sqlx::{
    Connection, Describe, Either, Execute, Executor, PgConnection, PgPool, Postgres, SqlStr,
    pool::{PoolConnection, PoolConnectionMetadata},
    postgres::{PgQueryResult, PgRow, PgStatement, PgTypeInfo},
};
use tokio::{
    runtime::Handle,
    time::{Instant, error::Elapsed, timeout, timeout_at},
};

/// A connection that was idle for longer than this is asked for a sign of life.
const TRUSTED_IDLE: Duration = Duration::from_millis(500);

/// How long the sign of life may take: a small part of the statement's own limit.
const PING: Duration = Duration::from_secs(1);

/// What is known about the connections of all pools of a registry.
#[derive(Debug, Clone)]
pub(crate) struct Health {
    limit: Duration,
    begun: Instant,
    /// When a connection was last found broken, in microseconds after `begun`; 0 is never.
    broken: Arc<AtomicU64>,
}

impl Health {
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit, begun: Instant::now(), broken: Arc::default() }
    }

    /// The longest that a statement may take.
    pub(crate) const fn limit(&self) -> Duration {
        self.limit
    }

    /// Notes that a connection broke: those that were idle at that time may have broken with it.
    pub(crate) fn note_broken(&self) {
        let now = u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX).max(1);
        self.broken.fetch_max(now, Ordering::Relaxed);
    }

    fn trusts(&self, idle_for: Duration) -> bool {
        let broken = self.broken.load(Ordering::Relaxed);
        let idle_since = self.begun.elapsed().saturating_sub(idle_for);
        idle_for <= TRUSTED_IDLE && (broken == 0 || Duration::from_micros(broken) < idle_since)
    }

    /// Whether a connection out of the pool may be used; for the pool's `before_acquire`.
    pub(crate) async fn is_alive(&self, connection: &mut PgConnection, idle: PoolConnectionMetadata) -> bool {
        if self.trusts(idle.idle_for) {
            return true;
        }
        let answered = timeout(PING.min(self.limit / 3), connection.ping()).await;
        let alive = matches!(answered, Ok(Ok(())));
        if !alive {
            self.note_broken();
        }
        alive
    }
}

fn timed_out(limit: Duration) -> sqlx::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("the registry did not answer within {limit:?}")).into()
}

/// A pool on which every statement ends within a limit. Used as `&PgPool` is: `fetch_one(&timed)`.
#[derive(Debug, Clone)]
pub(crate) struct Timed {
    pool: PgPool,
    health: Health,
    limit: Duration,
}

impl Timed {
    pub(crate) fn new(pool: PgPool, health: Health) -> Self {
        Self { pool, limit: health.limit, health }
    }

    /// The same pool with another limit.
    pub(crate) fn with_limit(&self, limit: Duration) -> Self {
        Self { limit, ..self.clone() }
    }

    pub(crate) const fn pool(&self) -> &PgPool {
        &self.pool
    }

    async fn lend(&self, deadline: Instant) -> Result<Lent, sqlx::Error> {
        let connection =
            timeout_at(deadline, self.pool.acquire()).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))?;
        Ok(Lent {
            connection: Some(connection),
            in_transaction: false,
            health: self.health.clone(),
            limit: self.limit,
        })
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.limit
    }

    /// Begins a transaction, of which every statement and the commit end within the limit.
    pub(crate) async fn begin(&self) -> Result<Transaction, sqlx::Error> {
        let deadline = self.deadline();
        let mut lent = self.lend(deadline).await?;
        // First: a BEGIN that is given up half-way may have begun.
        lent.in_transaction = true;
        let begun = timeout_at(deadline, (&mut *lent).execute("BEGIN")).await;
        lent.judge(begun)?;
        Ok(Transaction(TimedConnection(lent)))
    }
}

/// A connection that is out of its pool.
#[derive(Debug)]
struct Lent {
    /// `None` once it is found dead: it is closed then.
    connection: Option<PoolConnection<Postgres>>,
    /// There may be a transaction to roll back before the next use.
    in_transaction: bool,
    health: Health,
    limit: Duration,
}

impl Lent {
    /// What a statement answered; closes the connection if it answered nothing.
    fn judge<T>(&mut self, answer: Result<Result<T, sqlx::Error>, Elapsed>) -> Result<T, sqlx::Error> {
        match answer {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                if breaks_connections(&error) {
                    self.health.note_broken();
                }
                Err(error)
            }
            Err(_) => {
                self.health.note_broken();
                // Not closed politely: nobody listens.
                drop(self.connection.take().map(PoolConnection::detach));
                Err(timed_out(self.limit))
            }
        }
    }

    fn usable(&self) -> Result<(), sqlx::Error> {
        self.connection.as_ref().map(drop).ok_or_else(|| timed_out(self.limit))
    }
}

/// Whether other connections have broken with the one that met this, too.
fn breaks_connections(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) => true,
        // The server is shutting down.
        sqlx::Error::Database(error) => error.code().is_some_and(|code| code.starts_with("57P")),
        _ => false,
    }
}

const USABLE: &str = "a connection that was given up is not used: see Lent::usable";

impl Deref for Lent {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.connection.as_ref().expect(USABLE)
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.connection.as_mut().expect(USABLE)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        let Ok(runtime) = Handle::try_current() else {
            return drop(connection.detach());
        };
        let (limit, health, in_transaction) = (self.limit, self.health.clone(), self.in_transaction);
        runtime.spawn(async move {
            // The pool asks a connection that comes back for a sign of life, and a dead one would keep its
            // place for ever.
            let back = async {
                if in_transaction && connection.execute("ROLLBACK").await.is_err() {
                    return drop(connection.detach());
                }
                connection.return_to_pool().await;
            };
            if timeout(limit, back).await.is_err() {
                health.note_broken();
            }
        });
    }
}

impl<'p> Executor<'p> for &'p Timed {
    type Database = Postgres;

    /// The rows are read before the first is handed out, so that a slow reader is not taken for a slow
    /// registry.
    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, sqlx::Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let rows = async move {
            let deadline = self.deadline();
            let mut lent = self.lend(deadline).await?;
            let rows = timeout_at(deadline, (&mut *lent).fetch_many(query).try_collect::<Vec<_>>()).await;
            lent.judge(rows)
        };
        in_turn(rows)
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        Box::pin(async move {
            let deadline = self.deadline();
            let mut lent = self.lend(deadline).await?;
            let row = timeout_at(deadline, (&mut *lent).fetch_optional(query)).await;
            lent.judge(row)
        })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
    where
        'p: 'e,
    {
        Box::pin(async move {
            let deadline = self.deadline();
            let mut lent = self.lend(deadline).await?;
            let statement = timeout_at(deadline, (&mut *lent).prepare_with(sql, parameters)).await;
            lent.judge(statement)
        })
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, sqlx::Error>>
    where
        'p: 'e,
    {
        Box::pin(async move {
            let deadline = self.deadline();
            let mut lent = self.lend(deadline).await?;
            let described = timeout_at(deadline, (&mut *lent).describe(sql)).await;
            lent.judge(described)
        })
    }
}

fn in_turn<'e, T: Send + 'e>(
    rows: impl Future<Output = Result<Vec<T>, sqlx::Error>> + Send + 'e,
) -> BoxStream<'e, Result<T, sqlx::Error>> {
    stream::once(rows).map_ok(|rows| stream::iter(rows.into_iter().map(Ok))).try_flatten().boxed()
}

/// The connection of a [`Transaction`]: every statement on it ends within the registry's limit. Used as
/// `&mut PgConnection` is.
#[derive(Debug)]
pub struct TimedConnection(Lent);

impl<'c> Executor<'c> for &'c mut TimedConnection {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let rows = async move {
            self.0.usable()?;
            let rows = timeout(self.0.limit, (&mut *self.0).fetch_many(query).try_collect::<Vec<_>>()).await;
            self.0.judge(rows)
        };
        in_turn(rows)
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        async move {
            self.0.usable()?;
            let row = timeout(self.0.limit, (&mut *self.0).fetch_optional(query)).await;
            self.0.judge(row)
        }
        .boxed()
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
    where
        'c: 'e,
    {
        async move {
            self.0.usable()?;
            let statement = timeout(self.0.limit, (&mut *self.0).prepare_with(sql, parameters)).await;
            self.0.judge(statement)
        }
        .boxed()
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, sqlx::Error>>
    where
        'c: 'e,
    {
        async move {
            self.0.usable()?;
            let described = timeout(self.0.limit, (&mut *self.0).describe(sql)).await;
            self.0.judge(described)
        }
        .boxed()
    }
}

/// A transaction on the registry; rolled back when it is dropped.
#[derive(Debug)]
pub struct Transaction(TimedConnection);

impl Transaction {
    /// Commits. After an error the caller cannot know whether it did.
    ///
    /// # Errors
    /// The registry failed, or did not answer in time.
    pub async fn commit(self) -> Result<(), sqlx::Error> {
        self.end("COMMIT").await
    }

    /// Rolls back.
    ///
    /// # Errors
    /// As [`Transaction::commit`].
    pub async fn rollback(self) -> Result<(), sqlx::Error> {
        self.end("ROLLBACK").await
    }

    async fn end(mut self, statement: &'static str) -> Result<(), sqlx::Error> {
        self.0.execute(statement).await?;
        self.0.0.in_transaction = false;
        Ok(())
    }
}

impl Deref for Transaction {
    type Target = TimedConnection;

    fn deref(&self) -> &TimedConnection {
        &self.0
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut TimedConnection {
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_was_idle_when_another_connection_broke_is_not_trusted() {
        let health = Health::new(Duration::from_secs(5));
        tokio::time::advance(Duration::from_secs(10)).await;
        assert!(health.trusts(Duration::from_millis(100)));
        assert!(!health.trusts(Duration::from_millis(600)), "idle for long");
        health.note_broken();
        tokio::time::advance(Duration::from_millis(100)).await;
        assert!(!health.trusts(Duration::from_millis(200)), "idle since before the break");
        assert!(health.trusts(Duration::from_millis(50)), "used since");
    }
}
