//! What a tenant may take of its database server.

use std::num::{NonZeroU8, NonZeroU32};

use serde::{Deserialize, Serialize};

/// What a tenant may take of its database server, by its plan.
///
/// The weight holds for what data planes do for the tenant, the rest for sessions of its own (psql, back ends). The
/// timeouts are what such a session begins with: it may set others, as PostgreSQL has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct DatabaseShare {
    /// Its share of a server's connections against other tenants that wait for one: with 2 it is as two tenants.
    pub weight: NonZeroU8,
    /// Its own sessions at a time; `None`: what the worker's setting says.
    pub max_connections: Option<u32>,
    /// Seconds until a statement is cancelled; `None`: never.
    pub statement_timeout_seconds: Option<NonZeroU32>,
    /// Seconds that a statement waits for a lock; `None`: however long.
    pub lock_timeout_seconds: Option<NonZeroU32>,
    /// Seconds until a session that leaves a transaction open is ended; `None`: never.
    pub idle_in_transaction_timeout_seconds: Option<NonZeroU32>,
}

impl DatabaseShare {
    /// PostgreSQL's bound for connections.
    pub const MAX_CONNECTIONS: u32 = 262_143;
    /// PostgreSQL's bound for timeouts, which are milliseconds in 31 bits.
    pub const MAX_TIMEOUT_SECONDS: u32 = 2_147_483;
}

impl Default for DatabaseShare {
    fn default() -> Self {
        Self {
            weight: NonZeroU8::MIN,
            max_connections: None,
            statement_timeout_seconds: None,
            lock_timeout_seconds: None,
            idle_in_transaction_timeout_seconds: None,
        }
    }
}
