//! The first connection: whether there is one, as whom, and if not, why not.
//!
//! A pool tries for seconds and then says that it timed out. At its start a process connects once
//! without one, and says what is wrong in terms of what an operator can mend.

use std::{io, time::Duration};

use sqlx::{
    ConnectOptions, Connection, PgConnection,
    error::DatabaseError,
    postgres::{PgConnectOptions, PgDatabaseError, PgPoolOptions},
};
use tokio::time::timeout;

use crate::{Part, Registry, RegistryError};

/// A server notices within half a minute that the other end of a connection is gone, and lets go
/// of the locks of a session that was left in the middle of a transaction.
const SESSION: [(&str, &str); 4] = [
    ("tcp_keepalives_idle", "10"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "3"),
    ("idle_in_transaction_session_timeout", "10s"),
];

/// How a part's sessions begin: as its database role.
pub(crate) fn session_options(options: PgConnectOptions, part: Part) -> PgConnectOptions {
    let options = options
        .application_name(part.role().unwrap_or("tenantry"))
        .log_statements(tracing::log::LevelFilter::Trace)
        .log_slow_statements(tracing::log::LevelFilter::Debug, Duration::from_secs(1));
    match part.role() {
        Some(role) => options.options(SESSION).options([("role", role)]),
        None => options,
    }
}

/// Refuses a session that does not run as its part's role: it would have all rights of the login.
pub(crate) async fn check_role(connection: &mut PgConnection, part: Part) -> Result<(), sqlx::Error> {
    let Some(role) = part.role() else { return Ok(()) };
    let actual: String =
        sqlx::query_scalar("SELECT current_user::text").persistent(false).fetch_one(connection).await?;
    if actual == role {
        return Ok(());
    }
    Err(sqlx::Error::Configuration(
        format!(
            "the session runs as `{actual}` instead of `{role}`: a connection pooler in between (PgBouncer, \
             say) drops the startup option `role`; give the address of PostgreSQL itself"
        )
        .into(),
    ))
}

impl Registry {
    /// Connects once, past the pool, to say what is wrong where that fails.
    ///
    /// # Errors
    /// [`RegistryError::Unreachable`], with the address and the cause.
    pub async fn reach(&self) -> Result<(), RegistryError> {
        let limit = self.health.limit();
        let attempt = async {
            let mut connection = self.options.connect().await?;
            check_role(&mut connection, self.part).await?;
            connection.close().await
        };
        let unreachable = |reason| RegistryError::Unreachable { address: address(&self.options), reason };
        match timeout(limit, attempt).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(unreachable(self.explain(&error))),
            Err(_) => Err(unreachable(format!("no answer within {limit:?}"))),
        }
    }

    fn explain(&self, error: &sqlx::Error) -> String {
        match error {
            sqlx::Error::Io(error) => match error.kind() {
                io::ErrorKind::ConnectionRefused => "connection refused; is it running there?".to_owned(),
                io::ErrorKind::UnexpectedEof => "it closed the connection".to_owned(),
                _ => error.to_string(),
            },
            sqlx::Error::Configuration(reason) => reason.to_string(),
            sqlx::Error::Database(error) => self.explain_refusal(&**error),
            other => other.to_string(),
        }
    }

    fn explain_refusal(&self, error: &dyn DatabaseError) -> String {
        let (host, port, user) =
            (self.options.get_host(), self.options.get_port(), self.options.get_username());
        let message = error.message();
        // The function of PostgreSQL that refuses; what stands in between says none.
        let routine = error.try_downcast_ref().and_then(PgDatabaseError::routine);
        let refuses_role = routine == Some("call_string_check_hook")
            && self.part.role().is_some_and(|role| message.contains(role));
        match error.code().as_deref() {
            Some("28P01" | "28000") => {
                format!("it refuses the login `{user}` ({message}); are user and password right?")
            }
            Some("3D000") => {
                let database = self.options.get_database().unwrap_or(user);
                format!(
                    "there is no database `{database}`; make it with \
                     `createdb --host {host} --port {port} --username {user} {database}`"
                )
            }
            // The role of the startup option: roles are made by the first migration.
            Some("22023") if refuses_role => {
                format!("{message}; run `tenantry migrate` first")
            }
            Some("42501") if refuses_role => format!(
                "{message}; the login `{user}` must be a member of it, as the one is that ran `tenantry migrate`"
            ),
            Some("08P01") if routine.is_none() => format!(
                "{message}: a connection pooler is in between, and Tenantry's sessions begin with a database \
                 role; give the address of PostgreSQL itself"
            ),
            _ => message.to_owned(),
        }
    }

    /// Connections of a listener's own: it would keep one of the registry's pool for ever.
    pub(crate) fn listener_options(&self) -> PgPoolOptions {
        PgPoolOptions::new()
            .max_connections(1)
            .max_lifetime(None)
            .idle_timeout(None)
            .acquire_timeout(self.health.limit())
    }
}

/// Host and port, or the folder of the socket.
fn address(options: &PgConnectOptions) -> String {
    match options.get_socket() {
        Some(folder) => folder.display().to_string(),
        None => format!("{}:{}", options.get_host(), options.get_port()),
    }
}
