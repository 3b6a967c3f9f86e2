//! What sqlx's migrator asks of a connection, answered in fewer round trips than by sqlx's own:
//! one to read the history and one per migration, instead of five and seven. Table and checksums
//! are sqlx's, so either can go on where the other stopped.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use futures::future::BoxFuture;
use sqlx::{
    AssertSqlSafe, PgConnection, Row,
    migrate::{AppliedMigration, Migrate, MigrateError, Migration},
};

use crate::sql;

/// A connection whose transaction, if the migrations want one, is open already.
pub(super) struct Ledger<'c> {
    connection: &'c mut PgConnection,
    applied: Vec<AppliedMigration>,
    dirty: Option<i64>,
    /// The versions that it found.
    pub(super) before: BTreeSet<i64>,
    /// Those and the ones it applied.
    pub(super) after: BTreeSet<i64>,
}

impl<'c> Ledger<'c> {
    pub(super) fn new(connection: &'c mut PgConnection) -> Self {
        Self { connection, applied: Vec::new(), dirty: None, before: BTreeSet::new(), after: BTreeSet::new() }
    }

    async fn run(&mut self, text: String) -> Result<(), sqlx::Error> {
        sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut *self.connection).await.map(drop)
    }
}

type Answer<'e, T> = BoxFuture<'e, Result<T, MigrateError>>;

impl Migrate for Ledger<'_> {
    fn create_schema_if_not_exists<'e>(&'e mut self, _schema: &'e str) -> Answer<'e, ()> {
        Box::pin(async { Err(MigrateError::CreateSchemasNotSupported("schemas are made before".into())) })
    }

    /// The table is there; its contents answer the two questions that follow.
    fn ensure_migrations_table<'e>(&'e mut self, table: &'e str) -> Answer<'e, ()> {
        Box::pin(async move {
            let history = format!("SELECT version, checksum, success FROM {table} ORDER BY version");
            let rows = sqlx::raw_sql(AssertSqlSafe(history)).fetch_all(&mut *self.connection).await?;
            for row in rows {
                let version = row.try_get(0)?;
                let checksum: Vec<u8> = row.try_get(1)?;
                if !row.try_get::<bool, _>(2)? {
                    self.dirty.get_or_insert(version);
                }
                self.before.insert(version);
                self.applied.push(AppliedMigration { version, checksum: checksum.into() });
            }
            self.after.clone_from(&self.before);
            Ok(())
        })
    }

    fn dirty_version<'e>(&'e mut self, _table: &'e str) -> Answer<'e, Option<i64>> {
        Box::pin(std::future::ready(Ok(self.dirty)))
    }

    fn list_applied_migrations<'e>(&'e mut self, _table: &'e str) -> Answer<'e, Vec<AppliedMigration>> {
        Box::pin(std::future::ready(Ok(std::mem::take(&mut self.applied))))
    }

    fn lock(&mut self) -> Answer<'_, ()> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn unlock(&mut self) -> Answer<'_, ()> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn apply<'e>(&'e mut self, table: &'e str, migration: &'e Migration) -> Answer<'e, Duration> {
        Box::pin(async move {
            let started = Instant::now();
            let version = migration.version;
            let failed = |e| MigrateError::ExecuteMigration(e, version);
            // The time of a message is when it began: the whole of it is the migration's.
            let record = format!(
                "INSERT INTO {table} (version, description, success, checksum, execution_time) VALUES \
                 ({version}, {description}, true, decode('{checksum}', 'hex'), \
                 (extract(epoch FROM clock_timestamp() - statement_timestamp()) * 1e9)::bigint)",
                description = sql::literal(&migration.description),
                checksum = sql::hex(&migration.checksum),
            );
            let text = migration.sql.as_str();
            if migration.no_tx {
                self.run(text.to_owned()).await.map_err(failed)?;
                self.run(record).await?;
            } else {
                // On a line of its own, should the file end in a comment. A file that swallowed it
                // otherwise (an open quote or comment) does not parse.
                self.run(format!("{text}\n;\n{record}")).await.map_err(failed)?;
            }
            self.after.insert(version);
            Ok(started.elapsed())
        })
    }

    fn revert<'e>(&'e mut self, table: &'e str, migration: &'e Migration) -> Answer<'e, Duration> {
        Box::pin(async move {
            let started = Instant::now();
            let version = migration.version;
            let record = format!("DELETE FROM {table} WHERE version = {version}");
            let text = format!("{}\n;\n{record}", migration.sql.as_str());
            self.run(text).await.map_err(|e| MigrateError::ExecuteMigration(e, version))?;
            self.after.remove(&version);
            Ok(started.elapsed())
        })
    }
}
