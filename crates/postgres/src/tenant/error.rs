//! What goes wrong when a tenant's statement runs, sorted by what the data plane does about it.

use std::{fmt::Display, io};

use super::ServerError;
use crate::tls::TlsError;

/// Why a connection to a server is of no use (any more).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The server said so.
    #[error(transparent)]
    Said(#[from] Box<ServerError>),
    /// The network did.
    #[error("the network failed: {0}")]
    Network(#[from] io::Error),
    /// The server left without a word.
    #[error("the server closed the connection")]
    Closed,
    /// The server speaks otherwise than we do.
    #[error("the server cannot be understood: {0}")]
    Protocol(String),
    /// The connection could not be protected as it has to be.
    #[error(transparent)]
    Tls(TlsError),
    /// The server wants the password in a form that gives it away, and did not get it.
    #[error(
        "it asks for the password {0}, which is never sent; in its pg_hba.conf let scram-sha-256 be the method, and \
         set the password again with password_encryption = 'scram-sha-256'"
    )]
    PasswordExposed(&'static str),
}

impl From<TlsError> for LinkError {
    fn from(error: TlsError) -> Self {
        match error {
            TlsError::Network(error) => Self::Network(error),
            other => Self::Tls(other),
        }
    }
}

impl LinkError {
    pub(crate) fn protocol(why: impl Display) -> Self {
        Self::Protocol(why.to_string())
    }
}

/// A connection could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// It took too long.
    #[error("PostgreSQL at {server} did not answer in time")]
    Timeout {
        /// `host:port`.
        server: String,
    },
    /// The database or the login is gone, or the password is another: the route is out of date.
    #[error("PostgreSQL at {server} does not let the data plane in: {source}")]
    Refused {
        /// `host:port`.
        server: String,
        /// Why not.
        source: LinkError,
    },
    /// The server has no connection to spare.
    #[error("PostgreSQL at {server} has no connection to spare: {source}")]
    Busy {
        /// `host:port`.
        server: String,
        /// Why not.
        source: LinkError,
    },
    /// The server is out of reach.
    #[error("PostgreSQL at {server} is out of reach: {source}")]
    Unreachable {
        /// `host:port`.
        server: String,
        /// Why not.
        source: LinkError,
    },
}

impl ConnectError {
    pub(super) fn new(server: String, source: LinkError) -> Self {
        match &source {
            LinkError::Said(said) => match said.code.as_str() {
                "53300" => Self::Busy { server, source },
                code if code.starts_with("28") || matches!(code, "3D000" | "42501") => {
                    Self::Refused { server, source }
                }
                _ => Self::Unreachable { server, source },
            },
            _ => Self::Unreachable { server, source },
        }
    }
}

/// The code with which a placement that is being moved refuses to be written to.
pub(crate) const MOVING: &str = "TNY05";

/// What a failed statement says about who can do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum QueryErrorKind {
    /// The client's input: a value, a constraint, a column that does not exist.
    Data,
    /// The tenant's role may not (any more): a table that is not for it, or a fenced placement.
    Permission,
    /// The schema, table or role is not there (any more): the placement may be an old one.
    Gone,
    /// The placement is closed to writes, because the tenant is being moved from it. Nothing was done.
    Moving,
    /// It ran longer than it may.
    Timeout,
    /// The server or a lock is taken: try again.
    Busy,
    /// The connection was lost; a write may or may not have happened.
    Connection,
    /// What another tenant left on the connection could not be taken away; nothing was done.
    NotReset,
    /// Ours.
    Internal,
}

impl QueryErrorKind {
    /// As a label of a metric.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Permission => "permission",
            Self::Gone => "gone",
            Self::Moving => "moving",
            Self::Timeout => "timeout",
            Self::Busy => "busy",
            Self::Connection => "connection",
            Self::NotReset => "not_reset",
            Self::Internal => "internal",
        }
    }

    /// `in_text`: PostgreSQL points to a place in the statement, which is ours. Without, the error is about what a
    /// value names: a language or words to search for, a table as a `regclass`. `raised`: by `RAISE`, so that what else
    /// would be ours is the word of the app's function.
    pub(super) fn of(code: &str, in_text: bool, raised: bool) -> Self {
        match code {
            MOVING => Self::Moving,
            "42501" => Self::Permission,
            code if !in_text && (code.starts_with("42") || matches!(code, "3F000" | "3D000")) => Self::Data,
            "3F000" | "42P01" | "3D000" | "42704" => Self::Gone,
            "57014" => Self::Timeout,
            // A prepared statement that is not there: the tenant's own SQL has deallocated ours.
            "26000" if !raised => Self::NotReset,
            "53300" | "53200" | "55P03" | "55006" | "40001" | "40P01" => Self::Busy,
            // An undefined column or function, a wrong type, a bad conflict target and the like come
            // from the names and values in the request. A trigger's RAISE is the app's word on the data.
            "42703" | "42702" | "42883" | "42804" | "42846" | "42P10" | "42P18" | "42725" | "428C9"
            | "P0001" | "25006" => Self::Data,
            // The server's farewells end the connection, and are known by that; a function may raise them too.
            _ => match code.get(..2) {
                // 21: a row that an upsert would write twice. 54: a value too long for an index or a text search.
                // 0A: writing in a function that is said only to read. 0L, 0P, 28, 38, P0: what an app's functions raise.
                Some("08" | "0A" | "0L" | "0P" | "21" | "22" | "23" | "28" | "38" | "44" | "54" | "P0") => {
                    Self::Data
                }
                // What an app's functions raise.
                Some(class)
                    if class.starts_with(|c: char| matches!(c, '6'..='9' | 'I'..='Z')) && class != "XX" =>
                {
                    Self::Data
                }
                _ if raised => Self::Data,
                _ => Self::Internal,
            },
        }
    }
}

/// A tenant's statement failed and left nothing behind; unless [`QueryErrorKind::Connection`],
/// nothing was written.
#[derive(Debug, thiserror::Error)]
#[error("{message}{}", code.as_ref().map(|code| format!(" (SQLSTATE {code})")).unwrap_or_default())]
pub struct TenantQueryError {
    /// Who can do something.
    pub kind: QueryErrorKind,
    /// The SQLSTATE, where the server gave one.
    pub code: Option<String>,
    /// The server's message.
    pub message: String,
    /// More of it: may hold values of the tenant's rows, so it is for the tenant's eyes, not for logs.
    pub detail: Option<String>,
    /// The server's advice.
    pub hint: Option<String>,
    /// The table that the error is about.
    pub table: Option<String>,
    /// The column that the error is about.
    pub column: Option<String>,
    /// The constraint that was broken.
    pub constraint: Option<String>,
}

impl From<Box<ServerError>> for TenantQueryError {
    fn from(said: Box<ServerError>) -> Self {
        let said = *said;
        Self {
            kind: QueryErrorKind::of(&said.code, said.in_text, said.raised),
            code: Some(said.code),
            message: said.message,
            detail: said.detail,
            hint: said.hint,
            table: said.table,
            column: said.column,
            constraint: said.constraint,
        }
    }
}

impl From<LinkError> for TenantQueryError {
    fn from(lost: LinkError) -> Self {
        match lost {
            // The server's farewell says more than that it is gone.
            LinkError::Said(said) => Self { kind: QueryErrorKind::Connection, ..said.into() },
            other => Self::bare(QueryErrorKind::Connection, other.to_string()),
        }
    }
}

impl TenantQueryError {
    pub(super) fn bare(kind: QueryErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            code: None,
            message: message.into(),
            detail: None,
            hint: None,
            table: None,
            column: None,
            constraint: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::QueryErrorKind as Kind;

    #[test]
    fn sqlstates_are_sorted_by_who_can_do_something() {
        for (code, kind) in [
            ("22P02", Kind::Data),
            ("23505", Kind::Data),
            ("21000", Kind::Data),
            ("54000", Kind::Data),
            ("42703", Kind::Data),
            ("42501", Kind::Permission),
            ("TNY05", Kind::Moving),
            ("42P01", Kind::Gone),
            ("3F000", Kind::Gone),
            ("57014", Kind::Timeout),
            ("40P01", Kind::Busy),
            ("42704", Kind::Gone),
            ("42601", Kind::Internal),
            ("XX000", Kind::Internal),
            ("PT402", Kind::Data),
            ("PGRST", Kind::Data),
            ("P0002", Kind::Data),
        ] {
            assert_eq!(Kind::of(code, true, false), kind, "{code}");
        }
        for code in ["42704", "42601", "42P01", "42602", "3F000"] {
            assert_eq!(Kind::of(code, false, false), Kind::Data, "{code} of a value");
        }
        for code in ["XX000", "02000", "55000", "26000"] {
            assert_eq!(Kind::of(code, false, true), Kind::Data, "{code}, raised");
        }
    }
}
