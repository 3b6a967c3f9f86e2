//! The fence: what makes a late twin harmless.
//!
//! A worker may be frozen between two statements and wake up after another has finished its operation, and
//! even after a new tenant has taken the name. So every effect carries the fencing token of its lease into
//! its own transaction: `tenantry.fence(subject, token)` takes the subject's row, refuses a token lower than
//! the highest that it has seen ([`AdminError::Fenced`](super::AdminError::Fenced)) and holds the row until
//! the transaction ends, so that two workers' effects on one subject never run beside each other.
//!
//! A statement that PostgreSQL runs only outside of transactions either acts on a name that only this
//! attempt can have (see `database`), or runs in a session that holds the subject's advisory lock: the first
//! higher token ends such sessions before it goes on.
//!
//! Each database has its own table, since a transaction sees one database only. An attempt that has an
//! effect in a database has taken the fence there; one that has none there leaves nothing to undo.

use super::{OWNER_ROLE, ServerAdmin, TOMBSTONE_PREFIX};
use crate::sql;

/// The code with which [`install`]'s function refuses a lower token.
pub(super) const FENCED: &str = "TNY02";

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
    fn subject(self) -> String {
        format!("'{:032x}'::uuid", self.subject)
    }

    /// A statement of PL/pgSQL that takes the fence, or ends the block.
    pub(super) fn perform(self) -> String {
        format!("PERFORM {SYSTEM_SCHEMA}.fence({}, {});", self.subject(), self.token)
    }

    /// The session lock under which statements run that no transaction can hold.
    pub(super) fn session_lock(self) -> String {
        format!("SELECT pg_advisory_lock(hashtextextended('tenantry:session:{:032x}', 0))", self.subject)
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

/// See [`Fence::perform`]; nothing for objects that have no subject yet.
pub(super) fn perform(fence: Option<Fence>) -> String {
    fence.map_or_else(String::new, Fence::perform)
}

/// Makes table and function in a database, as a block's statements. Run again it changes nothing.
pub(super) fn install() -> String {
    // `held < token`: the first look of a later attempt. Sessions of earlier ones that run a statement
    // outside of any transaction are ended, and waited for, before the row is raised.
    let function = format!(
        "CREATE OR REPLACE FUNCTION {SYSTEM_SCHEMA}.fence(subject uuid, token bigint) RETURNS void
        LANGUAGE plpgsql AS $fence$
        DECLARE
            held bigint;
            session bigint := hashtextextended('tenantry:session:' || replace(fence.subject::text, '-', ''), 0);
        BEGIN
            INSERT INTO {SYSTEM_SCHEMA}.fences AS known (subject, token) VALUES (fence.subject, fence.token)
                ON CONFLICT DO NOTHING;
            IF FOUND THEN RETURN; END IF;
            SELECT known.token INTO held FROM {SYSTEM_SCHEMA}.fences AS known
                WHERE known.subject = fence.subject FOR UPDATE;
            IF held > fence.token THEN
                RAISE EXCEPTION USING ERRCODE = '{FENCED}', MESSAGE = 'a later attempt has taken over';
            ELSIF held < fence.token THEN
                PERFORM pg_terminate_backend(pid, 5000) FROM pg_locks
                    WHERE locktype = 'advisory' AND granted AND pid <> pg_backend_pid() AND objsubid = 1
                        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
                        AND (classid::bigint << 32) | objid::bigint = session;
                -- One that does not end in time still holds its lock: nobody goes on beside it.
                IF NOT pg_try_advisory_xact_lock(session) THEN
                    RAISE EXCEPTION USING ERRCODE = 'lock_not_available',
                        MESSAGE = 'a session of an earlier attempt has not ended yet';
                END IF;
                UPDATE {SYSTEM_SCHEMA}.fences AS known SET token = fence.token, raised_at = now()
                    WHERE known.subject = fence.subject;
            END IF;
        END $fence$;"
    );
    format!(
        "CREATE SCHEMA IF NOT EXISTS {SYSTEM_SCHEMA} AUTHORIZATION {OWNER_ROLE};
        CREATE TABLE IF NOT EXISTS {SYSTEM_SCHEMA}.fences (
            subject uuid PRIMARY KEY, token bigint NOT NULL, raised_at timestamptz NOT NULL DEFAULT now());
        {function}
        REVOKE ALL ON FUNCTION {SYSTEM_SCHEMA}.fence FROM PUBLIC;"
    )
}

impl ServerAdmin {
    /// Forgets fences of the shared database that nobody raised for some days; answers how many. A worker
    /// that was frozen for longer than that would find none.
    pub async fn forget_fences(&self, days: u16) -> Result<u64, super::AdminError> {
        let forget =
            format!("DELETE FROM {SYSTEM_SCHEMA}.fences WHERE raised_at < now() - interval '{days} days'");
        Ok(self.run("forget old fences", forget).await?.rows_affected())
    }
}

/// A block that takes a fence and does something under it, as one statement and one transaction.
pub(super) fn block(fence: Option<Fence>, declarations: &str, body: &str) -> String {
    sql::block(declarations, &format!("{}\n{body}", perform(fence)))
}
