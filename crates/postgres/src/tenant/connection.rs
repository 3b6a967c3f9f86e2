//! One connection that becomes one tenant per transaction, in one round trip.
//!
//! The connection has no task of its own: the caller's writes all messages of a request in one go,
//! and reads the answer.

use std::{
    collections::HashSet,
    io,
    time::{Duration, Instant},
};

use postgres_protocol::message::frontend;
use tenantry_domain::names::ObjectName;

use super::{
    Access, ConnectError, ConnectOptions, LoginTarget, QueryErrorKind, QueryRow, TenantQueryError,
    answer::{self, Answer},
    login::Session,
    request::{self, Openings, Statement},
    statements::Statements,
};

#[cfg(test)]
use super::statements::Plan;

/// A connection that becomes one tenant per transaction.
pub struct TenantConnection {
    session: Session,
    openings: Openings,
    statements: Statements,
    touched: HashSet<ObjectName>,
    opened: Instant,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Between two requests.
    Idle,
    /// A request began and has not ended: what the server is at is not known.
    Busy,
    /// The server hung up, or cannot be understood.
    Closed,
}

impl std::fmt::Debug for TenantConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TenantConnection")
            .field("tenants_touched", &self.touched.len())
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl TenantConnection {
    /// Logs in.
    pub async fn connect(target: &LoginTarget, options: &ConnectOptions) -> Result<Self, ConnectError> {
        Ok(Self {
            session: Session::open(target, options).await?,
            openings: Openings::default(),
            statements: Statements::default(),
            touched: HashSet::new(),
            opened: Instant::now(),
            state: State::Idle,
        })
    }

    /// Runs one statement as a tenant in a transaction of its own, and returns the first row. All
    /// parameters are of type `text`.
    ///
    /// After an error nothing was written, but for [`QueryErrorKind::Connection`], which may come
    /// after a commit. A call that is given up midway leaves the connection closed.
    pub async fn query_one_text(
        &mut self,
        tenant: &ObjectName,
        access: Access,
        statement: &str,
        params: &[Option<String>],
    ) -> Result<QueryRow, TenantQueryError> {
        if self.state != State::Idle {
            return Err(TenantQueryError::bare(QueryErrorKind::Connection, "the connection is closed"));
        }
        if !self.touched.contains(tenant) {
            self.touched.insert(tenant.clone());
        }
        let row = self.ask(tenant, access, Statement { sql: statement, params }).await;
        row.inspect_err(|_| self.statements.forget(tenant, statement))
    }

    async fn ask(
        &mut self,
        tenant: &ObjectName,
        access: Access,
        statement: Statement<'_>,
    ) -> Result<QueryRow, TenantQueryError> {
        let plan = self.statements.plan(tenant, statement.sql);
        let opening = self.openings.prepared(access);
        let out = &mut self.session.wire.outgoing;
        let written = request::close(self.statements.dropped(), out)
            .and_then(|()| request::open(tenant, access, *opening, out))
            .and_then(|()| request::run(statement, &plan, out));
        let answer = self.exchange(written, 2).await?;
        // The opening comes first: if anything was parsed, it was.
        *self.openings.prepared(access) |= answer.parsed > 0;
        answer.into_row()
    }

    /// Sends what was written and reads the answer, unless it could not be written.
    async fn exchange(
        &mut self,
        written: io::Result<()>,
        statements: u32,
    ) -> Result<Answer, TenantQueryError> {
        let wire = &mut self.session.wire;
        if let Err(error) = written {
            wire.outgoing.clear();
            return Err(TenantQueryError::bare(QueryErrorKind::Internal, error.to_string()));
        }
        frontend::sync(&mut wire.outgoing);
        self.state = State::Busy;
        let answer = async {
            wire.send().await?;
            answer::read(wire, statements).await
        };
        let answer = answer.await;
        self.state = if answer.is_ok() { State::Idle } else { State::Closed };
        self.statements.forget_dropped();
        self.session.wire.shrink();
        Ok(answer?)
    }

    /// How many tenants it has been. Each leaves its tables in the server process's caches, so a
    /// connection is better replaced after some hundreds.
    pub fn tenants_touched(&self) -> usize {
        self.touched.len()
    }

    /// Whether it cannot be used any more. Looks, without waiting, whether the server has hung up.
    pub fn is_closed(&mut self) -> bool {
        if self.state == State::Idle && self.session.wire.has_ended() {
            self.state = State::Closed;
        }
        self.state != State::Idle
    }

    /// How long ago it was made.
    pub fn age(&self) -> Duration {
        self.opened.elapsed()
    }
}

impl Drop for TenantConnection {
    /// A query that nobody waits for any more is cancelled, not left to run to its end.
    fn drop(&mut self) {
        if self.state == State::Busy
            && let Some(key) = self.session.cancel_key
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let server = self.session.wire.peer;
            runtime.spawn(async move { key.cancel(server).await });
        }
    }
}

#[cfg(test)]
impl TenantConnection {
    /// A prepared statement and nothing around it, on the same kind of connection: the raw limit.
    pub(crate) async fn bare(&mut self, sql: &str, param: &str) -> String {
        let tenant = ObjectName::parse("bare").unwrap();
        let plan = self.statements.plan(&tenant, sql);
        self.run_alone(sql, &[Some(param.to_owned())], &plan).await
    }

    /// What a query sees between two transactions.
    pub(super) async fn outside(&mut self, sql: &str) -> String {
        self.run_alone(sql, &[], &Plan::Once).await
    }

    async fn run_alone(&mut self, sql: &str, params: &[Option<String>], plan: &Plan) -> String {
        let written = request::run(Statement { sql, params }, plan, &mut self.session.wire.outgoing);
        let row = self.exchange(written, 1).await.unwrap().into_row().unwrap();
        String::from_utf8(row.body.unwrap().into()).unwrap()
    }

    /// Waits until the server sends something, were it only that it hangs up.
    pub(super) async fn readable(&self) {
        self.session.wire.readable().await;
    }
}
