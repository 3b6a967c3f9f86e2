//! Many tenants' schemas of one database, migrated by one connection in few messages.
//!
//! Each tenant is a transaction of its own: its fence, a look at what its schema has, the SQL, the record of it. Some tenants'
//! transactions go to the server as one message, which stops at the first that fails.
//!
//! Of a message only the last commit waits for the disk (and for standbys, where commits do), whatever the SQL has set: those before
//! it are there as soon as it is. Nobody is told of a commit before that. If each commit waited, a column and an index would take a
//! quarter longer.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    time::{Duration, Instant},
};

use futures::TryStreamExt;
use rand::Rng;
use sqlx::{AssertSqlSafe, Row, migrate::MigrationType};
use tenantry_domain::{
    app::{App, AppName, AppVersion, Migration},
    names::{ObjectName, SYSTEM_TABLE_PREFIX},
};

use super::{
    AdminError, ServerAdmin,
    connections::{AdminConnection, CLEAN},
    data_audit::audit_tables,
    error::{ended_session, passes, said},
    fence::{self, Fence, UNLIKE},
    ledger::{self, APPLIED, WAIT_FOR_DISK, record},
    migration::{is_backfill, needs_no_transaction, of_sqlx},
    schema::{become_owner, migrations_table, revoke_system_tables},
};
use crate::sql;

/// A tenant whose schema goes from one version to another.
#[derive(Debug, Clone, Copy)]
pub struct BatchItem<'a> {
    /// By what whoever asked knows it.
    pub number: usize,
    /// The schema.
    pub schema: &'a ObjectName,
    /// The mark on it: see [`Owner`](super::Owner).
    pub mark: &'a str,
    /// The proof that it may be migrated.
    pub fence: Fence,
    /// Whether new tables are to be audited.
    pub is_audited: bool,
    /// The version that it is to have before; with any other nothing is done.
    pub from: AppVersion,
    /// The version that it is to have.
    pub to: AppVersion,
}

/// What a batch may take.
#[derive(Debug, Clone, Copy)]
pub struct BatchLimits {
    /// How long a statement waits for a lock.
    pub lock_timeout: Duration,
    /// How long a statement may take; zero: for ever.
    pub statement_timeout: Duration,
}

/// A connection on which batches follow one another: it knows the functions and catalogs that they use, which a new one reads in
/// as much time as some ten tenants take.
#[derive(Default)]
pub struct BatchSession(Option<Kept>);

/// A connection between two batches.
struct Kept {
    connection: AdminConnection,
    database: ObjectName,
    app: AppName,
    since: Instant,
    /// Tenants that the next message has.
    size: usize,
    /// Tenants that were migrated on it.
    tenants: usize,
}

impl BatchSession {
    /// Closes it: what comes next has connections of its own.
    pub fn close(&mut self) {
        self.0 = None;
    }
}

/// What became of a tenant of a batch.
#[derive(Debug)]
pub enum BatchEnd {
    /// It has its version.
    Migrated,
    /// Its schema has not the version that it was to have before; it is as it was.
    Unlike,
    /// It could not be migrated, and is as it was.
    Failed(AdminError),
    /// The connection was lost, and whether it was migrated is not known.
    Unknown(AdminError),
    /// Its turn did not come.
    Untouched,
}

const TASK: &str = "migrate the tenant's schema";

/// What the row is called that says that a tenant's transaction is committed.
const COMMITTED: &str = "tenantry_committed";

/// Tenants that share a message, at most.
const IN_A_MESSAGE: usize = 32;

/// A session is closed after so many tenants: it keeps a description of every table that it has met.
const IN_A_SESSION: usize = 512;

/// A message that takes longer than this has fewer tenants the next time: no tenant is held for long after its own turn, and who
/// asked is heard in between.
const LONG_MESSAGE: Duration = Duration::from_millis(100);

/// Whether a tenant can be migrated in a batch: each version in one transaction, and in one statement's time.
pub fn fits_in_batch(app: &App, from: AppVersion, to: AppVersion) -> bool {
    // On the way down it depends on the tenant which of them it has.
    let replaced = app.replaced_until(from.max(to));
    carried(app, from, to).all(|migration| {
        let text = if from <= to { Some(&migration.up) } else { migration.down.as_ref() };
        text.is_some_and(|text| !needs_no_transaction(text) && !is_backfill(text))
            && (from <= to || !replaced.contains(&migration.version))
    })
}

/// The versions that a tenant of one version gets on its way to another, or loses on its way back, in their order.
pub fn carried(app: &App, from: AppVersion, to: AppVersion) -> impl DoubleEndedIterator<Item = &Migration> {
    let (after, last) = (from.min(to), from.max(to));
    let replaced = if from <= to { app.replaced_until(to) } else { BTreeSet::new() };
    app.migrations.iter().filter(move |migration| {
        migration.version > after && migration.version <= last && !replaced.contains(&migration.version)
    })
}

/// Whether SQL may give rights: by name, or by text that is put together. Taking them back takes as long as a small migration.
fn may_grant(sql: &str) -> bool {
    let sql = sql.to_ascii_lowercase();
    ["grant", "execute", "privileges", SYSTEM_TABLE_PREFIX].iter().any(|word| sql.contains(word))
}

impl ServerAdmin {
    /// Migrates tenants whose schemas are in one database, up or down, each in a transaction of its own. `next` gives as many as it is
    /// asked for, or fewer, which are sent at once; none: that is all. `ended` is told what became of each. Ends at the first that
    /// fails for good, so that whoever asked may look at it before more do. `session` is that of the batch before, if it serves.
    ///
    /// # Errors
    /// There is no connection; those that were asked for before have been told of.
    pub async fn migrate_batch<'a>(
        &self,
        session: &mut BatchSession,
        database: &ObjectName,
        app: &App,
        limits: BatchLimits,
        mut next: impl FnMut(usize) -> Vec<BatchItem<'a>> + Send,
        mut ended: impl FnMut(usize, BatchEnd) + Send,
    ) -> Result<(), AdminError> {
        let mut plan = Plan { app, limits, ways: BTreeMap::new() };
        // While it is used it is nowhere but here: given up half-way, it is closed.
        let mut held = self.that_serves(session.0.take(), database, app).await;
        loop {
            let mut kept = match held.take() {
                Some(kept) => kept,
                None => self.session_for_batch(database, app).await?,
            };
            let items = next(kept.size);
            if items.is_empty() {
                session.0 = Some(kept);
                return Ok(());
            }
            let sent = Instant::now();
            let mut ends = Vec::with_capacity(items.len());
            let failed = self.message(&mut kept.connection, &mut plan, &items, &mut ends).await;
            if failed {
                self.bring_to_disk(&mut kept.connection, &mut ends).await;
            }
            kept.tenants += items.len();
            kept.since = Instant::now();
            kept.size = if sent.elapsed() < LONG_MESSAGE {
                (kept.size * 4).min(IN_A_MESSAGE)
            } else {
                (kept.size / 2).max(1)
            };
            if !failed && kept.tenants < IN_A_SESSION {
                held = Some(kept);
            }
            let stops = ends.last().is_some_and(|end| match end {
                BatchEnd::Failed(error) => !error.is_transient(),
                BatchEnd::Unknown(_) => true,
                BatchEnd::Migrated | BatchEnd::Unlike | BatchEnd::Untouched => false,
            });
            ends.resize_with(items.len(), || BatchEnd::Untouched);
            for (item, end) in items.iter().zip(ends) {
                ended(item.number, end);
            }
            if stops {
                return Ok(());
            }
        }
    }

    /// A session that serves for tenants of a database and an app: nothing that one app's SQL leaves in it meets another's.
    async fn that_serves(&self, session: Option<Kept>, database: &ObjectName, app: &App) -> Option<Kept> {
        let mut kept = session.filter(|kept| kept.database == *database && kept.app == app.name)?;
        kept.connection.be_watched();
        kept.connection.serves_again(&self.connections, kept.since.elapsed()).await.then_some(kept)
    }

    /// A connection to a database whose functions are of this release. The shared one's are, since the server was prepared.
    async fn session_for_batch(&self, database: &ObjectName, app: &App) -> Result<Kept, AdminError> {
        let mut connection = self.connection_for_tables(database, TASK).await?;
        // It has met the tables of many tenants by then.
        connection.close_on_drop();
        if database != self.shared_database() {
            sqlx::raw_sql(AssertSqlSafe(sql::block("", &fence::renew())))
                .execute(&mut *connection)
                .await
                .map_err(|error| self.failed(TASK, error))?;
        }
        let (database, app) = (database.clone(), app.name.clone());
        Ok(Kept { connection, database, app, since: Instant::now(), size: 1, tenants: 0 })
    }

    /// Sends some tenants' transactions; true if one of them failed, which is the last that `ends` tells of. Where the connection is
    /// lost, it is one of those that `ends` tells of from then on: they may have been migrated all the same.
    async fn message(
        &self,
        connection: &mut AdminConnection,
        plan: &mut Plan<'_>,
        items: &[BatchItem<'_>],
        ends: &mut Vec<BatchEnd>,
    ) -> bool {
        // No row of a version's SQL is taken for it by chance.
        let nonce = format!("{:016x}{:016x}", rand::rng().next_u64(), rand::rng().next_u64());
        let text = items.iter().enumerate().fold(String::new(), |mut text, (number, item)| {
            plan.push(&mut text, item, &mark(&nonce, number), number + 1 == items.len());
            text
        });
        let mut committed = 0;
        let mut applied = 0;
        let error = {
            let mut rows = sqlx::raw_sql(AssertSqlSafe(text)).fetch(&mut **connection);
            loop {
                match rows.try_next().await {
                    Ok(Some(row)) => {
                        let is_next = |text: String| text == mark(&nonce, committed);
                        if row.try_get(APPLIED).is_ok_and(|_: i64| true) {
                            applied += 1;
                        } else if committed < items.len() && row.try_get(COMMITTED).is_ok_and(is_next) {
                            committed += 1;
                            applied = 0;
                            ends.push(BatchEnd::Migrated);
                        }
                    }
                    Ok(None) if committed == items.len() => return false,
                    Ok(None) => break ledger::left_open(),
                    Err(error) => break error,
                }
            }
        };
        let Some(item) = items.get(committed) else { return true };
        let left_open = matches!(&error, sqlx::Error::Protocol(_));
        match said(&error) {
            Some((code, _)) if code == UNLIKE => ends.push(BatchEnd::Unlike),
            // The server ended the session, or said nothing: the last commit may have come through.
            Some(_) if ended_session(&error) => self.lost(&items[committed..], &error, ends),
            None if !left_open => self.lost(&items[committed..], &error, ends),
            _ => ends.push(BatchEnd::Failed(self.batch_failure(plan.app, item, applied, error))),
        }
        true
    }

    /// Makes sure that the commits of a message that failed are on disk, or says that it is not known.
    async fn bring_to_disk(&self, connection: &mut AdminConnection, ends: &mut [BatchEnd]) {
        let is_committed = |end: &BatchEnd| matches!(end, BatchEnd::Migrated);
        if !ends.iter().any(is_committed) {
            return;
        }
        let is_lost = ends.iter().any(|end| matches!(end, BatchEnd::Unknown(_)));
        let error = if is_lost {
            Some("the connection was lost".to_owned())
        } else {
            // A commit that waits for the disk brings there what was committed before it; one that has written nothing
            // does not wait.
            let commit = "ROLLBACK; RESET ROLE; RESET ALL; SELECT pg_catalog.pg_logical_emit_message(true, 'tenantry', '')";
            sqlx::raw_sql(commit).execute(&mut **connection).await.err().map(|error| error.to_string())
        };
        let Some(error) = error else { return };
        for end in ends.iter_mut().filter(|end| is_committed(end)) {
            let error = sqlx::Error::Io(std::io::Error::other(error.clone()));
            *end = BatchEnd::Unknown(self.failed(TASK, error));
        }
    }

    /// Of these it is not known how far they came.
    fn lost(&self, items: &[BatchItem<'_>], error: &sqlx::Error, ends: &mut Vec<BatchEnd>) {
        for _ in items {
            let error = sqlx::Error::Io(std::io::Error::other(error.to_string()));
            ends.push(BatchEnd::Unknown(self.failed(TASK, error)));
        }
    }

    /// An error of a tenant's transaction, in which so many versions were applied before.
    fn batch_failure(
        &self,
        app: &App,
        item: &BatchItem<'_>,
        applied: usize,
        error: sqlx::Error,
    ) -> AdminError {
        let version = if item.from <= item.to {
            carried(app, item.from, item.to).nth(applied)
        } else {
            carried(app, item.from, item.to).rev().nth(applied)
        };
        let (Some((code, message)), Some(version)) = (said(&error), version) else {
            return self.failed(TASK, error);
        };
        // Those of Tenantry's own are no fault of the version.
        if code.starts_with("TNY") || passes(&error) {
            return self.failed(TASK, error);
        }
        AdminError::Migration {
            server: self.server.clone(),
            app: app.name.as_str().into(),
            schema: item.schema.as_str().into(),
            version: version.version.number(),
            code,
            message,
            source: Box::new(error),
        }
    }
}

/// What the row says that follows a tenant's commit.
fn mark(nonce: &str, number: usize) -> String {
    format!("{nonce} {number}")
}

/// What tenants of a batch have in common.
struct Plan<'a> {
    app: &'a App,
    limits: BatchLimits,
    ways: BTreeMap<(AppVersion, AppVersion), Way>,
}

/// From one version to another.
struct Way {
    steps: Vec<Step>,
    /// The SQL may give rights on Tenantry's own tables.
    may_grant: bool,
}

/// A version on the way.
enum Step {
    Up(sqlx::migrate::Migration),
    Down { version: AppVersion, sql: String },
}

impl Way {
    fn new(app: &App, from: AppVersion, to: AppVersion) -> Self {
        let down = |migration: &Migration| Step::Down {
            version: migration.version,
            sql: migration.down.clone().unwrap_or_default(),
        };
        let steps: Vec<_> = if from <= to {
            carried(app, from, to)
                .map(|migration| {
                    Step::Up(of_sqlx(migration, MigrationType::ReversibleUp, &migration.up, false))
                })
                .collect()
        } else {
            carried(app, from, to).rev().map(down).collect()
        };
        let may_grant = steps.iter().any(|step| match step {
            Step::Up(migration) => may_grant(migration.sql.as_str()),
            Step::Down { sql, .. } => may_grant(sql),
        });
        Self { steps, may_grant }
    }
}

impl Plan<'_> {
    /// Adds a tenant's transaction. `is_last`: its commit waits for the disk, the others' do not.
    fn push(&mut self, text: &mut String, item: &BatchItem<'_>, mark: &str, is_last: bool) {
        let way =
            self.ways.entry((item.from, item.to)).or_insert_with(|| Way::new(self.app, item.from, item.to));
        let table = migrations_table(item.schema);
        let own = become_owner(item.schema, "SET LOCAL");
        let _ = write!(
            text,
            "BEGIN; {begin};\nSET LOCAL lock_timeout = {lock}; SET LOCAL statement_timeout = {statement}; {own};\n",
            begin = item.fence.begin_migration(item.schema, item.mark, item.from),
            lock = self.limits.lock_timeout.as_millis(),
            statement = self.limits.statement_timeout.as_millis(),
        );
        for step in &way.steps {
            let _ = match step {
                Step::Up(migration) => writeln!(
                    text,
                    "{}\n;\n{own}; {}",
                    migration.sql.as_str(),
                    record(&table, migration, "-1"),
                ),
                Step::Down { version, sql } => writeln!(
                    text,
                    "{sql}\n;\n{own}; DELETE FROM {table} WHERE version = {version} RETURNING version AS {APPLIED};",
                ),
            };
        }
        if way.may_grant {
            let _ = writeln!(text, "{};", sql::block("", &revoke_system_tables(item.schema)));
        }
        if item.is_audited {
            let _ = writeln!(text, "{};", sql::block("", &audit_tables(item.schema)));
        }
        let mark = sql::literal(mark);
        let commit = if is_last { WAIT_FOR_DISK } else { "SET LOCAL synchronous_commit = off;" };
        // What a migration leaves in its session is not to meet the next tenant's, nor the next message: that is read as a whole
        // before any of it is done. In a transaction that ends: the next one begins as the settings say then.
        let _ = writeln!(text, "{commit} COMMIT; SELECT {mark} AS {COMMITTED}; BEGIN; {CLEAN} COMMIT;");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        embedded::{Durability, EmbeddedConfig, EmbeddedPostgres, SearchPath},
        fixture::{Bench, app, mark, owner_at},
    };

    const LIMITS: BatchLimits =
        BatchLimits { lock_timeout: Duration::from_secs(5), statement_timeout: Duration::ZERO };

    fn version(number: i64) -> AppVersion {
        AppVersion::try_from(number).unwrap()
    }

    /// Migrates tenants from one version to another; how many were.
    async fn migrate(
        bench: &Bench,
        session: &mut BatchSession,
        app: &App,
        tenants: &[ObjectName],
        (from, to): (i64, i64),
    ) -> usize {
        let marks: Vec<_> = tenants.iter().map(mark).collect();
        let mut waiting = 0..tenants.len();
        let next = |most: usize| -> Vec<BatchItem<'_>> {
            let item = |number: usize| {
                let (schema, mark) = (&tenants[number], &*marks[number]);
                let fence = owner_at(schema, mark, 1).fence.unwrap();
                let (from, to) = (version(from), version(to));
                BatchItem { number, schema, mark, fence, is_audited: false, from, to }
            };
            waiting.by_ref().take(most).map(item).collect()
        };
        let mut migrated = 0;
        let ended = |_, end| migrated += usize::from(matches!(end, BatchEnd::Migrated));
        bench.admin.migrate_batch(session, &bench.database, app, LIMITS, next, ended).await.unwrap();
        migrated
    }

    #[tokio::test]
    async fn what_the_sql_of_one_tenant_leaves_in_the_session_is_not_met_by_the_next() {
        let bench = Bench::new("batch_clean").await;
        let leaves = "INSERT INTO words VALUES ('é', 'a\\b', current_setting('transaction_isolation'));
            SET client_encoding = 'LATIN1'; SET standard_conforming_strings = off;
            SET default_transaction_isolation = serializable; CREATE TEMP TABLE words (LIKE words)";
        let versions =
            app(&[("CREATE TABLE words (one text, other text, isolation text)", None), (leaves, None)]);
        let mut old = versions.clone();
        old.migrations.truncate(1);
        let mut tenants = Vec::new();
        for number in 0..3 {
            tenants.push(bench.tenant(&format!("tenant_batch_clean{number}"), &old).await);
        }
        let mut session = BatchSession::default();
        // The first message has the first, the second one the others.
        assert_eq!(migrate(&bench, &mut session, &versions, &tenants, (1, 2)).await, 3);
        let mut connection = bench.admin.connection("look").await.unwrap();
        for tenant in &tenants {
            let words = format!("SELECT one, other, isolation FROM {}.words", tenant.quoted());
            let words = sqlx::query_as(AssertSqlSafe(words)).persistent(false).fetch_all(&mut *connection);
            let words: Vec<(String, String, String)> = words.await.unwrap();
            let as_written = ("é".to_owned(), "a\\b".to_owned(), "read committed".to_owned());
            assert_eq!(words, [as_written], "{tenant}");
        }
    }

    #[tokio::test]
    async fn a_session_goes_on_with_the_next_batch_unless_that_is_another_apps_or_somebody_waits() {
        let bench = Bench::with_one_connection("batch_session").await;
        let tell = ("INSERT INTO backends VALUES (pg_backend_pid())", None);
        let versions = app(&[("CREATE TABLE backends (pid int)", None), tell, tell, tell, tell]);
        let mut old = versions.clone();
        old.migrations.truncate(1);
        let tenants = [bench.tenant("tenant_batch_session", &old).await];
        let others = App { name: AppName::parse("others").unwrap(), ..versions.clone() };

        let mut session = BatchSession::default();
        for (app, to) in [(&versions, 2), (&versions, 3), (&others, 4)] {
            assert_eq!(migrate(&bench, &mut session, app, &tenants, (to - 1, to)).await, 1);
        }
        let somebody = async { drop(bench.admin.connection("wait").await.unwrap()) };
        let ((), migrated) = tokio::join!(somebody, migrate(&bench, &mut session, &others, &tenants, (4, 5)));
        assert_eq!(migrated, 1);
        session.close();

        let mut connection = bench.admin.connection("look").await.unwrap();
        let told = format!("SELECT pid FROM {}.backends ORDER BY ctid", tenants[0].quoted());
        let told = sqlx::query_scalar(AssertSqlSafe(told)).persistent(false);
        let backends: Vec<i32> = told.fetch_all(&mut *connection).await.unwrap();
        let [first, second, of_others, after_waiting] = backends[..] else { panic!("{backends:?}") };
        assert_eq!(first, second);
        assert!(second != of_others && of_others != after_waiting, "{backends:?}");
    }

    #[tokio::test]
    async fn a_server_that_crashes_has_all_that_is_told_of_as_migrated() {
        let parent = tempfile::tempdir().unwrap();
        let config = EmbeddedConfig {
            durability: Durability::Full,
            ..EmbeddedConfig::new(parent.path().join("server"), SearchPath::default())
        };
        let mut server = EmbeddedPostgres::start(config.clone()).await.unwrap();
        let mut bench = Bench::on(&server, "batch").await;
        // Nobody else brings what is committed to disk.
        for setting in ["ALTER SYSTEM SET wal_writer_delay = '10s'", "SELECT pg_reload_conf()"] {
            bench.admin.run("set up", setting.to_owned()).await.unwrap();
        }
        let versions = app(&[
            ("CREATE TABLE notes (word text)", None),
            // As whoever changes much is used to.
            ("SET synchronous_commit = off; ALTER TABLE notes ADD COLUMN length int", None),
            ("ALTER TABLE notes ADD CHECK (word <> 'bad'); SET LOCAL synchronous_commit = off", None),
        ]);
        let mut old = versions.clone();
        old.migrations.truncate(1);
        let mut tenants = Vec::new();
        for number in 0..8 {
            tenants.push(bench.tenant(&format!("tenant_batch{number}"), &old).await);
        }
        // The second message has the second to the fifth.
        let fill = format!("INSERT INTO {}.notes VALUES ('bad')", tenants[3].quoted());
        bench.admin.run("fill", fill).await.unwrap();
        let marks: Vec<_> = tenants.iter().map(mark).collect();
        for (from, to, done) in [(1, 2, 8), (2, 3, 3)] {
            let session = &mut BatchSession::default();
            let migrated = migrate(&bench, session, &versions, &tenants, (from, to)).await;
            assert_eq!(migrated, done);

            server.stop_immediately().await.unwrap();
            server = EmbeddedPostgres::start(config.clone()).await.unwrap();
            bench = Bench::on(&server, "batch").await;
            for (tenant, mark) in tenants.iter().zip(&marks).take(done) {
                let owner = owner_at(tenant, mark, 1);
                let found = bench.admin.fenced_version(&bench.database, owner).await.unwrap();
                assert_eq!(found, Some(version(to)), "{tenant}");
            }
        }
        // One by one, too.
        let owner = owner_at(&tenants[7], &marks[7], 1);
        let stop = tokio_util::sync::CancellationToken::new();
        let alone = bench.admin.migrate_to(&bench.database, owner, &versions, version(3), LIMITS, &stop);
        assert_eq!(alone.await.unwrap().to, Some(version(3)));
        server.stop_immediately().await.unwrap();
        server = EmbeddedPostgres::start(config).await.unwrap();
        bench = Bench::on(&server, "batch").await;
        let found = bench.admin.fenced_version(&bench.database, owner).await.unwrap();
        assert_eq!(found, Some(version(3)));
        server.stop().await.unwrap();
    }
}
