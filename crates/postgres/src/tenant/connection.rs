//! One connection that becomes one tenant per transaction, in one round trip.
//!
//! The connection has no task of its own: the caller's writes all messages of a request in one go,
//! and reads the answer.

use std::{
    collections::HashSet,
    io,
    time::{Duration, Instant},
};

use bytes::Bytes;
use postgres_protocol::message::frontend;
use tenantry_domain::names::ObjectName;

use super::{
    Access, ConnectError, ConnectOptions, LinkError, LoginTarget, QueryErrorKind, QueryRow, TenantQueryError,
    answer::{self, Answer, Expected},
    login::Session,
    request::{self, Extras, Openings, Statement},
    statements::Statements,
};

#[cfg(test)]
use super::statements::Plan;

/// A connection that becomes one tenant per transaction.
pub struct TenantConnection {
    session: Session,
    /// By which its process is ended, should a statement not stop.
    target: LoginTarget,
    options: ConnectOptions,
    openings: Openings,
    statements: Statements,
    touched: HashSet<ObjectName>,
    /// Whose SQL it ran last, and may have left something behind.
    last: Option<ObjectName>,
    /// Its next statement is preceded by a reset.
    resets_next: bool,
    opened: Instant,
    state: State,
}

/// What is to be answered.
#[derive(Clone, Copy)]
struct Asked {
    /// The reset of the session comes first.
    resets: bool,
    expected: Expected,
}

/// How long a statement that was cancelled may take to stop, and a process that was told to end.
const STOPS_WITHIN: Duration = Duration::from_secs(2);

/// How long the server has to stop a statement itself, which leaves the connection usable.
const GRACE: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Between two requests.
    Idle,
    /// A request began and has not ended: what the server is at is not known.
    Busy,
    /// So many bytes of a body, and the end of its answer, are still to be read.
    Reading(usize),
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
            target: target.clone(),
            options: options.clone(),
            openings: Openings::new(),
            statements: Statements::default(),
            touched: HashSet::new(),
            last: None,
            resets_next: false,
            opened: Instant::now(),
            state: State::Idle,
        })
    }

    /// Runs one statement as a tenant in a transaction of its own, and returns the first row. All
    /// parameters are of type `text`.
    ///
    /// After an error nothing was written, but for [`QueryErrorKind::Connection`], which may come
    /// after a commit. A call that is given up midway leaves the connection closed.
    ///
    /// Where it was another tenant before, the session is reset first, in the same round trip.
    pub async fn query_one_text(
        &mut self,
        tenant: &ObjectName,
        access: Access,
        statement: &str,
        params: &[Option<String>],
    ) -> Result<QueryRow, TenantQueryError> {
        self.query(tenant, access, Extras::default(), Statement { sql: statement, params }, false).await
    }

    /// As [`Self::query_one_text`], in a transaction that does more.
    pub async fn query_one_text_with(
        &mut self,
        tenant: &ObjectName,
        access: Access,
        extras: Extras<'_>,
        statement: &str,
        params: &[Option<String>],
    ) -> Result<QueryRow, TenantQueryError> {
        self.query(tenant, access, extras, Statement { sql: statement, params }, false).await
    }

    /// As [`Self::query_one_text`], for a statement that writes nothing: of a row with a long body only the start. Where
    /// [`QueryRow::to_come`] says so, the connection is to be read with [`Self::body_part`] before it can be used again.
    pub async fn read_one_text(
        &mut self,
        tenant: &ObjectName,
        extras: Extras<'_>,
        statement: &str,
        params: &[Option<String>],
    ) -> Result<QueryRow, TenantQueryError> {
        let statement = Statement { sql: statement, params };
        self.query(tenant, Access::ReadOnly, extras, statement, true).await
    }

    /// The next part of a body; none at its end, when the connection can be used again.
    pub async fn body_part(&mut self) -> Result<Option<Bytes>, TenantQueryError> {
        let State::Reading(left) = self.state else { return Ok(None) };
        // What is given up midway leaves the connection closed. The server has nothing left to do but to send it.
        self.state = State::Closed;
        let patience = self.patience();
        let wire = &mut self.session.wire;
        let read = async {
            if left > 0 {
                return wire.part(left).await.map(Some);
            }
            answer::read_end(wire).await.map(|()| None)
        };
        // The server has all of it.
        let part = tokio::time::timeout(patience, read).await.unwrap_or(Err(LinkError::Closed));
        self.state = match &part {
            Ok(Some(part)) => State::Reading(left - part.len()),
            Ok(None) => State::Idle,
            Err(_) => State::Closed,
        };
        Ok(part?)
    }

    async fn query(
        &mut self,
        tenant: &ObjectName,
        access: Access,
        extras: Extras<'_>,
        statement: Statement<'_>,
        in_parts: bool,
    ) -> Result<QueryRow, TenantQueryError> {
        if self.state != State::Idle {
            return Err(TenantQueryError::bare(QueryErrorKind::Connection, "the connection is closed"));
        }
        let touched = extras.touches.unwrap_or(tenant);
        if !self.touched.contains(touched) {
            self.touched.insert(touched.clone());
        }
        let row = self.ask(tenant, access, extras, statement, in_parts).await;
        row.inspect_err(|error| {
            self.statements.forget(tenant, statement.sql);
            if error.kind == QueryErrorKind::NotReset {
                self.state = State::Closed;
            }
        })
    }

    async fn ask(
        &mut self,
        tenant: &ObjectName,
        access: Access,
        extras: Extras<'_>,
        statement: Statement<'_>,
        in_parts: bool,
    ) -> Result<QueryRow, TenantQueryError> {
        let resets = self.last.as_ref().is_some_and(|last| last != tenant || self.resets_next);
        self.resets_next = false;
        let out = &mut self.session.wire.outgoing;
        let mut written = Ok(());
        if resets {
            self.statements = Statements::default();
            written = request::reset(&mut self.openings, access, out);
        }
        if self.last.as_ref() != Some(tenant) {
            self.last = Some(tenant.clone());
        }
        let plan = self.statements.plan(tenant, statement.sql);
        let written = written
            .and_then(|()| request::close(self.statements.dropped(), out))
            .and_then(|()| if extras.rollback { request::begin(out) } else { Ok(()) })
            .and_then(|()| request::open(tenant, access, &mut self.openings, out))
            .and_then(|()| request::prepare(&extras, out))
            .and_then(|()| request::run(statement, &plan, out))
            .and_then(|()| if extras.rollback { request::roll_back(out) } else { Ok(()) });
        let expected = Expected {
            begins: extras.rollback,
            before: 1 + extras.count_before() + u32::from(extras.rollback),
            after: if extras.rollback { 2 } else { 0 },
            in_parts: in_parts && !extras.rollback,
        };
        let answer = self.exchange(written, Asked { resets, expected }).await?;
        // The opening comes first: if anything was parsed, it was.
        *self.openings.prepared(access) |= answer.parsed > 0;
        answer.into_row()
    }

    /// Sends what was written and reads the answer, unless it could not be written.
    async fn exchange(&mut self, written: io::Result<()>, asked: Asked) -> Result<Answer, TenantQueryError> {
        let patience = self.patience();
        let wire = &mut self.session.wire;
        if let Err(error) = written {
            wire.outgoing.clear();
            return Err(TenantQueryError::bare(QueryErrorKind::Internal, error.to_string()));
        }
        frontend::sync(&mut wire.outgoing);
        self.state = State::Busy;
        let answer = async {
            wire.send().await?;
            if asked.resets {
                match answer::read_reset(wire).await {
                    Ok(()) => {}
                    Err(LinkError::Said(error)) => return Ok(Err(error)),
                    // What came after the reset may have been done.
                    Err(lost) => return Err(lost),
                }
            }
            let answer = answer::read(wire, asked.expected).await?;
            if answer.is_open {
                // What came after the error was skipped, the end of the transaction too.
                request::roll_back_failed(&mut wire.outgoing)?;
                wire.send().await?;
                answer::read(wire, Expected::default()).await?;
            }
            Ok::<_, LinkError>(Ok(answer))
        };
        let Ok(answer) = tokio::time::timeout(patience, answer).await else {
            // Closed, and cancelled, when it is dropped.
            return Err(TenantQueryError::bare(QueryErrorKind::Timeout, "the statement did not end in time"));
        };
        let answer = match answer {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                return Err(TenantQueryError::bare(QueryErrorKind::NotReset, error.to_string()));
            }
            Err(error) => Err(error),
        };
        self.state = match &answer {
            Ok(Answer { row: Some(Ok(row)), .. }) if row.to_come > 0 => State::Reading(row.to_come),
            Ok(_) => State::Idle,
            Err(_) => State::Closed,
        };
        self.statements.forget_dropped();
        self.session.wire.shrink();
        Ok(answer?)
    }

    /// How long a statement may run, whatever its own SQL does to `statement_timeout`.
    fn patience(&self) -> Duration {
        self.options.statement_timeout + GRACE
    }

    /// Its next statement finds the session as it was after the log-in, also if it is the same tenant's.
    pub fn reset_next(&mut self) {
        self.resets_next = true;
    }

    /// Closes it when its process on the server has nothing more to do: a statement that nobody waits for any more is
    /// cancelled, and where its SQL catches that, the process is ended. Ends when that is so, be it never.
    pub async fn end(mut self) {
        let Some(canceller) = self.session.canceller.take().filter(|_| self.is_busy()) else {
            return;
        };
        self.state = State::Closed;
        let wire = &mut self.session.wire;
        // Of several answers that may be due, the last one is followed by the end of the connection.
        wire.outgoing.clear();
        frontend::terminate(&mut wire.outgoing);
        let _ = tokio::time::timeout(STOPS_WITHIN, wire.send()).await;
        let mut ended = async |within| tokio::time::timeout(within, answer::read_to_end(wire)).await.is_ok();
        let _ = canceller.cancel().await;
        if ended(STOPS_WITHIN).await {
            return;
        }
        tracing::warn!(
            login = self.target.login.as_str(),
            "a statement goes on after it was cancelled; its process is ended"
        );
        loop {
            let terminated = terminate(&self.target, &self.options, canceller.process()).await;
            // Where the connection was cut without a word, only the server knows.
            if terminated.as_ref().is_ok_and(|was_there| !was_there) || ended(STOPS_WITHIN).await {
                return;
            }
            if let Err(error) = terminated {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the process cannot be ended: {error}"
                );
            }
        }
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

    /// Whether the server may be at work for a request that has not ended.
    pub fn is_busy(&self) -> bool {
        self.state == State::Busy
    }

    /// How long ago it was made.
    pub fn age(&self) -> Duration {
        self.opened.elapsed()
    }
}

/// Ends a process of the login's own; false where there is none any more.
async fn terminate(
    target: &LoginTarget,
    options: &ConnectOptions,
    process: i32,
) -> Result<bool, ConnectError> {
    let mut session = Session::open(target, options).await?;
    let asked = async {
        let end = format!("SELECT pg_catalog.pg_terminate_backend({process})");
        frontend::query(&end, &mut session.wire.outgoing)?;
        session.wire.send().await?;
        answer::read_bool(&mut session.wire).await
    };
    let was_there = tokio::time::timeout(options.connect_timeout, asked).await;
    // Without an answer it may be there.
    Ok(!matches!(was_there, Ok(Ok(Some(false)))))
}

impl Drop for TenantConnection {
    /// A query that nobody waits for any more is cancelled, not left to run to its end. See also [`Self::end`].
    fn drop(&mut self) {
        if self.state == State::Busy
            && let Some(canceller) = self.session.canceller.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(async move { canceller.cancel().await });
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
        let row = self
            .exchange(written, Asked { resets: false, expected: Expected::default() })
            .await
            .unwrap()
            .into_row()
            .unwrap();
        String::from_utf8(row.body.unwrap().into()).unwrap()
    }

    /// Waits until the server sends something, were it only that it hangs up.
    pub(super) async fn readable(&self) {
        self.session.wire.readable().await;
    }
}
