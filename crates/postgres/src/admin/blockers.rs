//! Tenants' sessions that somebody waits for.

use super::OWNER_ROLE;
use crate::sql;

/// A statement that ends the sessions of tenants' own which hold the locks that a backend waits for.
pub(super) fn end(backend: i32) -> String {
    sql::block(
        "blocker record; lent boolean;",
        &format!(
            "FOR blocker IN SELECT pid, usename FROM pg_stat_activity
                    WHERE pid = ANY (pg_blocking_pids({backend}))
                        AND shobj_description(usesysid, 'pg_authid') LIKE 'tenantry:%'
                        AND NOT pg_has_role(usesysid, '{OWNER_ROLE}', 'MEMBER') LOOP
                {lend}
                PERFORM pg_terminate_backend(blocker.pid);
                {give_back}
            END LOOP;",
            lend = sql::lend("blocker.usename"),
            give_back = sql::give_back("blocker.usename"),
        ),
    )
}
