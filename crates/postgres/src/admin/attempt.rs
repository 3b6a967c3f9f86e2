//! Statements that are run in a tenant's schema and rolled back: what they lock, and how long they take there.

use std::time::{Duration, Instant};

use sqlx::AssertSqlSafe;
use tenantry_domain::names::ObjectName;

use super::{AdminError, ServerAdmin, error::said, schema::become_owner};
use crate::sql;

const TASK: &str = "try the statements";

/// How long the locks of all statements together are held, but for the last one's time.
const IN_ALL: Duration = Duration::from_secs(5);

/// A table or materialized view and its rows, estimated.
pub type TableRows = (String, u64);

/// A view, and a table and a column that it uses.
pub type ViewUse = (String, String, String);

/// What became of a statement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attempted {
    /// How long it took.
    pub microseconds: u64,
    /// The locks on the tenant's tables that it was the first to take, but those that no reader and writer meets.
    pub locks: Vec<String>,
    /// Why it failed.
    pub error: Option<String>,
}

impl ServerAdmin {
    /// Runs statements one after the other in one transaction, as the owner in a tenant's schema, up to the first that fails, and
    /// rolls them back. Locks are held until then: the tenant's requests wait for so long.
    pub async fn attempt_statements(
        &self,
        database: &ObjectName,
        schema: &ObjectName,
        statements: &[String],
        lock_timeout: Duration,
        statement_timeout: Duration,
    ) -> Result<Vec<Attempted>, AdminError> {
        let mut session = self.session(database, TASK).await?;
        let begin = format!(
            "BEGIN; SET LOCAL lock_timeout = {}; SET LOCAL statement_timeout = {}; {}",
            lock_timeout.as_millis(),
            statement_timeout.as_millis(),
            become_owner(schema, "SET LOCAL")
        );
        sqlx::raw_sql(AssertSqlSafe(begin)).execute(&mut *session).await.map_err(|e| self.failed(TASK, e))?;
        let locks = format!(
            "SELECT DISTINCT mode || ' on ' || relname FROM pg_catalog.pg_locks
             JOIN pg_catalog.pg_class ON pg_class.oid = relation
             WHERE pid = pg_catalog.pg_backend_pid() AND mode <> 'AccessShareLock' AND relkind IN ('r', 'p', 'm')
                 AND relnamespace = {}::pg_catalog.regnamespace ORDER BY 1",
            sql::literal(&schema.quoted())
        );
        let mut attempted = Vec::with_capacity(statements.len());
        let mut known: Vec<String> = Vec::new();
        let until = Instant::now() + IN_ALL;
        for statement in statements {
            if Instant::now() >= until {
                break;
            }
            let started = Instant::now();
            // As PostgreSQL runs a version that is tried: nothing in it ends the transaction.
            let text = sql::block("", &format!("EXECUTE {};", sql::literal(statement)));
            let ran = sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut *session).await;
            let microseconds = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
            if let Err(error) = ran {
                let Some((code, message)) = said(&error) else { return Err(self.failed(TASK, error)) };
                let error = Some(format!("{message} (SQLSTATE {code})"));
                attempted.push(Attempted { microseconds, locks: Vec::new(), error });
                break;
            }
            let held: Vec<String> = sqlx::query_scalar(AssertSqlSafe(locks.clone()))
                .persistent(false)
                .fetch_all(&mut *session)
                .await
                .map_err(|e| self.failed(TASK, e))?;
            let new = held.iter().filter(|lock| !known.contains(lock)).cloned().collect();
            known = held;
            attempted.push(Attempted { microseconds, locks: new, error: None });
        }
        // The session is closed after use, which rolls back as well.
        let _ = sqlx::raw_sql("ROLLBACK").execute(&mut *session).await;
        Ok(attempted)
    }

    /// The tables of a tenant's schema with their rows, estimated, and which of its views use which columns.
    pub async fn describe_tables(
        &self,
        database: &ObjectName,
        schema: &ObjectName,
    ) -> Result<(Vec<TableRows>, Vec<ViewUse>), AdminError> {
        let mut connection = self.connection_to(database, TASK).await?;
        // One that was never analyzed is judged by its size.
        let tables: Vec<(String, i64)> = sqlx::query_as(
            "SELECT relname::text, CASE WHEN reltuples >= 0 THEN reltuples::bigint ELSE pg_relation_size(oid) / 32 END
             FROM pg_depend JOIN pg_class ON pg_class.oid = objid AND classid = 'pg_class'::regclass
             WHERE refclassid = 'pg_namespace'::regclass AND refobjid = to_regnamespace($1) AND relnamespace = refobjid
                 AND relkind IN ('r', 'p', 'm')",
        )
        .persistent(false)
        .bind(schema.quoted())
        .fetch_all(&mut *connection)
        .await
        .map_err(|e| self.failed(TASK, e))?;
        let views: Vec<ViewUse> = sqlx::query_as(
            "SELECT DISTINCT view.relname::text, used.relname::text, attname::text
             FROM pg_depend AS member JOIN pg_class AS view ON view.oid = member.objid AND member.classid = 'pg_class'::regclass
             JOIN pg_rewrite ON ev_class = view.oid
             JOIN pg_depend AS uses ON uses.classid = 'pg_rewrite'::regclass AND uses.objid = pg_rewrite.oid
                 AND uses.refclassid = 'pg_class'::regclass AND uses.refobjsubid > 0
             JOIN pg_class AS used ON used.oid = uses.refobjid
             JOIN pg_attribute ON attrelid = used.oid AND attnum = uses.refobjsubid
             WHERE member.refclassid = 'pg_namespace'::regclass AND member.refobjid = to_regnamespace($1)
                 AND view.relnamespace = member.refobjid AND view.relkind IN ('v', 'm')",
        )
        .persistent(false)
        .bind(schema.quoted())
        .fetch_all(&mut *connection)
        .await
        .map_err(|e| self.failed(TASK, e))?;
        let rows = |(name, rows): (String, i64)| (name, u64::try_from(rows).unwrap_or_default());
        Ok((tables.into_iter().map(rows).collect(), views))
    }
}
