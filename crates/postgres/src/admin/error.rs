//! What goes wrong on a tenant server, and whether to try again.

use sqlx::postgres::{PgDatabaseError, PgSeverity};
use tenantry_domain::Invalid;

use super::fence::FENCED;
use crate::{sql, tenant::LinkError};

/// The code with which our own SQL says that an object belongs to another.
pub(super) const TAKEN: &str = "TNY01";

/// What kind of object an error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectKind {
    /// A role.
    Role,
    /// A schema.
    Schema,
    /// A database.
    Database,
}

impl ObjectKind {
    /// As in a sentence.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Role => "role",
            Self::Schema => "schema",
            Self::Database => "database",
        }
    }

    /// A statement of PL/pgSQL that ends the block: the object has another mark.
    pub(super) fn raise_taken(self, name: &str) -> String {
        let message = format!("{} {name} belongs to another", self.as_str());
        format!("RAISE EXCEPTION USING ERRCODE = '{TAKEN}', MESSAGE = {};", sql::literal(&message))
    }
}

/// What went wrong on a tenant server. [`AdminError::is_transient`] says whether to try again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdminError {
    /// The server could not be reached, or the connection was lost.
    #[error(
        "cannot {task}: PostgreSQL at {server} is out of reach ({source}); check that it runs and accepts connections"
    )]
    Unreachable {
        /// `host:port`.
        server: String,
        /// What was being done.
        task: &'static str,
        /// Whether a statement may have been sent: false, and nothing was done.
        sent: bool,
        /// Why not.
        source: Box<sqlx::Error>,
    },
    /// The server is there and done with the statement, or does not know of it, but its answer does not come: the
    /// connection is dead, and neither end was told. The statement may have run.
    #[error(
        "PostgreSQL at {server} answers, but not on the connection that the work was sent on; it is tried again on another"
    )]
    Unanswered {
        /// `host:port`.
        server: String,
    },
    /// The server refused a statement.
    #[error("cannot {task}: PostgreSQL at {server} says {message} (SQLSTATE {code})")]
    Refused {
        /// `host:port`.
        server: String,
        /// What was being done.
        task: &'static str,
        /// The SQLSTATE.
        code: String,
        /// The server's message, with its detail and hint.
        message: String,
        /// The error itself.
        source: Box<sqlx::Error>,
    },
    /// An object of that name exists and is not this tenant's.
    #[error(
        "cannot {task} on {server}: {message}; rename or drop it by hand if nobody needs it, or choose another slug"
    )]
    Taken {
        /// `host:port`.
        server: String,
        /// What was being done.
        task: &'static str,
        /// Which object.
        message: String,
    },
    /// A later attempt on the subject has taken the fence: do nothing more.
    #[error("cannot {task} on {server}: another worker has taken over")]
    Fenced {
        /// `host:port`.
        server: String,
        /// What was being done.
        task: &'static str,
    },
    /// A migration's SQL failed; the schema is as it was before the call, or before the file if
    /// that runs outside of a transaction.
    #[error(
        "migration {version} of {app} failed in schema {schema} on {server}: {message} (SQLSTATE {code}); see to what the message says, then try again"
    )]
    Migration {
        /// `host:port`.
        server: String,
        /// The app.
        app: Box<str>,
        /// The schema.
        schema: Box<str>,
        /// The migration.
        version: i64,
        /// The SQLSTATE, empty when the connection was lost.
        code: String,
        /// The server's message, with its detail and hint.
        message: String,
        /// The error itself.
        source: Box<sqlx::Error>,
    },
    /// A schema's history is not the app's.
    #[error(
        "schema {schema} on {server} was migrated by another history of {app}: {source}; push the missing versions, or restore the changed one"
    )]
    History {
        /// `host:port`.
        server: String,
        /// The app.
        app: Box<str>,
        /// The schema.
        schema: Box<str>,
        /// How it differs.
        source: Box<sqlx::migrate::MigrateError>,
    },
    /// A name that was derived is not one that PostgreSQL can have.
    #[error("cannot {task}: the name {name} {reason}")]
    Name {
        /// What was being done.
        task: &'static str,
        /// The name.
        name: String,
        /// Why not.
        reason: Invalid,
    },
}

impl AdminError {
    pub(super) fn from_sqlx(server: &str, task: &'static str, source: sqlx::Error) -> Self {
        let server = server.to_owned();
        match said(&source) {
            Some((code, _)) if code == FENCED => Self::Fenced { server, task },
            Some((code, message)) if code == TAKEN => Self::Taken { server, task, message },
            Some((code, message)) => Self::Refused { server, task, code, message, source: Box::new(source) },
            // It answered, and what it said is not understood.
            None if matches!(source, sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_)) => {
                let (code, message) = (String::new(), source.to_string());
                Self::Refused { server, task, code, message, source: Box::new(source) }
            }
            None => Self::Unreachable { server, task, sent: true, source: Box::new(source) },
        }
    }

    /// The same error of a call that could not even get a connection.
    pub(super) fn unsent(self) -> Self {
        match self {
            Self::Unreachable { server, task, source, .. } => {
                Self::Unreachable { server, task, sent: false, source }
            }
            other => other,
        }
    }

    /// Whether nothing was done on the server, because nobody got in.
    pub fn is_unsent(&self) -> bool {
        match self {
            Self::Unreachable { sent, .. } => !sent,
            Self::Refused { code, .. } => code == "57P03",
            _ => false,
        }
    }

    /// Whether the same call may succeed later without anybody doing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Unanswered { .. } => true,
            Self::Refused { source, .. } | Self::Migration { source, .. } => passes(source),
            Self::Taken { .. } | Self::Fenced { .. } | Self::History { .. } | Self::Name { .. } => false,
        }
    }

    /// Whether the server itself is what is wrong: nobody gets in, or it goes down or comes up.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
            || self.code().is_some_and(|code| code.starts_with("57P")) && self.ended_session()
    }

    /// Why the connection could not be protected, or the password not be sent.
    pub(super) fn unprotected(&self) -> Option<&LinkError> {
        let Self::Unreachable { source, .. } = self else { return None };
        let sqlx::Error::Tls(error) = &**source else { return None };
        error.downcast_ref()
    }

    /// Whether the server, the database or the admin login has no connection left.
    pub fn is_full(&self) -> bool {
        self.code() == Some("53300") && self.ended_session()
    }

    /// Whether the server ended the session, or let nobody in. What SQL raises, whatever its code, ends none.
    fn ended_session(&self) -> bool {
        let (Self::Refused { source, .. } | Self::Migration { source, .. }) = self else { return false };
        ended_session(source)
    }

    /// Whether the server's disk is full.
    pub fn is_out_of_space(&self) -> bool {
        self.code() == Some("53100")
    }

    /// Whether something is missing that is prepared once for all tenants of the server: a login, the owner role,
    /// the fence, the shared database.
    pub fn is_unprepared(&self) -> bool {
        // Undefined object, function, table; invalid schema, database.
        let codes = ["42704", "42883", "42P01", "3F000", "3D000"];
        matches!(self, Self::Refused { code, .. } if codes.contains(&code.as_str()))
    }

    /// The SQLSTATE, where the server gave one.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } | Self::Migration { code, .. } => Some(code),
            Self::Taken { .. } => Some(TAKEN),
            Self::Fenced { .. } => Some(FENCED),
            _ => None,
        }
    }

    /// Whether somebody is connected to a database that one must have for oneself.
    pub(super) fn is_in_use(&self) -> bool {
        self.code() == Some("55006")
    }

    /// Whether the database that was to be connected to, copied or renamed does not exist.
    pub(super) fn is_missing_database(&self) -> bool {
        self.code() == Some("3D000")
    }

    /// Whether the database that was to be connected to does not exist, or takes no connections, as one that is being dropped.
    pub(super) fn is_closed_database(&self) -> bool {
        self.is_missing_database() || self.code() == Some("55000")
    }
}

/// The SQLSTATE and the whole message, if the server is the one that complains.
pub(super) fn said(error: &sqlx::Error) -> Option<(String, String)> {
    let database = error.as_database_error()?;
    let code = database.code().unwrap_or_default().into_owned();
    let mut message = database.message().to_owned();
    if let Some(postgres) = postgres_error(error) {
        for more in [postgres.detail(), postgres.hint()].into_iter().flatten() {
            message.push_str("; ");
            message.push_str(more);
        }
    }
    Some((code, message))
}

/// What the server says, in all its fields.
pub(super) fn postgres_error(error: &sqlx::Error) -> Option<&PgDatabaseError> {
    error.as_database_error()?.try_downcast_ref()
}

/// Whether the server ended the session with this error, or did not let it begin.
pub(super) fn ended_session(error: &sqlx::Error) -> bool {
    postgres_error(error)
        .is_some_and(|error| matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic))
}

/// Whether the same may succeed later without anybody doing anything: also where the server said nothing.
pub(super) fn passes(error: &sqlx::Error) -> bool {
    let said = postgres_error(error);
    said.is_none_or(|said| code_passes(said.code(), said.routine(), said.schema()))
}

/// `routine`: the function of PostgreSQL that met the error. `schema`: that of the table that it is about.
fn code_passes(code: &str, routine: Option<&str>, schema: Option<&str>) -> bool {
    code.starts_with("08")
        || code.starts_with("57P0")
        // Serialization, deadlock, lock timeout, object in use, too many connections, out of
        // memory or locks (max_locks_per_transaction is shared by all).
        || matches!(code, "40001" | "40P01" | "55P03" | "55006" | "53300" | "53200" | "53400")
        // The transaction stood still for too long: this process was frozen, not wrong.
        || code == "25P03"
        // Two statements changed one catalog row at once: PostgreSQL has no code for it.
        || (code == "XX000" && matches!(routine, Some("simple_heap_update" | "simple_heap_delete")))
        // `CREATE ... IF NOT EXISTS` by two sessions at once: the loser finds it next time.
        || (code == "23505" && schema == Some("pg_catalog"))
        || code == "42P04"
}

#[cfg(test)]
mod tests {
    use super::code_passes;

    #[test]
    fn what_passes_by_itself_is_tried_again() {
        for code in ["08006", "57P01", "57P03", "40001", "40P01", "55P03", "55006", "53300", "25P03"] {
            assert!(code_passes(code, None, None), "{code}");
        }
        for code in ["42601", "42501", "23505", "XX000", "28P01", "3D000"] {
            assert!(!code_passes(code, Some("ExecConstraints"), Some("tenant_a")), "{code}");
        }
        assert!(code_passes("XX000", Some("simple_heap_update"), None));
        assert!(code_passes("23505", Some("_bt_check_unique"), Some("pg_catalog")));
    }
}
