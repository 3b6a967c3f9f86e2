//! Connections that cannot hang: every statement on the registry ends within a limit.
//!
//! A connection may be dead without either end knowing it (a firewall that forgot it, a host that
//! vanished): a statement on it would wait for minutes. So each is given a deadline, a connection
//! that missed one is closed instead of going back to the pool, and one that was idle is asked for
//! a sign of life before it is used.

mod health;
mod transaction;

use std::{
    io,
    ops::{Deref, DerefMut},
    time::Duration,
};

use futures::{
    StreamExt, TryStreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use sqlx::{
    Describe, Either, Execute, Executor, PgConnection, PgPool, Postgres, SqlStr,
    pool::PoolConnection,
    postgres::{PgQueryResult, PgRow, PgStatement, PgTypeInfo},
};
use tokio::{
    runtime::Handle,
    time::{Instant, error::Elapsed, timeout, timeout_at},
};

pub(crate) use health::Health;
pub use transaction::{TimedConnection, Transaction};

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
        Self { pool, limit: health.limit(), health }
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
            if in_transaction {
                let rolled_back = timeout(limit, connection.execute("ROLLBACK")).await;
                if !matches!(rolled_back, Ok(Ok(_))) {
                    // The pool would lend it with its transaction, which nobody would commit.
                    health.note_broken();
                    return drop(connection.detach());
                }
            }
            // The pool asks a connection that comes back for a sign of life, and a dead one would keep its
            // place for ever.
            if timeout(limit, connection.return_to_pool()).await.is_err() {
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
