//! The fence: what makes a late twin harmless.
//!
//! A worker may be frozen between two statements and wake up after another has finished its operation, and
//! even after a new tenant has taken the name. So every effect carries the fencing token of its lease into
//! its own transaction: `tenantry.fence(subject, token)` takes the subject's row, refuses a token lower than
//! the highest that it has seen ([`AdminError::Fenced`](super::AdminError::Fenced)) and holds the row until
//! the transaction ends, so that two workers' effects on one subject never run beside each other.
//!
//! A statement that PostgreSQL runs only outside of transactions either acts on a name that only this
//! attempt can have (see `database`), or runs in a session that is noted under the fence: whoever takes the
//! fence next, a later attempt or another try of this one, ends such sessions before it goes on.
//!
//! Locks and notes are rows that tenants cannot reach. Advisory locks are not: any session may hold any.
//!
//! Each database has its own table, since a transaction sees one database only. An attempt that has an
//! effect in a database has taken the fence there; one that has none there leaves nothing to undo.

use tenantry_domain::{app::AppVersion, names::ObjectName};

use super::{MIGRATIONS_TABLE, OWNER_ROLE, ServerAdmin, TOMBSTONE_PREFIX, error::TAKEN};
use crate::sql;

/// The code with which [`install`]'s function refuses a lower token.
pub(super) const FENCED: &str = "TNY02";

/// The code with which [`Fence::begin_migration`] refuses a schema of another version.
pub(super) const UNLIKE: &str = "TNY03";

/// [`Fence::begin_migration`]'s function, the newest that [`install`] makes.
const BEGIN_MIGRATION: &str = "tenantry.begin_migration(uuid, bigint, text, text, bigint)";

/// The schema of Tenantry's own objects in each database that holds tenants. Nobody else may use it.
pub const SYSTEM_SCHEMA: &str = "tenantry";

/// Proof that a worker may act on a subject: the fencing token of its lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence {
    /// The subject's id.
    pub subject: u128,
    /// Grows with each lease on the subject.
    pub token: i64,
}

impl Fence {
    /// The subject as an expression.
    pub(super) fn subject(self) -> String {
        format!("'{:032x}'::uuid", self.subject)
    }

    /// A statement of PL/pgSQL that takes the fence, or ends the block.
    pub(super) fn perform(self) -> String {
        format!("PERFORM {SYSTEM_SCHEMA}.fence({}, {});", self.subject(), self.token)
    }

    /// A statement of PL/pgSQL that notes this session as one that will run statements outside of transactions, or
    /// hold one open for long. After [`Fence::perform`].
    pub(super) fn note_session(self) -> String {
        format!(
            "INSERT INTO {SYSTEM_SCHEMA}.sessions (subject, pid, started, token)
                SELECT {}, pid, backend_start, {} FROM pg_stat_activity WHERE pid = pg_backend_pid()
                ON CONFLICT DO NOTHING;",
            self.subject(),
            self.token
        )
    }

    /// A query that takes the fence for a migration of a schema: it must have the mark and the version.
    pub(super) fn begin_migration(self, schema: &ObjectName, mark: &str, version: AppVersion) -> String {
        format!(
            "SELECT {SYSTEM_SCHEMA}.begin_migration({}, {}, {}, {}, {version})",
            self.subject(),
            self.token,
            sql::literal(schema.as_str()),
            sql::literal(mark),
        )
    }

    /// The prefix of names that databases of this subject get before they are dropped.
    pub(super) fn gone_prefix(self) -> String {
        format!("{TOMBSTONE_PREFIX}{:032x}_", self.subject)
    }

    /// The name that a database gets before this attempt drops it, which no other attempt gives.
    pub(super) fn gone_name(self) -> String {
        format!("{}{:x}", self.gone_prefix(), self.token)
    }
}

/// A statement that takes back what [`Fence::note_session`] has noted of this session.
pub(super) fn forget_session() -> String {
    format!("DELETE FROM {SYSTEM_SCHEMA}.sessions WHERE pid = pg_backend_pid()")
}

/// See [`Fence::perform`]; nothing for objects that have no subject yet.
pub(super) fn perform(fence: Option<Fence>) -> String {
    fence.map_or_else(String::new, Fence::perform)
}

/// An expression that takes the lock of a name in the current database until the transaction ends.
pub(super) fn lock(name: &str) -> String {
    format!("{SYSTEM_SCHEMA}.lock({})", sql::literal(name))
}

/// Makes tables and functions in a database, as a block's statements. Run again it changes nothing.
pub(super) fn install() -> String {
    // Sessions that run a statement outside of any transaction, of earlier attempts or of an earlier try of this
    // one, are ended, and waited for, before the row is raised. Mostly there are none, and the first statement raises it;
    // one may be noted while that waits for the row.
    let fence = format!(
        "CREATE OR REPLACE FUNCTION {SYSTEM_SCHEMA}.fence(subject uuid, token bigint) RETURNS void
        LANGUAGE plpgsql AS $fence$
        DECLARE
            held bigint;
            session record;
        BEGIN
            UPDATE {SYSTEM_SCHEMA}.fences AS known SET token = fence.token, raised_at = now()
                WHERE known.subject = fence.subject AND known.token < fence.token
                    AND NOT EXISTS (SELECT FROM {SYSTEM_SCHEMA}.sessions AS noted WHERE noted.subject = fence.subject);
            IF FOUND AND NOT EXISTS
                    (SELECT FROM {SYSTEM_SCHEMA}.sessions AS noted WHERE noted.subject = fence.subject) THEN
                RETURN;
            END IF;
            LOOP
                INSERT INTO {SYSTEM_SCHEMA}.fences AS known (subject, token) VALUES (fence.subject, fence.token)
                    ON CONFLICT DO NOTHING;
                IF FOUND THEN RETURN; END IF;
                -- One that was frozen in a transaction may hold the row, or that nobody reads from any more.
                PERFORM pg_terminate_backend(pid, 5000) FROM {SYSTEM_SCHEMA}.sessions AS noted
                    JOIN pg_stat_activity USING (pid)
                    WHERE noted.subject = fence.subject AND noted.token <= fence.token
                        AND noted.pid <> pg_backend_pid() AND backend_start = started;
                PERFORM pg_stat_clear_snapshot();
                SELECT known.token INTO held FROM {SYSTEM_SCHEMA}.fences AS known
                    WHERE known.subject = fence.subject FOR UPDATE;
                -- Or the row is so old that it was forgotten just now.
                EXIT WHEN FOUND;
            END LOOP;
            IF held > fence.token THEN
                RAISE EXCEPTION USING ERRCODE = '{FENCED}', MESSAGE = 'a later attempt has taken over';
            END IF;
            FOR session IN
                DELETE FROM {SYSTEM_SCHEMA}.sessions AS noted
                    WHERE noted.subject = fence.subject AND noted.pid <> pg_backend_pid() RETURNING pid, started
            LOOP
                PERFORM pg_terminate_backend(pid, 5000) FROM pg_stat_activity
                    WHERE pid = session.pid AND backend_start = session.started;
                PERFORM pg_stat_clear_snapshot();
                -- Nobody goes on beside one that does not end in time, or is another login's to end.
                IF EXISTS (SELECT FROM pg_stat_activity
                        WHERE pid = session.pid AND coalesce(backend_start = session.started, true)) THEN
                    RAISE EXCEPTION USING ERRCODE = 'lock_not_available',
                        MESSAGE = 'a session of an earlier attempt has not ended yet';
                END IF;
            END LOOP;
            IF held < fence.token THEN
                UPDATE {SYSTEM_SCHEMA}.fences AS known SET token = fence.token, raised_at = now()
                    WHERE known.subject = fence.subject;
            END IF;
        END $fence$;"
    );
    let lock = format!(
        "CREATE OR REPLACE FUNCTION {SYSTEM_SCHEMA}.lock(name text) RETURNS void
        LANGUAGE plpgsql AS $lock$
        BEGIN
            INSERT INTO {SYSTEM_SCHEMA}.locks AS known (name) VALUES (lock.name) ON CONFLICT DO NOTHING;
            PERFORM FROM {SYSTEM_SCHEMA}.locks AS known WHERE known.name = lock.name FOR UPDATE;
        END $lock$;"
    );
    // What a block would do, which is compiled each time.
    let begin_migration = format!(
        "CREATE OR REPLACE FUNCTION {SYSTEM_SCHEMA}.begin_migration(
            subject uuid, token bigint, schema text, mark text, version bigint) RETURNS void
        LANGUAGE plpgsql AS $begin$
        DECLARE
            found_mark text;
            found_version bigint;
        BEGIN
            PERFORM {SYSTEM_SCHEMA}.fence(subject, token);
            SELECT coalesce(description, '') INTO found_mark FROM pg_catalog.pg_namespace
                LEFT JOIN pg_catalog.pg_description ON objoid = pg_namespace.oid AND objsubid = 0
                    AND classoid = 'pg_catalog.pg_namespace'::regclass
                WHERE nspname = schema;
            IF found_mark <> mark THEN
                RAISE EXCEPTION USING ERRCODE = '{TAKEN}', MESSAGE = format('schema %s belongs to another', schema);
            ELSIF found_mark IS NOT NULL THEN
                -- With the owner's rights: to plan it calls functions that stand in the table's indexes, say.
                PERFORM set_config('role', '{OWNER_ROLE}', true);
                EXECUTE format('SELECT version FROM %I.%I ORDER BY version DESC LIMIT 1', schema, '{MIGRATIONS_TABLE}')
                    INTO found_version;
                PERFORM set_config('role', 'none', true);
            END IF;
            IF found_version IS DISTINCT FROM version THEN
                RAISE EXCEPTION USING ERRCODE = '{UNLIKE}', MESSAGE = 'the schema has another version';
            END IF;
        END $begin$;"
    );
    format!(
        "CREATE SCHEMA IF NOT EXISTS {SYSTEM_SCHEMA} AUTHORIZATION {OWNER_ROLE};
        CREATE TABLE IF NOT EXISTS {SYSTEM_SCHEMA}.fences (
            subject uuid PRIMARY KEY, token bigint NOT NULL, raised_at timestamptz NOT NULL DEFAULT now());
        CREATE TABLE IF NOT EXISTS {SYSTEM_SCHEMA}.sessions (
            subject uuid NOT NULL, pid int NOT NULL, started timestamptz NOT NULL,
            PRIMARY KEY (subject, pid, started));
        IF NOT {has_token} THEN
            ALTER TABLE {SYSTEM_SCHEMA}.sessions ADD COLUMN token bigint NOT NULL DEFAULT 0;
        END IF;
        CREATE TABLE IF NOT EXISTS {SYSTEM_SCHEMA}.locks (name text PRIMARY KEY);
        {fence}
        {lock}
        {begin_migration}
        REVOKE ALL ON FUNCTION {SYSTEM_SCHEMA}.fence, {SYSTEM_SCHEMA}.lock, {BEGIN_MIGRATION} FROM PUBLIC;",
        has_token = has_token()
    )
}

/// Whether notes of sessions are those of this release. Asked before they are altered, which waits for every
/// transaction that has the fence; a copy's goes on for hours.
fn has_token() -> String {
    format!(
        "EXISTS (SELECT FROM pg_attribute
            WHERE attrelid = to_regclass('{SYSTEM_SCHEMA}.sessions') AND attname = 'token')"
    )
}

/// What [`install`] makes, as a statement of PL/pgSQL, for a database that has it of an earlier release.
pub(super) fn renew() -> String {
    format!(
        "IF NOT EXISTS (SELECT FROM pg_proc WHERE oid = to_regprocedure('{BEGIN_MIGRATION}')
                AND position('{OWNER_ROLE}' IN prosrc) > 0) THEN
            PERFORM {lock}; {install}
        END IF;",
        lock = lock("prepare"),
        install = install()
    )
}

impl ServerAdmin {
    /// Takes a fence in a database: from then on none with a lower token does anything there. That there is no such database
    /// any more is fine.
    pub async fn raise_fence(&self, database: &ObjectName, fence: Fence) -> Result<(), super::AdminError> {
        match self.run_in(database, "raise a fence", block(Some(fence), "", "NULL;")).await {
            Err(error) if error.is_closed_database() => Ok(()),
            raised => raised.map(drop),
        }
    }

    /// Forgets fences of the shared database that nobody raised for some days; answers how many. A worker
    /// that was frozen for longer than that would find none.
    pub async fn forget_fences(&self, days: u16) -> Result<u64, super::AdminError> {
        let forget = format!(
            "DELETE FROM {SYSTEM_SCHEMA}.sessions WHERE started < now() - interval '{days} days';
            DELETE FROM {SYSTEM_SCHEMA}.fences WHERE raised_at < now() - interval '{days} days'"
        );
        Ok(self.run("forget old fences", forget).await?.rows_affected())
    }
}

/// A block that takes a fence and does something under it, as one statement and one transaction.
pub(super) fn block(fence: Option<Fence>, declarations: &str, body: &str) -> String {
    sql::block(declarations, &format!("{}\n{body}", perform(fence)))
}
