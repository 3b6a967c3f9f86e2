//! Transactions of which every statement ends within the limit.

use std::ops::{Deref, DerefMut};

use futures::{FutureExt, TryStreamExt, future::BoxFuture, stream::BoxStream};
use sqlx::{
    Describe, Either, Execute, Executor, Postgres, SqlStr,
    postgres::{PgQueryResult, PgRow, PgStatement, PgTypeInfo},
};
use tokio::time::timeout;

use super::{Lent, in_turn};

/// The connection of a [`Transaction`]: every statement on it ends within the registry's limit. Used as
/// `&mut PgConnection` is.
#[derive(Debug)]
pub struct TimedConnection(pub(super) Lent);

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
pub struct Transaction(pub(super) TimedConnection);

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
