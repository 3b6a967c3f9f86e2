//! The app's migrations in a tenant's schema, through sqlx's migrator.
//!
//! Normally one transaction with one flush. A file whose first line is `-- no-transaction` (`CREATE
//! INDEX CONCURRENTLY`) runs by itself after those before it are committed, on a connection that is
//! thrown away afterwards.

use std::collections::BTreeSet;

use sqlx::{
    AssertSqlSafe, PgConnection, Postgres, SqlSafeStr,
    migrate::{Migrate, MigrateError, Migration, MigrationType, Migrator},
    pool::PoolConnection,
};
use tenantry_domain::{
    app::{App, AppVersion},
    names::ObjectName,
};

use super::{
    AdminError, MIGRATIONS_TABLE, ServerAdmin, error::said, ledger::Ledger,
    owner_transaction::OwnerTransaction, schema::lock_name,
};
use crate::sql;

const NO_TRANSACTION: &str = "-- no-transaction";

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
        schema: &ObjectName,
        app: &App,
        target: Option<AppVersion>,
    ) -> Result<MigrationReport, AdminError> {
        let connection = self.connection(database.as_str(), TASK).await?;
        self.migrate_on(connection, schema, app, target).await
    }

    pub(super) async fn migrate_on(
        &self,
        mut connection: PoolConnection<Postgres>,
        schema: &ObjectName,
        app: &App,
        target: Option<AppVersion>,
    ) -> Result<MigrationReport, AdminError> {
        let run = Run { admin: self, schema, app, migrator: migrator(schema, app) };
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
        schema: &ObjectName,
        app: &App,
        target: Option<AppVersion>,
    ) -> Result<MigrationReport, AdminError> {
        let run = Run { admin: self, schema, app, migrator: migrator(schema, app) };
        let mut connection = self.connection(database.as_str(), TASK).await?;
        let target = target.map_or(0, AppVersion::number);
        run.in_transaction(&mut connection, Direction::Down(target)).await
    }
}

const TASK: &str = "migrate the tenant's schema";

fn table(schema: &ObjectName) -> String {
    format!("{}.\"{MIGRATIONS_TABLE}\"", schema.quoted())
}

/// Makes the migrator's table before it does, out of the tenant's reach, with the same columns, but
/// none that PostgreSQL would move out of line, and no key: those are three files less, of the twenty
/// or so that signing a tenant up makes, and whoever writes holds the schema's lock.
fn ensure_table(schema: &ObjectName) -> String {
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

fn migrator(schema: &ObjectName, app: &App) -> Migrator {
    let mut migrations = Vec::with_capacity(app.migrations.len() * 2);
    for migration in &app.migrations {
        let mut add = |kind: MigrationType, text: &str| {
            let no_tx = text.lines().next().is_some_and(|line| line.trim() == NO_TRANSACTION);
            let sql = AssertSqlSafe(text.to_owned()).into_sql_str();
            let version = migration.version.number();
            migrations.push(Migration::new(version, migration.name.clone().into(), kind, sql, no_tx));
        };
        add(MigrationType::ReversibleUp, &migration.up);
        if let Some(down) = &migration.down {
            add(MigrationType::ReversibleDown, down);
        }
    }
    let mut migrator = Migrator::with_migrations(migrations);
    // Its lock is one per database; ours is one per schema and is held already.
    migrator.set_locking(false);
    migrator.dangerous_set_table_name(table(schema));
    migrator
}

#[derive(Clone, Copy)]
enum Direction {
    Up(Option<i64>),
    Down(i64),
}

struct Run<'a> {
    admin: &'a ServerAdmin,
    schema: &'a ObjectName,
    app: &'a App,
    migrator: Migrator,
}

impl Run<'_> {
    async fn in_transaction(
        &self,
        connection: &mut PoolConnection<Postgres>,
        direction: Direction,
    ) -> Result<MigrationReport, AdminError> {
        let table = ensure_table(self.schema);
        let mut transaction = OwnerTransaction::begin(self.admin, connection, self.schema, &table)
            .await
            .map_err(|e| self.failed(e.into()))?;
        let report = match direction {
            Direction::Up(target) => {
                let mut ledger = Ledger::new(&mut transaction);
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
        transaction.commit().await.map_err(|e| self.failed(e.into()))?;
        Ok(report)
    }

    /// Migrations that need no transaction each alone, the others in transactions between them.
    async fn up_in_parts(
        &self,
        mut connection: PoolConnection<Postgres>,
        target: Option<i64>,
    ) -> Result<MigrationReport, AdminError> {
        // It changes its role and holds a lock for its session, which end with it.
        connection.close_on_drop();
        let prepare = format!(
            "{}; SELECT pg_advisory_lock(hashtextextended({}, 0))",
            self.admin.become_owner(self.schema, "SET"),
            sql::literal(&lock_name(self.schema))
        );
        self.execute(&mut connection, prepare).await?;
        self.execute(&mut connection, ensure_table(self.schema)).await?;
        let before = self.versions(&mut connection).await?;

        let ups: Vec<_> = self
            .migrator
            .iter()
            .filter(|migration| !migration.migration_type.is_down_migration())
            .filter(|migration| target.is_none_or(|target| migration.version <= target))
            .collect();
        for part in ups.chunk_by(|a, b| !a.no_tx && !b.no_tx) {
            let last = part.last().map(|migration| migration.version);
            if part.iter().all(|migration| before.contains(&migration.version)) {
                continue;
            }
            if part.iter().any(|migration| migration.no_tx) {
                let done = self.migrator.run_direct(last, &mut Ledger::new(&mut connection), false).await;
                done.map_err(|e| self.failed(e))?;
            } else {
                self.in_transaction(&mut connection, Direction::Up(last)).await?;
            }
        }
        // Checks the checksums also where there was nothing to do.
        let after = self.in_transaction(&mut connection, Direction::Up(target)).await?;
        let versions = self.versions(&mut connection).await?;
        debug_assert!(after.applied.is_empty(), "all parts were applied before");
        Ok(report(&before, &versions))
    }

    async fn versions(&self, connection: &mut PgConnection) -> Result<BTreeSet<i64>, AdminError> {
        let versions = format!("SELECT version FROM {}", table(self.schema));
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
            schema: self.schema.as_str().into(),
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
                    schema: self.schema.as_str().into(),
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
