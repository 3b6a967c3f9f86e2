//! Statements of Tenantry's own on what it keeps of a tenant's users: where the tenant is, by a login of their own.

use std::{
    sync::{Arc, LazyLock},
    time::Instant,
};

use bytes::Bytes;
use tenantry_domain::{
    names::ObjectName,
    route::RoutePlacement,
    user::{SESSIONS_TABLE, USERS_TABLE},
};
use tenantry_postgres::tenant::{Access, Extras, USERS_ROLE};

use super::{Failed, Failure, Runner, claim, connect_failed, is_sent_again, statement_failed};
use crate::{pool::Lease, routes::CachedRoute};

/// A statement that answers one row of one column: JSON.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UsersStatement<'a> {
    pub(crate) access: Access,
    /// `{users}` and `{sessions}` stand for the tables.
    pub(crate) sql: &'a str,
    /// All of type `text`.
    pub(crate) params: &'a [Option<String>],
    pub(crate) locks: Locks,
}

/// What a statement waits for before it looks: it sees what whoever had it before has written.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Locks {
    /// All others that ask so, of this tenant.
    pub(crate) all: bool,
    /// Whoever changes this user, or lets him in.
    pub(crate) user: Option<i64>,
}

impl Locks {
    /// A block that takes them. Rows, for nobody but us can lock those, unlike advisory locks, and for autovacuum takes none: the
    /// first user's for all, or the table where there is none.
    fn taken(self, users: &str) -> Option<String> {
        let all = if self.all {
            format!(
                "LOOP
                    SELECT min(id) INTO first FROM {users};
                    IF first IS NULL THEN LOCK {users} IN SHARE UPDATE EXCLUSIVE MODE; EXIT; END IF;
                    PERFORM FROM {users} WHERE id = first FOR UPDATE;
                    EXIT WHEN FOUND;
                END LOOP;"
            )
        } else {
            String::new()
        };
        let user = self.user.map(|id| format!("PERFORM FROM {users} WHERE id = {id} FOR UPDATE;"));
        let any = self.all || user.is_some();
        let user = user.unwrap_or_default();
        any.then(|| format!("DO $lock$ DECLARE first bigint; BEGIN {all} {user} END $lock$"))
    }
}

const UNDEFINED_TABLE: &str = "42P01";
const UNDEFINED_SCHEMA: &str = "3F000";

static ROLE: LazyLock<ObjectName> = LazyLock::new(|| ObjectName::parse(USERS_ROLE).expect("it is a name"));

impl Runner {
    /// Runs a statement; the row's value, if there is a row. As for other requests a tenant that was moved is looked for once,
    /// and what writes waits for the end of a move.
    pub(crate) async fn ask_users(
        &self,
        route: &CachedRoute,
        statement: UsersStatement<'_>,
    ) -> Result<Option<Bytes>, Failure> {
        let failed = match self.ask_users_at(route, statement).await {
            Ok(value) => return Ok(value),
            Err(failed) => failed,
        };
        let newer = self.newer_placement(route, failed).await?;
        Ok(self.ask_users_at(&newer, statement).await?)
    }

    async fn ask_users_at(
        &self,
        route: &CachedRoute,
        statement: UsersStatement<'_>,
    ) -> Result<Option<Bytes>, Failed> {
        let UsersStatement { access, sql, params, locks } = statement;
        let unavailable = || Failed::StalePlacement(Failure::Unavailable);
        let placement = route.placement.as_ref().ok_or_else(unavailable)?;
        let no_users = || Failed::StalePlacement(Failure::NoUsers);
        let login = placement.server.users_login.clone().ok_or_else(no_users)?;
        if access == Access::ReadWrite && placement.in_cutover {
            return Err(Failed::Held);
        }
        let schema = placement.schema.quoted();
        let sql = sql
            .replace("{users}", &format!("{schema}.{USERS_TABLE}"))
            .replace("{sessions}", &format!("{schema}.{SESSIONS_TABLE}"));
        let lock = locks.taken(&format!("{schema}.{USERS_TABLE}"));
        let extras = Extras { first: lock.as_deref(), touches: Some(&placement.schema), ..Extras::default() };
        let at = RoutePlacement { login: Arc::new(login), ..placement.clone() };
        let mut lease = self.pools.get(&at, claim(route)).await.map_err(connect_failed)?;
        let ask = async |lease: &mut Lease| {
            lease.statement_begins();
            let began = Instant::now();
            let answer = lease.connection().query_one_text_with(&ROLE, access, extras, &sql, params).await;
            lease.statement_ends();
            // Not what requests for data may take: anybody may try to log in.
            self.usage.worked(route.tenant_id, began.elapsed());
            answer
        };
        let mut answer = ask(&mut lease).await;
        if answer.as_ref().is_err_and(|error| is_sent_again(error, &lease, access)) {
            drop(lease);
            lease = self.pools.get_new(&at, claim(route)).await.map_err(connect_failed)?;
            answer = ask(&mut lease).await;
        }
        lease.release();
        answer.map(|row| row.body).map_err(|error| match error.code.as_deref() {
            // Dropped where the tenant was: our login, unlike one that becomes the tenant, meets that in the statement only.
            Some(UNDEFINED_TABLE | UNDEFINED_SCHEMA) => {
                Failed::StalePlacement(Failure::Statement { error, may_have_written: false })
            }
            _ => statement_failed(error, access),
        })
    }
}
