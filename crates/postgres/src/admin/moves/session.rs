//! What is said to one end of a move.

use sqlx::{AssertSqlSafe, PgConnection};

/// Runs statements.
pub(super) async fn run(connection: &mut PgConnection, text: &str) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(text.to_owned())).execute(connection).await.map(drop)
}

/// Asks for one value.
pub(super) async fn one<T>(connection: &mut PgConnection, ask: &str) -> Result<T, sqlx::Error>
where
    T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
{
    sqlx::query_scalar(AssertSqlSafe(ask.to_owned())).persistent(false).fetch_one(connection).await
}
