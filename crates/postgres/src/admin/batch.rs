//! Many tenants' schemas of one database, migrated by one connection in few messages.
//!
//! Each tenant is a transaction of its own: its fence, a look at what its schema has, the SQL, the record of it. Some tenants'
//! transactions go to the server as one message, which stops at the first that fails.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    time::{Duration, Instant},
};

use futures::TryStreamExt;
use sqlx::{AssertSqlSafe, Row, migrate::Migrator};
use tenantry_domain::{
    app::{App, AppVersion},
    names::{ObjectName, SYSTEM_TABLE_PREFIX},
};

use super::{
    AdminError, ServerAdmin,
    connections::AdminConnection,
    error::{passes, said},
    fence,
    ledger::record,
    migration::{is_backfill, migrator, needs_no_transaction},
    owner::Owner,
    schema::{become_owner, migrations_table, revoke_system_tables},
};
use crate::sql;

/// A tenant whose schema goes from one version to another.
#[derive(Debug, Clone, Copy)]
pub struct BatchItem<'a> {
    /// Whose schema.
    pub owner: Owner<'a>,
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
    /// No tenant is begun after this.
    pub until: Instant,
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
    /// There was no time for it.
    Untouched,
}

const TASK: &str = "migrate the tenant's schema";

/// The code with which a transaction ends whose schema has another version.
const UNLIKE: &str = "TNY03";

/// What the row is called that says that a tenant's transaction is committed.
const COMMITTED: &str = "tenantry_committed";

/// Tenants that share a message, at most.
const IN_A_MESSAGE: usize = 32;

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
pub fn carried(
    app: &App,
    from: AppVersion,
    to: AppVersion,
) -> impl DoubleEndedIterator<Item = &tenantry_domain::app::Migration> {
    let (after, last) = (from.min(to), from.max(to));
    let replaced = if from <= to { app.replaced_until(to) } else { BTreeSet::new() };
    app.migrations.iter().filter(move |migration| {
        migration.version > after && migration.version <= last && !replaced.contains(&migration.version)
    })
}

/// Whether SQL between two versions may give rights: by name, or by text that is put together. Looking for them takes as long
/// as a small migration.
fn may_grant(app: &App, from: AppVersion, to: AppVersion) -> bool {
    let texts = carried(app, from, to)
        .flat_map(|migration| [Some(migration.up.as_str()), migration.down.as_deref()])
        .flatten();
    texts.map(str::to_ascii_lowercase).any(|text| {
        ["grant", "execute", "privileges", SYSTEM_TABLE_PREFIX].iter().any(|word| text.contains(word))
    })
}

impl ServerAdmin {
    /// Migrates tenants whose schemas are in one database, up or down, each in a transaction of its own; what became of each.
    /// Ends at the first that fails for good, so that whoever asked may look at it before more do.
    ///
    /// # Errors
    /// Nothing is known of any of them: there is no connection.
    pub async fn migrate_batch(
        &self,
        database: &ObjectName,
        app: &App,
        items: &[BatchItem<'_>],
        limits: BatchLimits,
    ) -> Result<Vec<BatchEnd>, AdminError> {
        let Some(first) = items.first() else { return Ok(Vec::new()) };
        let may_grant = items.iter().any(|item| may_grant(app, item.from, item.to));
        let plan = Plan { app, limits, migrator: migrator(first.owner.name, app, false), may_grant };
        let mut ends = Vec::with_capacity(items.len());
        let mut connection = None;
        let mut size = 1;
        while ends.len() < items.len() && Instant::now() < limits.until {
            let mut held = match connection.take() {
                Some(held) => held,
                None => self.connection_for_tables(database, TASK).await?,
            };
            let some = &items[ends.len()..items.len().min(ends.len() + size)];
            let sent = Instant::now();
            let failed = self.message(&mut held, &plan, some, &mut ends).await;
            size =
                if sent.elapsed() < LONG_MESSAGE { (size * 2).min(IN_A_MESSAGE) } else { (size / 2).max(1) };
            if failed {
                // It is in a transaction that failed, or in none: nobody else shall find out.
                held.close_on_drop();
            } else {
                connection = Some(held);
            }
            if ends.last().is_some_and(|end| matches!(end, BatchEnd::Failed(error) if !error.is_transient()))
            {
                break;
            }
        }
        if let Some(mut held) = connection {
            // Settings and temporary tables of a migration are the next one's no more, but the connection has seen many tables.
            held.close_on_drop();
        }
        ends.resize_with(items.len(), || BatchEnd::Untouched);
        Ok(ends)
    }

    /// Sends some tenants' transactions; true if one of them failed, which is the last that `ends` tells of.
    async fn message(
        &self,
        connection: &mut AdminConnection,
        plan: &Plan<'_>,
        items: &[BatchItem<'_>],
        ends: &mut Vec<BatchEnd>,
    ) -> bool {
        let text = items.iter().enumerate().fold(String::new(), |mut text, (number, item)| {
            plan.push(&mut text, item, number);
            text
        });
        let mut committed = 0;
        let mut applied = 0;
        let error = {
            let mut rows = sqlx::raw_sql(AssertSqlSafe(text)).fetch(&mut **connection);
            loop {
                match rows.try_next().await {
                    Ok(Some(row)) => {
                        let is_next = |text: String| text == mark(&items[committed], committed);
                        if row.try_get(super::ledger::APPLIED).is_ok_and(|_: i64| true) {
                            applied += 1;
                        } else if committed < items.len() && row.try_get(COMMITTED).is_ok_and(is_next) {
                            committed += 1;
                            applied = 0;
                            ends.push(BatchEnd::Migrated);
                        }
                    }
                    Ok(None) if committed == items.len() => return false,
                    Ok(None) => break super::ledger::left_open(),
                    Err(error) => break error,
                }
            }
        };
        let item = &items[committed.min(items.len() - 1)];
        ends.push(match said(&error) {
            Some((code, _)) if code == UNLIKE => BatchEnd::Unlike,
            _ => BatchEnd::Failed(self.batch_failure(plan.app, item, applied, error)),
        });
        true
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
            schema: item.owner.name.as_str().into(),
            version: version.version.number(),
            code,
            message,
            source: Box::new(error),
        }
    }
}

/// What the row says that follows a tenant's commit.
fn mark(item: &BatchItem<'_>, number: usize) -> String {
    format!("{} {number}", item.owner.name)
}

/// What tenants of a batch have in common.
struct Plan<'a> {
    app: &'a App,
    limits: BatchLimits,
    migrator: Migrator,
    /// The SQL may give rights on Tenantry's own tables.
    may_grant: bool,
}

impl Plan<'_> {
    /// Adds a tenant's transaction.
    fn push(&self, text: &mut String, item: &BatchItem<'_>, number: usize) {
        let BatchItem { owner, from, to } = item;
        let table = migrations_table(owner.name);
        let look = format!(
            "{check_schema}
            IF found_mark IS NULL OR (SELECT max(version) FROM {table}) IS DISTINCT FROM {from} THEN
                RAISE EXCEPTION USING ERRCODE = '{UNLIKE}', MESSAGE = 'the schema has another version';
            END IF;",
            check_schema = owner.check_schema(),
        );
        // What a migration sets for its session is not to meet the next tenant's.
        let _ = write!(
            text,
            "BEGIN; RESET ROLE; RESET ALL; DISCARD TEMP;\n{block};\nSET LOCAL lock_timeout = {lock}; SET LOCAL statement_timeout = \
             {statement}; {owner};\n",
            block = fence::block(owner.fence, "found_mark text;", &look),
            lock = self.limits.lock_timeout.as_millis(),
            statement = self.limits.statement_timeout.as_millis(),
            owner = become_owner(owner.name, "SET LOCAL"),
        );
        if from <= to {
            for version in carried(self.app, *from, *to).map(|migration| migration.version.number()) {
                let up = |migration: &&sqlx::migrate::Migration| {
                    migration.version == version && !migration.migration_type.is_down_migration()
                };
                let Some(migration) = self.migrator.iter().find(up) else { continue };
                let _ = write!(text, "{}\n;\n{}\n", migration.sql.as_str(), record(&table, migration, "-1"));
            }
        } else {
            for migration in carried(self.app, *from, *to).rev() {
                let _ = write!(
                    text,
                    "{}\n;\nDELETE FROM {table} WHERE version = {version} RETURNING version AS {applied};\n",
                    migration.down.as_deref().unwrap_or_default(),
                    version = migration.version,
                    applied = super::ledger::APPLIED,
                );
            }
        }
        if self.may_grant {
            let _ = writeln!(text, "{};", sql::block("", &revoke_system_tables(owner.name)));
        }
        let mark = sql::literal(&mark(item, number));
        let _ = writeln!(text, "COMMIT; SELECT {mark} AS {COMMITTED};");
    }
}
