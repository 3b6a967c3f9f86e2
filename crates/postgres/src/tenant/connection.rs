//! One connection that becomes one tenant per transaction, in one round trip.
//!
//! The connection has no task of its own: a query drives it. All messages of a request are written
//! in one go, and the answer wakes one task, not two.

use std::{
    collections::HashSet,
    future::poll_fn,
    pin::pin,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::{TryStreamExt, future};
use secrecy::{ExposeSecret, SecretString};
use tenantry_domain::names::{EXTENSIONS_SCHEMA, ObjectName};
use tokio_postgres::{
    Client, Connection, Error, NoTls, Row, RowStream, Socket,
    tls::NoTlsStream,
    types::{FromSql, Type},
};

use super::{
    ConnectError, QueryErrorKind, TenantQueryError,
    statements::{Plan, Statements},
};

/// Where the data plane logs in, and as whom.
#[derive(Debug, Clone)]
pub struct LoginTarget {
    /// The server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The database.
    pub database: ObjectName,
    /// A role without rights that may become tenants.
    pub login: ObjectName,
    /// Its password.
    pub password: SecretString,
}

/// How to connect, the same for all tenants of a data plane.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// How long logging in may take.
    pub connect_timeout: Duration,
    /// How long one statement may run.
    pub statement_timeout: Duration,
    /// What operators see in `pg_stat_activity`.
    pub application_name: String,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(30),
            application_name: "tenantry-data-plane".into(),
        }
    }
}

/// What a transaction may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// Read: PostgreSQL refuses everything else.
    ReadOnly,
    /// Read and write.
    ReadWrite,
}

/// The first row of an answer; all of it is empty when there is none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueryRow {
    /// The first column: `text`, `json` or `jsonb`, as text.
    pub body: Option<Bytes>,
    /// The second column, a `bigint`: rows in the body.
    pub page_count: i64,
    /// The third column, a `bigint`: rows in all, where they were counted.
    pub total_count: Option<i64>,
}

/// A connection that becomes one tenant per transaction.
pub struct TenantConnection {
    client: Client,
    /// `None` once it has ended.
    connection: Option<Connection<Socket, NoTlsStream>>,
    statements: Statements,
    touched: HashSet<ObjectName>,
    opened: Instant,
    /// A query began and has not ended: the state of the connection is not known.
    busy: bool,
}

impl std::fmt::Debug for TenantConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TenantConnection")
            .field("tenants_touched", &self.touched.len())
            .field("busy", &self.busy)
            .finish_non_exhaustive()
    }
}

impl TenantConnection {
    /// Logs in.
    pub async fn connect(target: &LoginTarget, options: &ConnectOptions) -> Result<Self, ConnectError> {
        let server = format!("{}:{}", target.host, target.port);
        let statement_timeout = options.statement_timeout.as_millis();
        let mut config = tokio_postgres::Config::new();
        config
            .host(&target.host)
            .port(target.port)
            .dbname(target.database.as_str())
            .user(target.login.as_str())
            .password(target.password.expose_secret())
            .application_name(&options.application_name)
            .keepalives_idle(Duration::from_secs(30))
            // A server that vanished without a word: the statement would have ended by then.
            .tcp_user_timeout(options.statement_timeout + Duration::from_secs(10))
            // For the session, so that no request has to. Nobody but us writes statements here.
            .options(format!(
                "-c statement_timeout={statement_timeout} -c idle_in_transaction_session_timeout=60000 \
                 -c client_min_messages=warning -c jit=off"
            ));
        let connecting = tokio::time::timeout(options.connect_timeout, config.connect(NoTls));
        match connecting.await {
            Err(_) => Err(ConnectError::Timeout { server }),
            Ok(Err(source)) => Err(ConnectError::new(server, source)),
            Ok(Ok((client, connection))) => Ok(Self {
                client,
                connection: Some(connection),
                statements: Statements::default(),
                touched: HashSet::new(),
                opened: Instant::now(),
                busy: false,
            }),
        }
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
        if self.busy || self.connection.is_none() {
            return Err(TenantQueryError::bare(QueryErrorKind::Connection, "the connection is closed"));
        }
        if !self.touched.contains(tenant) {
            self.touched.insert(tenant.clone());
        }
        self.busy = true;
        let plan = self.statements.plan(tenant, statement);
        let client = &self.client;
        let opening = opening(tenant, access);
        let begin = client.batch_execute(&opening);
        let commit = client.batch_execute("COMMIT");
        // The futures send when they are first polled, and they are polled in this order. Should
        // one fail, the server refuses what follows it, and the commit is a rollback.
        let connection = &mut self.connection;
        let (became, answer, committed) = match plan {
            Plan::Prepared(prepared) => {
                let query = first_row(client.query_raw(&prepared, params));
                drive(connection, future::join3(begin, query, commit)).await?
            }
            Plan::Once => {
                let query = first_row(client.query_typed_raw(statement, typed(params)));
                drive(connection, future::join3(begin, query, commit)).await?
            }
            Plan::Prepare => {
                let query = first_row(client.query_typed_raw(statement, typed(params)));
                let types = vec![Type::TEXT; params.len()];
                let prepare = client.prepare_typed(statement, &types);
                let work = future::join4(begin, query, prepare, commit);
                let (became, answer, prepared, committed) = drive(connection, work).await?;
                if let Ok(prepared) = prepared {
                    self.statements.keep(tenant, statement, prepared);
                }
                (became, answer, committed)
            }
        };
        // All answers are in, so the transaction is over, unless the connection is.
        self.busy = self.connection.is_none();
        let row = became.and(answer).and_then(|row| committed.map(|()| row));
        let row = row.inspect_err(|_| self.statements.forget(tenant, statement))?;
        row.as_ref().map(read).transpose().map(Option::unwrap_or_default).map_err(TenantQueryError::from)
    }

    /// How many tenants it has been. Each leaves its tables in the server process's caches, so a
    /// connection is better replaced after some hundreds.
    pub fn tenants_touched(&self) -> usize {
        self.touched.len()
    }

    /// Whether it cannot be used any more. Looks, without waiting, whether the server has hung up.
    pub fn is_closed(&mut self) -> bool {
        if self.busy {
            return true;
        }
        let mut context = Context::from_waker(Waker::noop());
        while let Some(connection) = &mut self.connection {
            match connection.poll_message(&mut context) {
                Poll::Pending => return false,
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(None | Some(Err(_))) => self.connection = None,
            }
        }
        true
    }

    /// How long ago it was made.
    pub fn age(&self) -> Duration {
        self.opened.elapsed()
    }
}

#[cfg(test)]
impl TenantConnection {
    /// A prepared statement and nothing around it, on the same kind of connection: the raw limit.
    pub(crate) async fn bare(&mut self, sql: &str, param: &str) -> String {
        let tenant = ObjectName::parse("bare").unwrap();
        let statement = if let Plan::Prepared(statement) = self.statements.plan(&tenant, sql) {
            statement
        } else {
            let prepare = self.client.prepare_typed(sql, &[Type::TEXT]);
            let statement = drive(&mut self.connection, prepare).await.unwrap().unwrap();
            self.statements.keep(&tenant, sql, statement.clone());
            statement
        };
        let query = first_row(self.client.query_raw(&statement, [Some(param)]));
        drive(&mut self.connection, query).await.unwrap().unwrap().unwrap().get(0)
    }

    /// What a query sees between two transactions.
    pub(super) async fn outside(&mut self, sql: &str) -> String {
        let query = self.client.query_one(sql, &[]);
        drive(&mut self.connection, query).await.unwrap().unwrap().get(0)
    }
}

impl Drop for TenantConnection {
    /// A query that nobody waits for any more is cancelled, not left to run to its end.
    fn drop(&mut self) {
        if self.busy
            && self.connection.is_some()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let cancel = self.client.cancel_token();
            runtime.spawn(async move { cancel.cancel_query(NoTls).await });
        }
    }
}

fn opening(tenant: &ObjectName, access: Access) -> String {
    let mode = match access {
        Access::ReadOnly => " READ ONLY",
        Access::ReadWrite => "",
    };
    format!(
        "BEGIN{mode}; SET LOCAL ROLE \"{tenant}\"; SET LOCAL search_path = \"{tenant}\", {EXTENSIONS_SCHEMA}"
    )
}

fn typed(params: &[Option<String>]) -> impl ExactSizeIterator<Item = (&Option<String>, Type)> {
    params.iter().map(|param| (param, Type::TEXT))
}

/// The first row of a query, when all of its answer is in.
async fn first_row(query: impl Future<Output = Result<RowStream, Error>>) -> Result<Option<Row>, Error> {
    let mut rows = pin!(query.await?);
    let first = rows.try_next().await?;
    while rows.try_next().await?.is_some() {}
    Ok(first)
}

/// Polls some work and the connection that carries it.
async fn drive<T>(
    connection: &mut Option<Connection<Socket, NoTlsStream>>,
    work: impl Future<Output = T>,
) -> Result<T, TenantQueryError> {
    let mut work = pin!(work);
    poll_fn(|context| {
        loop {
            // First what there is to send, then the connection, then what it received.
            if let Poll::Ready(done) = work.as_mut().poll(context) {
                return Poll::Ready(Ok(done));
            }
            let Some(alive) = connection else {
                let lost = TenantQueryError::bare(QueryErrorKind::Connection, "the connection was closed");
                return Poll::Ready(Err(lost));
            };
            match alive.poll_message(context) {
                Poll::Pending => return work.as_mut().poll(context).map(Ok),
                Poll::Ready(Some(Ok(_notice))) => {}
                Poll::Ready(Some(Err(error))) => {
                    *connection = None;
                    // The server's farewell says more than that it is gone.
                    let mut farewell = TenantQueryError::from(error);
                    farewell.kind = QueryErrorKind::Connection;
                    return Poll::Ready(Err(farewell));
                }
                Poll::Ready(None) => *connection = None,
            }
        }
    })
    .await
}

fn read(row: &Row) -> Result<QueryRow, Error> {
    Ok(QueryRow {
        body: row.try_get::<_, Option<Text>>(0)?.map(|text| text.0),
        page_count: if row.len() > 1 { row.try_get::<_, Option<i64>>(1)?.unwrap_or_default() } else { 0 },
        total_count: if row.len() > 2 { row.try_get(2)? } else { None },
    })
}

/// The bytes of a text or of a JSON value as text.
struct Text(Bytes);

impl<'a> FromSql<'a> for Text {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        // The binary form of `jsonb` is a version, 1, and the text.
        let text = if kind == &Type::JSONB {
            raw.strip_prefix(&[1]).ok_or("an unknown version of jsonb")?
        } else {
            raw
        };
        Ok(Self(Bytes::copy_from_slice(text)))
    }

    fn accepts(kind: &Type) -> bool {
        matches!(*kind, Type::TEXT | Type::VARCHAR | Type::NAME | Type::JSON | Type::JSONB)
    }
}
