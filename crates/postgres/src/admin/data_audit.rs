//! What is noted of a tenant's data being changed, where its configuration asks for it (`audit.data`).
//!
//! Triggers note each statement that changes rows, whoever sends it, in the same transaction: in `tenantry.data_changes` of the
//! database, until a worker has brought it to the audit log. `tenantry.audited` says of which schemas, so that a migration's new
//! tables get them in the migration's own transaction.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, FromRow};
use tenantry_domain::names::{ObjectName, SYSTEM_TABLE_PREFIX};
use uuid::Uuid;

use super::{
    AdminError, OWNER_ROLE, SYSTEM_SCHEMA, ServerAdmin, fence,
    owner::Owner,
    owner_transaction::{Beginning, OwnerTransaction},
};
use crate::sql::{self, INTERRUPT_AUTOVACUUM};

const TASK: &str = "audit the tenant's data";

/// The function that gives a schema's tables their triggers, the newest that [`install`] makes.
const AUDIT_TABLES: &str = "tenantry.audit_tables(name)";

/// Who notes changes: it may do nothing else, and nobody becomes it. The owner role would lend its rights on all tenants' tables to
/// what an app brings along.
pub(super) const AUDIT_ROLE: &str = "tenantry_audit";

/// Keys of one entry, at most.
const KEYS: usize = 100;

/// Characters of a value in a key.
const KEY_LENGTH: usize = 200;

/// Rows that a statement has changed.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct DataChange {
    /// Its own.
    pub id: Uuid,
    /// Whose rows.
    pub tenant_id: Uuid,
    /// When.
    pub at: DateTime<Utc>,
    /// Who was logged in to PostgreSQL.
    pub login: String,
    /// What that session called itself.
    pub application: Option<String>,
    /// What SQL knew of the user: the claims of the token, as JSON, unless SQL of the tenant's has written something else there.
    pub claims: Option<String>,
    /// The table.
    pub table: String,
    /// `insert`, `update`, `delete` or `truncate`.
    pub verb: String,
    /// How many rows; not known of a table that was truncated.
    pub rows: Option<i64>,
    /// The columns that have other values now; of updates.
    pub columns: Option<Vec<String>>,
    /// The rows' primary keys, as a JSON array of objects; none where the table has none.
    pub keys: Option<String>,
}

impl ServerAdmin {
    /// Has changes of a tenant's data noted from now on, in all of its tables. Each table is waited for so long.
    pub async fn audit_data(
        &self,
        database: &ObjectName,
        owner: Owner<'_>,
        tenant: Uuid,
        patience: Duration,
    ) -> Result<(), AdminError> {
        let as_admin = format!(
            "{look}
            IF found_mark IS NULL THEN RETURN; END IF;
            IF to_regprocedure('{AUDIT_TABLES}') IS NULL THEN
                -- Two may be the first ones of a database at once.
                PERFORM {lock};
                IF to_regprocedure('{AUDIT_TABLES}') IS NULL THEN {install} END IF;
            END IF;
            INSERT INTO {SYSTEM_SCHEMA}.audited (schema, mark, tenant_id) VALUES ({name}, {mark}, '{tenant}')
                ON CONFLICT (schema) DO UPDATE SET mark = excluded.mark, tenant_id = excluded.tenant_id;",
            look = owner.check_schema(),
            lock = fence::lock("data audit"),
            install = install(),
            name = sql::literal(owner.name.as_str()),
            mark = sql::literal(owner.mark),
        );
        self.change_triggers(database, owner, &as_admin, patience).await
    }

    /// Has changes of a tenant's data noted no more. What was noted is still to be brought away.
    pub async fn stop_auditing_data(
        &self,
        database: &ObjectName,
        owner: Owner<'_>,
        patience: Duration,
    ) -> Result<(), AdminError> {
        let as_admin = format!(
            "{look}
            IF to_regclass('{SYSTEM_SCHEMA}.audited') IS NOT NULL THEN
                DELETE FROM {SYSTEM_SCHEMA}.audited WHERE schema = {name};
            END IF;",
            look = owner.check_schema(),
            name = sql::literal(owner.name.as_str()),
        );
        self.change_triggers(database, owner, &as_admin, patience).await
    }

    async fn change_triggers(
        &self,
        database: &ObjectName,
        owner: Owner<'_>,
        as_admin: &str,
        patience: Duration,
    ) -> Result<(), AdminError> {
        let mut connection = self.connection_to(database, TASK).await?;
        let as_owner = format!("SET LOCAL lock_timeout = {}", patience.as_millis().max(1));
        let as_admin = format!("{INTERRUPT_AUTOVACUUM} {as_admin}");
        let begin =
            Beginning { schema: owner.name, fence: owner.fence, as_admin: &as_admin, as_owner: &as_owner };
        let change = sql::block("", &audit_tables(owner.name));
        let changed =
            async { OwnerTransaction::begin(&mut connection, begin).await?.commit_after(&change).await };
        changed.await.map_err(|error| self.failed(TASK, error))
    }

    /// The oldest changes that are noted in a database, at most so many; of a tenant, or of all. None where there is no such
    /// database any more.
    pub async fn data_changes(
        &self,
        database: &ObjectName,
        tenant: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<DataChange>, AdminError> {
        let read = async {
            let mut connection = self.connection_to(database, TASK).await?;
            let is_there = format!("SELECT to_regprocedure('{AUDIT_TABLES}') IS NOT NULL");
            let is_there: bool = sqlx::query_scalar(AssertSqlSafe(is_there))
                .persistent(false)
                .fetch_one(&mut *connection)
                .await
                .map_err(|error| self.failed(TASK, error))?;
            if !is_there {
                return Ok(Vec::new());
            }
            let read = format!(
                "SELECT id, tenant_id, at, login::text, application, claims, \"table\"::text, verb, rows, columns,
                     keys::text AS keys
                 FROM {SYSTEM_SCHEMA}.data_changes WHERE $1 IS NULL OR tenant_id = $1 ORDER BY at LIMIT {limit}"
            );
            sqlx::query_as(AssertSqlSafe(read))
                .persistent(false)
                .bind(tenant)
                .fetch_all(&mut *connection)
                .await
                .map_err(|error| self.failed(TASK, error))
        };
        match read.await {
            Err(error) if error.is_closed_database() => Ok(Vec::new()),
            read => read,
        }
    }

    /// Forgets changes that are in the audit log.
    pub async fn forget_data_changes(&self, database: &ObjectName, ids: &[Uuid]) -> Result<(), AdminError> {
        let mut connection = self.connection_to(database, TASK).await?;
        let forget = format!("DELETE FROM {SYSTEM_SCHEMA}.data_changes WHERE id = ANY ($1)");
        sqlx::query(AssertSqlSafe(forget))
            .persistent(false)
            .bind(ids)
            .execute(&mut *connection)
            .await
            .map(drop)
            .map_err(|error| self.failed(TASK, error))
    }
}

/// A statement of PL/pgSQL that gives the tables of a schema their triggers, where it is audited. As the owner role.
pub(super) fn audit_tables(schema: &ObjectName) -> String {
    format!(
        "IF to_regprocedure('{AUDIT_TABLES}') IS NOT NULL THEN PERFORM {SYSTEM_SCHEMA}.audit_tables({}); END IF;",
        sql::literal(schema.as_str())
    )
}

/// Statements of PL/pgSQL that forget what is known of a schema that goes, and what is noted of its tenant's data here.
pub(super) fn forget_schema(owner: Owner<'_>) -> String {
    let noted = owner.fence.map_or_else(String::new, |fence| {
        format!("DELETE FROM {SYSTEM_SCHEMA}.data_changes WHERE tenant_id = {};", fence.subject())
    });
    format!(
        "IF to_regprocedure('{AUDIT_TABLES}') IS NOT NULL THEN
            DELETE FROM {SYSTEM_SCHEMA}.audited WHERE schema = {};
            {noted}
        END IF;",
        sql::literal(owner.name.as_str())
    )
}

/// Makes tables and functions in a database, as a block's statements.
///
/// What notes a change calls no function that an app has made, a cast of a type, say: of a key's values only numbers, truth values and
/// texts become JSON as such, and others by their output functions, which PostgreSQL brings.
fn install() -> String {
    // One entry for rows of a statement in which the same columns have changed.
    let note = format!(
        "CREATE OR REPLACE FUNCTION {SYSTEM_SCHEMA}.note_data_change() RETURNS trigger
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $note$
        DECLARE
            -- A name that no column has.
            nth text := quote_ident('nth ' || gen_random_uuid());
            key text := (SELECT 'jsonb_build_object('
                    || string_agg(format(CASE WHEN atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'bool'::regtype)
                            THEN '%1$L, new.%1$I' ELSE '%1$L, left(format(''%%s'', new.%1$I), {KEY_LENGTH})' END, attname),
                        ', ' ORDER BY attnum) || ')'
                FROM pg_index JOIN pg_attribute ON attrelid = indrelid
                    AND attnum = ANY ((indkey::int2[])[0:indnkeyatts - 1])
                WHERE indrelid = TG_RELID AND indisprimary);
            -- Values of any type are compared as they are stored.
            changed text := (SELECT 'array_remove(ARRAY['
                    || string_agg(format('CASE WHEN record_image_ne(ROW (old.%1$I), ROW (new.%1$I)) THEN %1$L END',
                        attname), ', ' ORDER BY attnum) || ']::text[], NULL)'
                FROM pg_attribute WHERE attrelid = TG_RELID AND attnum > 0 AND NOT attisdropped);
            touched text := CASE TG_OP
                WHEN 'INSERT' THEN 'SELECT %1$s, NULL::text[] FROM new_rows AS new'
                WHEN 'DELETE' THEN 'SELECT %1$s, NULL::text[] FROM old_rows AS new'
                -- What a row was, and what it is, stand at the same places.
                WHEN 'UPDATE' THEN 'SELECT %1$s, %2$s FROM (SELECT *, row_number() OVER () AS %3$s FROM new_rows) AS new
                    JOIN (SELECT *, row_number() OVER () AS %3$s FROM old_rows) AS old USING (%3$s)'
                ELSE 'SELECT NULL::jsonb, NULL::text[]' END;
        BEGIN
            EXECUTE format(
                'INSERT INTO {SYSTEM_SCHEMA}.data_changes
                    (tenant_id, login, application, claims, \"table\", verb, rows, columns, keys)
                SELECT $1, session_user, current_setting(''application_name''),
                    left(current_setting(''request.jwt.claims'', true), 8192), $2, $3,
                    CASE WHEN $3 <> ''truncate'' THEN count(*) END, columns, jsonb_agg(key) FILTER (WHERE key IS NOT NULL)
                FROM (SELECT key, columns, (row_number() OVER (PARTITION BY columns) - 1) / {KEYS} AS part
                    FROM (%s) AS touched (key, columns)) AS parts
                GROUP BY columns, part',
                format(touched, coalesce(key, 'NULL::jsonb'), changed, nth))
                USING TG_ARGV[0]::uuid, TG_TABLE_NAME, lower(TG_OP);
            RETURN NULL;
        END $note$;"
    );
    // A statement fires the triggers of the table that it names, and not those of its partitions.
    let give_triggers = format!(
        "CREATE OR REPLACE FUNCTION {SYSTEM_SCHEMA}.audit_tables(schema name) RETURNS void
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $audit$
        DECLARE
            tenant uuid := (SELECT tenant_id FROM {SYSTEM_SCHEMA}.audited
                JOIN pg_namespace ON nspname = audited.schema
                WHERE audited.schema = audit_tables.schema AND obj_description(oid, 'pg_namespace') = mark);
            known record;
        BEGIN
            FOR known IN SELECT pg_class.oid::regclass AS name, verb, relating, tgargs
                FROM pg_depend JOIN pg_class ON pg_class.oid = objid AND classid = 'pg_class'::regclass
                CROSS JOIN (VALUES ('insert', 'REFERENCING NEW TABLE AS new_rows'), ('delete', 'REFERENCING OLD TABLE AS old_rows'),
                    ('update', 'REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows'), ('truncate', '')) AS verbs (verb, relating)
                -- One that was switched off is made anew.
                LEFT JOIN (SELECT tgrelid, tgname, tgargs, tgenabled = 'O'
                        AND tgfoid = '{SYSTEM_SCHEMA}.note_data_change()'::regprocedure AS is_on FROM pg_trigger) AS there
                    ON tgrelid = pg_class.oid AND tgname = 'tenantry_audit_' || verb
                WHERE refclassid = 'pg_namespace'::regclass AND refobjid = to_regnamespace(quote_ident(schema))
                    AND relnamespace = refobjid AND relkind IN ('r', 'p') AND NOT starts_with(relname, '{SYSTEM_TABLE_PREFIX}')
                    AND (tenant IS NULL AND tgargs IS NOT NULL OR tenant IS NOT NULL
                        AND (is_on IS NOT TRUE OR encode(tgargs, 'escape') IS DISTINCT FROM tenant || '\\000'))
                ORDER BY relname
            LOOP
                IF known.tgargs IS NOT NULL THEN
                    EXECUTE format('DROP TRIGGER tenantry_audit_%s ON %s', known.verb, known.name);
                END IF;
                IF tenant IS NOT NULL THEN
                    EXECUTE format('CREATE TRIGGER tenantry_audit_%1$s AFTER %1$s ON %2$s %3$s
                        FOR EACH STATEMENT EXECUTE FUNCTION {SYSTEM_SCHEMA}.note_data_change(%4$L)',
                        known.verb, known.name, known.relating, tenant);
                END IF;
            END LOOP;
        END $audit$;"
    );
    format!(
        "CREATE TABLE IF NOT EXISTS {SYSTEM_SCHEMA}.audited (
            schema name PRIMARY KEY, mark text NOT NULL, tenant_id uuid NOT NULL);
        CREATE TABLE IF NOT EXISTS {SYSTEM_SCHEMA}.data_changes (
            id uuid PRIMARY KEY DEFAULT gen_random_uuid(), tenant_id uuid NOT NULL,
            at timestamptz NOT NULL DEFAULT clock_timestamp(), login name NOT NULL, application text, claims text,
            \"table\" name NOT NULL, verb text NOT NULL, rows bigint, columns text[], keys jsonb);
        CREATE INDEX IF NOT EXISTS data_changes_at ON {SYSTEM_SCHEMA}.data_changes (at);
        {note}
        {give_triggers}
        REVOKE ALL ON FUNCTION {SYSTEM_SCHEMA}.note_data_change, {AUDIT_TABLES} FROM PUBLIC;
        GRANT SELECT ON {SYSTEM_SCHEMA}.audited TO {OWNER_ROLE};
        GRANT EXECUTE ON FUNCTION {SYSTEM_SCHEMA}.note_data_change, {AUDIT_TABLES} TO {OWNER_ROLE};
        GRANT USAGE ON SCHEMA {SYSTEM_SCHEMA} TO {AUDIT_ROLE};
        GRANT INSERT ON {SYSTEM_SCHEMA}.data_changes TO {AUDIT_ROLE};
        -- Whoever is given a function must be able to make one.
        GRANT CREATE ON SCHEMA {SYSTEM_SCHEMA} TO {AUDIT_ROLE};
        ALTER FUNCTION {SYSTEM_SCHEMA}.note_data_change OWNER TO {AUDIT_ROLE};
        REVOKE CREATE ON SCHEMA {SYSTEM_SCHEMA} FROM {AUDIT_ROLE};"
    )
}
