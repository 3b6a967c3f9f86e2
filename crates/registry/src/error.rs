//! Errors of the registry.

/// The registry did not answer, or answered what cannot be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The database refused a statement or could not be reached.
    #[error("the registry's database failed")]
    Database(#[from] sqlx::Error),
    /// There is no connection, at the start of a process.
    #[error("cannot reach PostgreSQL at {address}: {reason}")]
    Unreachable {
        /// Host and port.
        address: String,
        /// Why, and what to do.
        reason: String,
    },
    /// A migration of the registry itself failed.
    #[error("a migration of the registry failed")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// The queue's tables failed.
    #[error("the queue failed")]
    Queue(#[source] apalis_postgres::Error),
    /// A stored value is none that this version could have written.
    #[error("the registry holds an invalid {what}: {reason}")]
    Corrupt {
        /// Table and column.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

impl RegistryError {
    /// Whether the registry could not be reached, so that trying later makes sense.
    pub fn is_unavailable(&self) -> bool {
        let Self::Database(error) = self else {
            return matches!(self, Self::Queue(_) | Self::Unreachable { .. });
        };
        match error {
            sqlx::Error::Protocol(_)
            | sqlx::Error::Io(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::Tls(_) => true,
            // 08: connection; 57P: shutting down or starting up; 53: out of connections or memory; 40: serialization;
            // 25006: read only, as a replica is until it is promoted.
            sqlx::Error::Database(error) => error.code().is_some_and(|code| {
                ["08", "57P", "53", "40", "25006"].iter().any(|begin| code.starts_with(begin))
            }),
            _ => false,
        }
    }
}

/// Reads a stored text or number as a domain value.
pub(crate) trait Stored<T> {
    /// The value, or [`RegistryError::Corrupt`] with the column's name.
    fn stored(self, what: &'static str) -> Result<T, RegistryError>;
}

impl<T, E: std::fmt::Display> Stored<T> for Result<T, E> {
    fn stored(self, what: &'static str) -> Result<T, RegistryError> {
        self.map_err(|error| RegistryError::Corrupt { what, reason: error.to_string() })
    }
}

/// The name of the constraint that a statement broke, if it broke one.
pub(crate) fn broken_constraint(error: &sqlx::Error) -> Option<&str> {
    error.as_database_error().and_then(|error| error.constraint())
}

/// A domain value as JSON for storage.
pub(crate) fn to_json(value: &impl serde::Serialize) -> serde_json::Value {
    serde_json::to_value(value).expect("domain values have string keys and no failing serializers")
}
