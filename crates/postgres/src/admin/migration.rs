//! The app's migrations in a tenant's schema, through sqlx's migrator.
//!
//! Normally one transaction with one flush. A file that says `-- no-transaction` (`CREATE INDEX CONCURRENTLY`)
//! runs by itself after those before it are committed, on a connection that is thrown away afterwards; so does a
//! `-- backfill` of a tenant that has rows.

use std::collections::BTreeSet;

use sqlx::{
    AssertSqlSafe, PgConnection, SqlSafeStr,
    migrate::{Migrate, MigrateError, Migration, MigrationType, Migrator},
};
use tenantry_domain::{
    app::{App, AppVersion, Directive, has_directive},
    names::ObjectName,
};
use tokio_util::sync::CancellationToken;

use super::{
    AdminError, BatchLimits, ServerAdmin,
    connections::AdminConnection,
    data_audit::audit_tables,
    error::said,
    fence,
    ledger::{Ledger, WAIT_FOR_DISK},
    owner::Owner,
    owner_transaction::{Beginning, OwnerTransaction},
    schema::{become_owner, migrations_table as table, revoke_system_tables},
    users,
};
use crate::sql;

/// What a call of [`ServerAdmin::migrate`] or [`ServerAdmin::rollback`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationReport {
    /// The version before, if any.
    pub from: Option<AppVersion>,
    /// The version now, if any.
    pub to: Option<AppVersion>,
    /// The migrations that were applied, or taken back, in the order of their versions.
    pub applied: Vec<AppVersion>,
}

impl ServerAdmin {
    /// Brings a tenant's schema to a version of its app, the newest by default. A schema that is
    /// there already is left alone; one that is further is too (see [`ServerAdmin::rollback`]).
    pub async fn migrate(
        &self,
        database: &ObjectName,
        owner: Owner<'_>,
        app: &App,
        target: Option<AppVersion>,
    ) -> Result<MigrationReport, AdminError> {
        let connection = self.connection_for_tables(database, TASK).await?;
        self.migrate_on(connection, owner, "", app, target, How { seed: false, backfills: None }).await
    }

    /// As [`ServerAdmin::migrate`] to a version, within limits; on a connection that is closed afterwards.
    pub async fn migrate_to(
        &self,
        database: &ObjectName,
        owner: Owner<'_>,
        app: &App,
        target: AppVersion,
        limits: BatchLimits,
        stop: &CancellationToken,
    ) -> Result<MigrationReport, AdminError> {
        let connection = self.limited(database, limits).await?;
        let how = How { seed: false, backfills: Some(stop) };
        self.migrate_on(connection, owner, "", app, Some(target), how).await
    }

    /// As [`ServerAdmin::rollback`], within limits; on a connection that is closed afterwards.
    pub async fn roll_back_to(
        &self,
        database: &ObjectName,
        owner: Owner<'_>,
        app: &App,
        target: AppVersion,
        limits: BatchLimits,
    ) -> Result<MigrationReport, AdminError> {
        let mut connection = self.limited(database, limits).await?;
        self.rollback_on(&mut connection, owner, app, Some(target)).await
    }

    /// The version that a tenant's schema has, under the fence: whoever was at it before does nothing more.
    pub async fn fenced_version(
        &self,
        database: &ObjectName,
        owner: Owner<'_>,
    ) -> Result<Option<AppVersion>, AdminError> {
        let mut connection = self.connection_to(database, TASK).await?;
        let look = owner.check_schema();
        let begin = Beginning { schema: owner.name, fence: owner.fence, as_admin: &look, as_owner: "SELECT" };
        let newest = async {
            let mut transaction = OwnerTransaction::begin(&mut connection, begin).await?;
            let newest = format!("SELECT max(version) FROM {}", table(owner.name));
            let newest: Option<i64> = sqlx::query_scalar(AssertSqlSafe(newest))
                .persistent(false)
                .fetch_one(&mut *transaction)
                .await?;
            transaction.commit().await?;
            Ok(newest)
        };
        let newest = newest.await.map_err(|e: sqlx::Error| self.failed(TASK, e))?;
        Ok(newest.and_then(|number| AppVersion::try_from(number).ok()))
    }

    /// A connection whose statements have limits.
    async fn limited(
        &self,
        database: &ObjectName,
        limits: BatchLimits,
    ) -> Result<AdminConnection, AdminError> {
        let mut connection = self.connection_for_tables(database, TASK).await?;
        connection.close_on_drop();
        let set = format!(
            "SET lock_timeout = {}; SET statement_timeout = {}",
            limits.lock_timeout.as_millis(),
            limits.statement_timeout.as_millis()
        );
        sqlx::raw_sql(AssertSqlSafe(set))
            .execute(&mut *connection)
            .await
            .map_err(|e| self.failed(TASK, e))?;
        Ok(connection)
    }

    /// As [`ServerAdmin::migrate`], after statements of the admin in the same transaction; and inserts the
    /// app's default data where anything was applied.
    pub(super) async fn migrate_on(
        &self,
        mut connection: AdminConnection,
        owner: Owner<'_>,
        as_admin: &str,
        app: &App,
        target: Option<AppVersion>,
        how: How<'_>,
    ) -> Result<MigrationReport, AdminError> {
        let seed = app.seed.as_deref().filter(|_| how.seed);
        let migrator = migrator(owner.name, app, how.backfills.is_some());
        let replaced = target.or(app.version()).map(|target| app.replaced_until(target)).unwrap_or_default();
        let stop = how.backfills.cloned().unwrap_or_default();
        let run = Run { admin: self, owner, as_admin, app, seed, migrator, replaced, stop };
        let target = target.map(AppVersion::number);
        let wanted = |migration: &&Migration| target.is_none_or(|target| migration.version <= target);
        if run.migrator.iter().filter(wanted).any(|migration| migration.no_tx) {
            return run.up_in_parts(connection, target).await;
        }
        run.in_transaction(&mut connection, Direction::Up(target)).await
    }

    /// Takes migrations back until a version is the newest, by their down SQL, in one transaction.
    /// A migration without down SQL above the version refuses.
    pub async fn rollback(
        &self,
        database: &ObjectName,
        owner: Owner<'_>,
        app: &App,
        target: Option<AppVersion>,
    ) -> Result<MigrationReport, AdminError> {
        let mut connection = self.connection_for_tables(database, TASK).await?;
        self.rollback_on(&mut connection, owner, app, target).await
    }

    async fn rollback_on(
        &self,
        connection: &mut AdminConnection,
        owner: Owner<'_>,
        app: &App,
        target: Option<AppVersion>,
    ) -> Result<MigrationReport, AdminError> {
        let migrator = migrator(owner.name, app, false);
        let (replaced, stop) = (BTreeSet::new(), CancellationToken::new());
        let run = Run { admin: self, owner, as_admin: "", app, seed: None, migrator, replaced, stop };
        let target = target.map_or(0, AppVersion::number);
        run.in_transaction(connection, Direction::Down(target)).await
    }
}

/// What a migration does besides.
#[derive(Debug, Clone, Copy)]
pub(super) struct How<'a> {
    /// Inserts the app's default data where anything was applied.
    pub(super) seed: bool,
    /// Runs backfills until they change no row, or this says so: the tenant has some.
    pub(super) backfills: Option<&'a CancellationToken>,
}

impl How<'_> {
    /// A new tenant's.
    pub(super) const NEW: Self = Self { seed: true, backfills: None };
}

const TASK: &str = "migrate the tenant's schema";
const SEED: &str = "insert the app's default data";

/// Whether a file runs by itself, outside of a transaction.
pub fn needs_no_transaction(text: &str) -> bool {
    has_directive(text, Directive::NoTransaction)
}

/// Whether a file is run until it changes no row, each time by itself, where there are rows already.
pub(super) fn is_backfill(text: &str) -> bool {
    has_directive(text, Directive::Backfill)
}

/// Makes the migrator's table before it does, out of the tenant's reach, with the same columns, but
/// none that PostgreSQL would move out of line, and no key: those are three files less, of the twenty
/// or so that signing a tenant up makes, and whoever writes holds the schema's lock.
pub(super) fn ensure_table(schema: &ObjectName) -> String {
    let table = table(schema);
    sql::block(
        "",
        &format!(
            "IF to_regclass({name}) IS NULL THEN
                CREATE TABLE {table} (
                    version bigint NOT NULL,
                    installed_on timestamptz NOT NULL DEFAULT now(),
                    success boolean NOT NULL,
                    execution_time bigint NOT NULL);
                ALTER TABLE {table}
                    ADD COLUMN description text NOT NULL, ALTER COLUMN description SET STORAGE PLAIN,
                    ADD COLUMN checksum bytea NOT NULL, ALTER COLUMN checksum SET STORAGE PLAIN;
                IF to_regrole({role}) IS NOT NULL THEN REVOKE ALL ON {table} FROM {quoted}; END IF;
            END IF;",
            name = sql::literal(&table),
            role = sql::literal(schema.as_str()),
            quoted = schema.quoted(),
        ),
    )
}

///
/// `backfills`: whether those of a tenant with rows run by themselves.
pub(super) fn migrator(schema: &ObjectName, app: &App, backfills: bool) -> Migrator {
    let mut migrations = Vec::with_capacity(app.migrations.len() * 2);
    for migration in &app.migrations {
        migrations.push(of_sqlx(migration, MigrationType::ReversibleUp, &migration.up, backfills));
        if let Some(down) = &migration.down {
            migrations.push(of_sqlx(migration, MigrationType::ReversibleDown, down, backfills));
        }
    }
    let mut migrator = Migrator::with_migrations(migrations);
    // Its lock is one per database; ours is one per schema and is held already.
    migrator.set_locking(false);
    migrator.dangerous_set_table_name(table(schema));
    migrator
}

/// How a version's SQL is recorded.
pub(super) fn of_sqlx(
    migration: &tenantry_domain::app::Migration,
    kind: MigrationType,
    text: &str,
    backfills: bool,
) -> Migration {
    let no_tx = needs_no_transaction(text) || (backfills && is_backfill(text));
    let sql = AssertSqlSafe(text.to_owned()).into_sql_str();
    Migration::new(migration.version.number(), migration.name.clone().into(), kind, sql, no_tx)
}

#[derive(Clone, Copy)]
enum Direction {
    Up(Option<i64>),
    Down(i64),
}

struct Run<'a> {
    admin: &'a ServerAdmin,
    owner: Owner<'a>,
    /// Statements of PL/pgSQL that come first, as the admin.
    as_admin: &'a str,
    app: &'a App,
    /// The app's default data, if it is to be inserted.
    seed: Option<&'a str>,
    migrator: Migrator,
    /// Versions that a tenant without them does not get.
    replaced: BTreeSet<AppVersion>,
    /// Backfills go on until then.
    stop: CancellationToken,
}

impl Run<'_> {
    fn ledger<'c>(&self, connection: &'c mut PgConnection) -> Ledger<'c> {
        let replaced = |migration: &&Migration| {
            !migration.migration_type.is_down_migration()
                && self.replaced.iter().any(|version| version.number() == migration.version)
        };
        Ledger::new(connection).without(self.migrator.iter().filter(replaced)).until(&self.stop)
    }

    /// Statements that come last: the tables of users, which no migration has seen then, that Tenantry's own tables are not
    /// the tenant's, and that new ones are audited as the others are.
    fn own_tables(&self) -> String {
        let schema = self.owner.name;
        let revoke = sql::block("", &format!("{} {}", revoke_system_tables(schema), audit_tables(schema)));
        let users = match self.app.manifest.registration {
            Some(_) => users::ensure_tables(schema) + ";",
            None => String::new(),
        };
        format!("{WAIT_FOR_DISK} {users} {revoke}")
    }

    async fn in_transaction(
        &self,
        connection: &mut AdminConnection,
        direction: Direction,
    ) -> Result<MigrationReport, AdminError> {
        let schema = self.owner.name;
        let beginning = Beginning {
            schema,
            fence: self.owner.fence,
            as_admin: self.as_admin,
            as_owner: &ensure_table(schema),
        };
        let mut transaction =
            OwnerTransaction::begin(connection, beginning).await.map_err(|e| self.failed(e.into()))?;
        let report = match direction {
            Direction::Up(target) => {
                let mut ledger = self.ledger(&mut transaction);
                let done = self.migrator.run_direct(target, &mut ledger, false).await;
                done.map_err(|e| self.failed(e))?;
                ledger.flush().await.map_err(|e| self.failed(e))?;
                report(&ledger.before, &ledger.after)
            }
            Direction::Down(target) => {
                let before = self.versions(&mut transaction).await?;
                self.reversible(&before, target)?;
                // As `Migrator::undo` does, whose future is `Send` for one lifetime only.
                let downs = self.migrator.iter().rev().filter(|migration| {
                    migration.migration_type.is_down_migration()
                        && migration.version > target
                        && before.contains(&migration.version)
                });
                for migration in downs {
                    let done =
                        Ledger::new(&mut transaction).revert(&self.migrator.table_name, migration).await;
                    done.map_err(|e| self.failed(e))?;
                }
                report(&before, &self.versions(&mut transaction).await?)
            }
        };
        if let Some(seed) = self.seed.filter(|_| !report.applied.is_empty()) {
            transaction.run(seed.to_owned()).await.map_err(|e| self.admin.failed(SEED, e))?;
        }
        transaction.commit_after(&self.own_tables()).await.map_err(|e| self.failed(e.into()))?;
        Ok(report)
    }

    /// Migrations that need no transaction each alone, the others in transactions between them.
    async fn up_in_parts(
        &self,
        mut connection: AdminConnection,
        target: Option<i64>,
    ) -> Result<MigrationReport, AdminError> {
        // It changes its role, which ends with it.
        connection.close_on_drop();
        // Noted under the fence: a later attempt ends this session before it goes on.
        let note = self.owner.fence.map_or_else(String::new, fence::Fence::note_session);
        let body = format!("{} {note} NULL;", self.as_admin);
        self.execute(&mut connection, fence::block(self.owner.fence, "found_mark text;", &body)).await?;
        self.execute(&mut connection, become_owner(self.owner.name, "SET")).await?;
        self.execute(&mut connection, ensure_table(self.owner.name)).await?;
        let before = self.versions(&mut connection).await?;

        let ups: Vec<_> = self
            .migrator
            .iter()
            .filter(|migration| !migration.migration_type.is_down_migration())
            .filter(|migration| target.is_none_or(|target| migration.version <= target))
            .collect();
        for part in ups.chunk_by(|a, b| !a.no_tx && !b.no_tx) {
            let last = part.last().map(|migration| migration.version);
            let is_done = |migration: &&Migration| {
                before.contains(&migration.version)
                    || self.replaced.iter().any(|version| version.number() == migration.version)
            };
            if part.iter().all(is_done) {
                continue;
            }
            if part.iter().any(|migration| migration.no_tx) {
                // What an attempt has left that failed, or whose worker died.
                self.drop_invalid_indexes(&mut connection).await?;
                let done = self.migrator.run_direct(last, &mut self.ledger(&mut connection), false).await;
                if let Err(error) = done {
                    let error = self.failed(error);
                    if let Err(left) = self.drop_invalid_indexes(&mut connection).await {
                        tracing::debug!(%left, "an invalid index stays until the next try");
                    }
                    return Err(error);
                }
            } else {
                self.part_in_transaction(&mut connection, last).await?;
            }
        }
        // Checks the checksums also where there was nothing to do.
        let after = self.part_in_transaction(&mut connection, target).await?;
        debug_assert!(after.applied.is_empty(), "all parts were applied before");
        if let Some(seed) = self.seed {
            self.execute(&mut connection, format!("BEGIN; {seed}\n; {WAIT_FOR_DISK} COMMIT")).await?;
        }
        self.execute(&mut connection, self.own_tables()).await?;
        let versions = self.versions(&mut connection).await?;
        Ok(report(&before, &versions))
    }

    /// Drops indexes that `CREATE INDEX CONCURRENTLY` did not finish: the file makes them anew.
    async fn drop_invalid_indexes(&self, connection: &mut PgConnection) -> Result<(), AdminError> {
        let find = "SELECT format('%I.%I', $1, relname) FROM pg_index
            JOIN pg_depend ON objid = indrelid AND classid = 'pg_class'::regclass
                AND refclassid = 'pg_namespace'::regclass AND refobjid = to_regnamespace(quote_ident($1))
            JOIN pg_class ON pg_class.oid = indexrelid AND relnamespace = refobjid
            WHERE relkind = 'i' AND NOT indisvalid";
        let invalid: Vec<String> = sqlx::query_scalar(find)
            .bind(self.owner.name.as_str())
            .persistent(false)
            .fetch_all(&mut *connection)
            .await
            .map_err(|e| self.failed(e.into()))?;
        for index in invalid {
            self.execute(connection, format!("DROP INDEX CONCURRENTLY IF EXISTS {index}")).await?;
        }
        Ok(())
    }

    /// Some of the migrations in a transaction of a session that is the owner already.
    async fn part_in_transaction(
        &self,
        connection: &mut AdminConnection,
        target: Option<i64>,
    ) -> Result<MigrationReport, AdminError> {
        self.execute(connection, "BEGIN".into()).await?;
        let mut ledger = self.ledger(connection);
        let done = self.migrator.run_direct(target, &mut ledger, false).await;
        done.map_err(|e| self.failed(e))?;
        ledger.flush().await.map_err(|e| self.failed(e))?;
        let report = report(&ledger.before, &ledger.after);
        self.execute(connection, "COMMIT".into()).await?;
        Ok(report)
    }

    async fn versions(&self, connection: &mut PgConnection) -> Result<BTreeSet<i64>, AdminError> {
        let versions = format!("SELECT version FROM {}", table(self.owner.name));
        let versions: Vec<i64> = sqlx::query_scalar(AssertSqlSafe(versions))
            .persistent(false)
            .fetch_all(connection)
            .await
            .map_err(|e| self.failed(e.into()))?;
        Ok(versions.into_iter().collect())
    }

    /// sqlx takes back what has down SQL and passes over the rest, which would leave a schema that
    /// is neither version.
    fn reversible(&self, applied: &BTreeSet<i64>, target: i64) -> Result<(), AdminError> {
        let stuck = self.app.migrations.iter().find(|migration| {
            let version = migration.version.number();
            version > target && applied.contains(&version) && migration.down.is_none()
        });
        match stuck {
            Some(migration) => Err(self.history(MigrateError::VersionNotPresent(migration.version.number()))),
            None => Ok(()),
        }
    }

    async fn execute(&self, connection: &mut PgConnection, text: String) -> Result<(), AdminError> {
        let done = sqlx::raw_sql(AssertSqlSafe(text)).execute(connection).await;
        done.map(drop).map_err(|e| self.failed(e.into()))
    }

    fn history(&self, source: MigrateError) -> AdminError {
        AdminError::History {
            server: self.admin.server.clone(),
            app: self.app.name.as_str().into(),
            schema: self.owner.name.as_str().into(),
            source: Box::new(source),
        }
    }

    fn failed(&self, error: MigrateError) -> AdminError {
        match error {
            MigrateError::ExecuteMigration(source, version) => {
                let (code, message) = said(&source).unwrap_or_else(|| (String::new(), source.to_string()));
                AdminError::Migration {
                    server: self.admin.server.clone(),
                    app: self.app.name.as_str().into(),
                    schema: self.owner.name.as_str().into(),
                    version,
                    code,
                    message,
                    source: Box::new(source),
                }
            }
            MigrateError::Execute(source) => self.admin.failed(TASK, source),
            other => self.history(other),
        }
    }
}

fn report(before: &BTreeSet<i64>, after: &BTreeSet<i64>) -> MigrationReport {
    let version = |number: &i64| AppVersion::try_from(*number).ok();
    MigrationReport {
        from: before.last().and_then(version),
        to: after.last().and_then(version),
        applied: before.symmetric_difference(after).filter_map(version).collect(),
    }
}
