//! Closing a placement in the database itself, so that a data plane that heard nothing of a move can neither write nor
//! read there.
//!
//! Writes are closed by a trigger on every table that refuses each statement before it does anything, whoever runs it:
//! also a function with its owner's rights, which no REVOKE from the tenant's role would stop. `CREATE TRIGGER` waits
//! for writers that are at it, and writers that come later wait for it and then meet the trigger, so that after the commit
//! nothing is written. Rights are left as they are.
//!
//! The trigger refuses while `tenantry.closed` has a row of its schema. To open writes again that row goes, which waits for
//! nobody; `DROP TRIGGER` waits for whoever reads the table, and is tried. A trigger that stayed refuses transactions of a
//! stricter isolation than read committed only, and is made anew by the next closing.

use std::time::Duration;

use sqlx::AssertSqlSafe;
use tenantry_domain::names::ObjectName;

use super::super::{
    AdminError, OWNER_ROLE, SYSTEM_SCHEMA, ServerAdmin,
    connections::AdminConnection,
    fence,
    owner::Owner,
    owner_transaction::{Beginning, OwnerTransaction},
    schema::relations,
    users,
};
use super::{pgoutput::Lsn, session::one};
use crate::{
    sql::{self, INTERRUPT_AUTOVACUUM},
    tenant::MOVING,
};

/// The trigger's name.
pub(super) const TRIGGER: &str = "tenantry_moving";

pub(super) const CLOSE: &str = "close what the tenant leaves";

/// How often the triggers are tried to be dropped.
const TRIES: usize = 5;

pub(super) const OPEN: &str = "open the tenant's tables again";

/// The tables of a schema that rows are written to, in another order each time: whoever writes takes them in one of his own, and may
/// hold one that is wanted next while he waits for one that is held.
fn tables(schema: &ObjectName) -> String {
    format!(
        "SELECT relation.oid::regclass AS name, t.oid IS NOT NULL AS is_closed FROM {}
            LEFT JOIN pg_trigger t ON t.tgrelid = relation.oid AND t.tgname = '{TRIGGER}'
            WHERE relkind IN ('r', 'p') ORDER BY random()",
        relations(schema)
    )
}

/// Statements that make the trigger's function. It runs for whoever writes, with the rights of the admin.
fn gate() -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {SYSTEM_SCHEMA}.closed (schema name PRIMARY KEY);
        CREATE FUNCTION {SYSTEM_SCHEMA}.refuse_write() RETURNS trigger LANGUAGE plpgsql
            SECURITY DEFINER SET search_path = pg_catalog AS $refuse$
        BEGIN
            -- A repeatable read does not see a row that is newer than it.
            IF current_setting('transaction_isolation') <> 'read committed'
                OR EXISTS (SELECT FROM {SYSTEM_SCHEMA}.closed WHERE schema = TG_TABLE_SCHEMA) THEN
                RAISE EXCEPTION USING ERRCODE = '{MOVING}', MESSAGE = 'the tenant is being moved';
            END IF;
            RETURN NULL;
        END $refuse$;
        REVOKE ALL ON FUNCTION {SYSTEM_SCHEMA}.refuse_write FROM PUBLIC;
        GRANT EXECUTE ON FUNCTION {SYSTEM_SCHEMA}.refuse_write TO {OWNER_ROLE};"
    )
}

/// See [`super::Transfer::close_writes`]. Answers a place in the log after all that was written before.
pub(super) async fn close_writes(
    connection: &mut AdminConnection,
    owner: Owner<'_>,
    patience: Duration,
) -> Result<Lsn, sqlx::Error> {
    let as_admin = format!(
        "{look} {INTERRUPT_AUTOVACUUM}
        IF to_regprocedure('{SYSTEM_SCHEMA}.refuse_write()') IS NULL THEN
            -- Two moves may be the first ones of a database at once.
            PERFORM {lock};
            IF to_regprocedure('{SYSTEM_SCHEMA}.refuse_write()') IS NULL THEN {gate} END IF;
        END IF;
        INSERT INTO {SYSTEM_SCHEMA}.closed (schema) VALUES ({name}) ON CONFLICT DO NOTHING;",
        look = owner.check_schema(),
        gate = gate(),
        lock = fence::lock("write gate"),
        name = sql::literal(owner.name.as_str()),
    );
    let close = format!(
        "FOR known IN {tables} LOOP
            IF known.is_closed THEN EXECUTE format('DROP TRIGGER {TRIGGER} ON %s', known.name); END IF;
            EXECUTE format('CREATE TRIGGER {TRIGGER} BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON %s
                FOR EACH STATEMENT EXECUTE FUNCTION {SYSTEM_SCHEMA}.refuse_write();
                ALTER TABLE %s ENABLE ALWAYS TRIGGER {TRIGGER}', known.name, known.name);
        END LOOP;",
        tables = tables(owner.name),
    );
    let as_owner = format!("SET LOCAL lock_timeout = {}", patience.as_millis().max(1));
    let begin =
        Beginning { schema: owner.name, fence: owner.fence, as_admin: &as_admin, as_owner: &as_owner };
    let closed = async {
        let mut transaction = OwnerTransaction::begin(connection, begin).await?;
        transaction.run(sql::block("known record;", &close)).await?;
        // With the commit that comes after it, it is on the disk.
        let end: i64 = one(&mut transaction, "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint").await?;
        transaction.commit().await?;
        Ok(Lsn(end.cast_unsigned()))
    };
    let closed = closed.await;
    if closed.is_err() {
        // Tried again on the same connection.
        sqlx::raw_sql("ROLLBACK").execute(&mut **connection).await?;
    }
    closed
}

/// See [`ServerAdmin::let_in`].
pub(super) fn let_in(owner: Owner<'_>) -> String {
    let (name, quoted) = (sql::literal(owner.name.as_str()), owner.name.quoted());
    let body = format!(
        "{look}
        IF found_mark IS NULL THEN RETURN; END IF;
        GRANT USAGE ON SCHEMA {quoted} TO {quoted};
        {users}
        IF to_regclass('{SYSTEM_SCHEMA}.closed') IS NOT NULL THEN
            DELETE FROM {SYSTEM_SCHEMA}.closed WHERE schema = {name};
        END IF;",
        look = owner.check_schema(),
        users = users::let_in(owner.name),
    );
    fence::block(owner.fence, "found_mark text;", &body)
}

impl ServerAdmin {
    /// Has tables that are closed take the rows that replication brings, and nobody else's. Whose statement began before
    /// they were closed may still be at it: a function that runs with its owner's rights, say. The tenant's own sessions in
    /// the database end: one may hold rows or tables for ever.
    pub async fn open_to_replication(
        &self,
        database: &ObjectName,
        owner: Owner<'_>,
    ) -> Result<(), AdminError> {
        let name = sql::literal(owner.name.as_str());
        let body = format!(
            "{look}
            IF found_mark IS NULL THEN RETURN; END IF;
            {lend}
            PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE usename = {name} AND datname = current_database();
            {give_back}
            FOR known IN {tables} LOOP
                IF known.is_closed THEN EXECUTE format('ALTER TABLE %s ENABLE TRIGGER {TRIGGER}', known.name); END IF;
            END LOOP;",
            look = owner.check_schema(),
            tables = tables(owner.name),
            lend = sql::lend(&name),
            give_back = sql::give_back(&name),
        );
        let block = fence::block(owner.fence, "found_mark text; known record; lent boolean;", &body);
        self.run_past_tenants_in(database, "open what the tenant has left to replication", block)
            .await
            .map(drop)
    }

    /// Opens a tenant's tables to writes again, and its schema to the tenant, and drops what they were closed with. That
    /// nothing is closed, or there, is fine.
    pub async fn open_writes(&self, database: &ObjectName, owner: Owner<'_>) -> Result<(), AdminError> {
        self.let_in(database, owner).await?;
        for _ in 0..TRIES {
            if self.drop_triggers(database, owner).await? {
                return Ok(());
            }
        }
        tracing::info!(
            "triggers that refuse nothing stay on tables of {} until the tenant is moved again",
            owner.name
        );
        Ok(())
    }

    /// As [`ServerAdmin::open_writes`], at once: triggers stay that refuse nothing.
    pub async fn let_in(&self, database: &ObjectName, owner: Owner<'_>) -> Result<(), AdminError> {
        self.run_in(database, OPEN, let_in(owner)).await.map(drop)
    }

    /// Each in a transaction of its own, and sooner given up than a deadlock is looked for: the tenant is written to, and its
    /// transactions are not to be the ones that fail. False: not all could be dropped.
    async fn drop_triggers(&self, database: &ObjectName, owner: Owner<'_>) -> Result<bool, AdminError> {
        let list = format!(
            "SELECT tgrelid::regclass::text FROM pg_trigger JOIN pg_depend d ON d.objid = tgrelid JOIN pg_class c ON c.oid = tgrelid
                WHERE tgname = '{TRIGGER}' AND d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_namespace'::regclass
                    AND d.refobjid = to_regnamespace({}) AND c.relnamespace = d.refobjid",
            sql::literal(&owner.name.quoted())
        );
        let mut connection = self.connection_to(database, OPEN).await?;
        let closed: Vec<String> = sqlx::query_scalar(AssertSqlSafe(list))
            .persistent(false)
            .fetch_all(&mut *connection)
            .await
            .map_err(|error| self.failed(OPEN, error))?;
        drop(connection);
        let mut all = true;
        for table in closed {
            let body = format!(
                "{look}
                IF found_mark IS NULL THEN RETURN; END IF;
                {INTERRUPT_AUTOVACUUM}
                SET LOCAL lock_timeout = '100ms';
                DROP TRIGGER IF EXISTS {TRIGGER} ON {table};",
                look = owner.check_schema(),
            );
            let drop = fence::block(owner.fence, "found_mark text;", &body);
            match self.run_in(database, OPEN, drop).await {
                Err(error) if error.is_transient() && !error.is_unreachable() => all = false,
                dropped => {
                    dropped?;
                }
            }
        }
        Ok(all)
    }
}
