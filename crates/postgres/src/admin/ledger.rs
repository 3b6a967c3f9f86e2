//! What sqlx's migrator asks of a connection, answered in fewer round trips than by sqlx's own:
//! one to read the history and one for all migrations that share a transaction, instead of five and
//! seven for each. Table and checksums are sqlx's, so either can go on where the other stopped.

use std::{
    collections::BTreeSet,
    fmt::Write,
    time::{Duration, Instant},
};

use futures::{TryStreamExt, future::BoxFuture};
use sqlx::{
    AssertSqlSafe, PgConnection, Row,
    migrate::{AppliedMigration, Migrate, MigrateError, Migration},
    postgres::{PgDatabaseError, PgErrorPosition},
};
use tokio_util::sync::CancellationToken;

use super::migration::is_backfill;
use crate::sql;

/// The longest rest between two runs of a backfill.
const LONGEST_REST: Duration = Duration::from_secs(5);

/// A connection whose transaction, if the migrations want one, is open already.
pub(super) struct Ledger<'c> {
    connection: &'c mut PgConnection,
    applied: Vec<AppliedMigration>,
    /// Migrations that count as applied where they are not.
    without: Vec<AppliedMigration>,
    dirty: Option<i64>,
    /// Backfills go on until then.
    stop: CancellationToken,
    batch: Batch,
    /// The versions that it found.
    pub(super) before: BTreeSet<i64>,
    /// Those and the ones it applied.
    pub(super) after: BTreeSet<i64>,
}

/// Migrations of one transaction, and the record of each, that go to the server as one message.
#[derive(Default)]
struct Batch {
    text: String,
    /// Each version, and how many characters the text has up to the end of its record.
    ends: Vec<(i64, usize)>,
}

/// What the row is called that says that a migration was applied and recorded.
pub(super) const APPLIED: &str = "tenantry_applied";

/// A statement that goes before a commit that is to be on disk, whatever the SQL before it has set.
pub(super) const WAIT_FOR_DISK: &str = "RESET synchronous_commit;";

/// The statement that records a migration; its row says so.
pub(super) fn record(table: &str, migration: &Migration, nanoseconds: &str) -> String {
    format!(
        "INSERT INTO {table} (version, description, success, checksum, execution_time) VALUES \
         ({version}, {description}, true, decode('{checksum}', 'hex'), {nanoseconds}) RETURNING version AS {APPLIED};",
        version = migration.version,
        description = sql::literal(&migration.description),
        checksum = sql::hex(&migration.checksum),
    )
}

impl<'c> Ledger<'c> {
    pub(super) fn new(connection: &'c mut PgConnection) -> Self {
        Self {
            connection,
            applied: Vec::new(),
            without: Vec::new(),
            stop: CancellationToken::new(),
            dirty: None,
            batch: Batch::default(),
            before: BTreeSet::new(),
            after: BTreeSet::new(),
        }
    }

    /// Passes over migrations that are not applied yet.
    pub(super) fn without<'m>(mut self, migrations: impl Iterator<Item = &'m Migration>) -> Self {
        let applied = |migration: &Migration| AppliedMigration {
            version: migration.version,
            checksum: migration.checksum.clone(),
        };
        self.without = migrations.map(applied).collect();
        self
    }

    /// Ends a backfill after the run at hand.
    pub(super) fn until(mut self, stop: &CancellationToken) -> Self {
        self.stop = stop.clone();
        self
    }

    /// Runs a file until it changes no row. In between it rests for as long as it took: where others are at work, it takes longer.
    async fn backfill(&mut self, text: &str) -> Result<(), sqlx::Error> {
        loop {
            let started = Instant::now();
            let done = sqlx::raw_sql(AssertSqlSafe(text.to_owned())).execute(&mut *self.connection).await?;
            if done.rows_affected() == 0 {
                return Ok(());
            }
            tokio::select! {
                () = tokio::time::sleep(started.elapsed().min(LONGEST_REST)) => {}
                () = self.stop.cancelled() => {
                    return Err(sqlx::Error::Protocol("the backfill was told to stop".into()));
                }
            }
        }
    }

    async fn run(&mut self, text: String) -> Result<(), sqlx::Error> {
        sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut *self.connection).await.map(drop)
    }

    /// Sends the migrations that [`Migrate::apply`] only collects. To be called before the commit.
    pub(super) async fn flush(&mut self) -> Result<(), MigrateError> {
        let Batch { text, ends } = std::mem::take(&mut self.batch);
        let mut applied = 0;
        let error = {
            let mut rows = sqlx::raw_sql(AssertSqlSafe(text)).fetch(&mut *self.connection);
            loop {
                match rows.try_next().await {
                    // Migrations may have rows of their own.
                    Ok(Some(row)) => {
                        if let Some((next, _)) = ends.get(applied)
                            && row.try_get(APPLIED).is_ok_and(|version: i64| version == *next)
                        {
                            applied += 1;
                            self.after.insert(*next);
                        }
                    }
                    Ok(None) if applied == ends.len() => return Ok(()),
                    // Its record was part of a comment or a string that it left open.
                    Ok(None) => break left_open(),
                    Err(error) => break error,
                }
            }
        };
        // The server parses the whole text before it runs any of it, and then says where it is wrong.
        let failed = position(&error)
            .and_then(|at| ends.iter().position(|(_, end)| at <= *end))
            .unwrap_or(applied)
            .min(ends.len().saturating_sub(1));
        let version = ends.get(failed).map_or(0, |(version, _)| *version);
        Err(MigrateError::ExecuteMigration(error, version))
    }
}

impl Batch {
    /// Adds a migration and its record.
    fn push(&mut self, table: &str, migration: &Migration) {
        // The time of a message is when it began; what those before took is not this one's.
        let before: Vec<_> = self.ends.iter().map(|(version, _)| version.to_string()).collect();
        let nanoseconds = format!(
            "(extract(epoch FROM clock_timestamp() - statement_timestamp()) * 1e9)::bigint \
             - (SELECT coalesce(sum(execution_time), 0) FROM {table} WHERE version = ANY ('{{{before}}}'))",
            before = before.join(",")
        );
        self.push_record(table, migration, migration.sql.as_str(), &nanoseconds);
    }

    fn push_record(&mut self, table: &str, migration: &Migration, text: &str, nanoseconds: &str) {
        let start = self.text.len();
        // On a line of its own, should the file end in a comment.
        let _ = write!(self.text, "{text}\n;\n{WAIT_FOR_DISK} {}\n", record(table, migration, nanoseconds));
        let characters = self.ends.last().map_or(0, |(_, end)| *end) + self.text[start..].chars().count();
        self.ends.push((migration.version, characters));
    }
}

/// Where in its text a statement failed, in characters from 1.
fn position(error: &sqlx::Error) -> Option<usize> {
    match error.as_database_error()?.try_downcast_ref::<PgDatabaseError>()?.position()? {
        PgErrorPosition::Original(at) => Some(at),
        PgErrorPosition::Internal { .. } => None,
    }
}

pub(super) fn left_open() -> sqlx::Error {
    sqlx::Error::Protocol("the migration leaves a comment or a string open".into())
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
            for migration in std::mem::take(&mut self.without) {
                if !self.before.contains(&migration.version) {
                    self.applied.push(migration);
                }
            }
            self.applied.sort_by_key(|migration| migration.version);
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
            if migration.no_tx {
                let failed = |e| MigrateError::ExecuteMigration(e, migration.version);
                let text = migration.sql.as_str();
                let ran = if is_backfill(text) {
                    self.backfill(text).await
                } else {
                    self.run(text.to_owned()).await
                };
                ran.map_err(failed)?;
                let nanoseconds = started.elapsed().as_nanos().to_string();
                self.batch.push_record(table, migration, "", &nanoseconds);
                self.flush().await?;
            } else {
                self.batch.push(table, migration);
            }
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
