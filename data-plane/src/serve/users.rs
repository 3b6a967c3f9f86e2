//! Statements of Tenantry's own on what it keeps of a tenant's users: where the tenant is, by a login of their own.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use tenantry_domain::{
    names::ObjectName,
    route::RoutePlacement,
    user::{SESSIONS_TABLE, USERS_TABLE},
};
use tenantry_postgres::tenant::{Access, Extras, USERS_ROLE};

use super::{Failed, Failure, Runner, claim, connect_failed, is_sent_again, statement_failed};
use crate::routes::CachedRoute;

/// A statement that answers one row of one column: JSON.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UsersStatement<'a> {
    pub(crate) access: Access,
    /// `{users}` and `{sessions}` stand for the tables.
    pub(crate) sql: &'a str,
    /// All of type `text`.
    pub(crate) params: &'a [Option<String>],
    /// It sees what the one before it has written: of the tenant's statements that ask so one runs at a time.
    pub(crate) one_at_a_time: bool,
}

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
        let UsersStatement { access, sql, params, one_at_a_time } = statement;
        let unavailable = || Failed::StalePlacement(Failure::Unavailable);
        let placement = route.placement.as_ref().ok_or_else(unavailable)?;
        let login = placement.server.users_login.clone().ok_or_else(unavailable)?;
        if access == Access::ReadWrite && placement.in_cutover {
            return Err(Failed::Held);
        }
        let schema = placement.schema.quoted();
        let sql = sql
            .replace("{users}", &format!("{schema}.{USERS_TABLE}"))
            .replace("{sessions}", &format!("{schema}.{SESSIONS_TABLE}"));
        let turn = one_at_a_time.then(|| format!("users of {}", placement.schema));
        let extras = Extras { one_at_a_time: turn.as_deref(), ..Extras::default() };
        let at = RoutePlacement { login: Arc::new(login), ..placement.clone() };
        let mut lease = self.pools.get(&at, claim(route)).await.map_err(connect_failed)?;
        let mut answer = lease.connection().query_one_text_with(&ROLE, access, extras, &sql, params).await;
        if answer.as_ref().is_err_and(|error| is_sent_again(error, &lease, access)) {
            drop(lease);
            lease = self.pools.get_new(&at, claim(route)).await.map_err(connect_failed)?;
            answer = lease.connection().query_one_text_with(&ROLE, access, extras, &sql, params).await;
        }
        lease.release();
        answer.map(|row| row.body).map_err(|error| statement_failed(error, access))
    }
}
