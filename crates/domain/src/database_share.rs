//! What a tenant may take of its database server.

use std::num::{NonZeroU8, NonZeroU32};

use serde::{Deserialize, Serialize};

use crate::{connection::Connection, plan::Tier};

/// What a tenant may take of its database server, by its plan.
///
/// Weight and connection hold for what data planes do for the tenant, the rest for sessions of its own (psql, back ends). The
/// timeouts are what such a session begins with: it may set others, as PostgreSQL has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DatabaseShare {
    /// A tenant with weight 2 gets twice the connections of one with weight 1 when both wait.
    pub weight: NonZeroU8,
    /// Its own sessions at a time; `None`: what the worker's setting says.
    pub max_connections: Option<u32>,
    /// Seconds until a statement is cancelled; `None`: never.
    pub statement_timeout_seconds: Option<NonZeroU32>,
    /// Seconds that a statement waits for a lock; `None`: however long.
    pub lock_timeout_seconds: Option<NonZeroU32>,
    /// Seconds until a session that leaves a transaction open is ended; `None`: never.
    pub idle_in_transaction_timeout_seconds: Option<NonZeroU32>,
    /// `Own`: whatever the tenant's app and tier say (see [`Connection::of`]).
    pub connection: Connection,
}

impl DatabaseShare {
    /// PostgreSQL's bound for connections.
    pub const MAX_CONNECTIONS: u32 = 262_143;
    /// PostgreSQL's bound for timeouts, which are milliseconds in 31 bits.
    pub const MAX_TIMEOUT_SECONDS: u32 = 2_147_483;

    /// What a plan of a tier has that says nothing else. The more a tenant shares its server with others, the less
    /// time it may keep what they wait for.
    pub(crate) fn of_tier(tier: Tier) -> Self {
        let (weight, lock, idle) = match tier {
            Tier::Schema => (1, 30, 60),
            Tier::Database => (2, 60, 300),
            Tier::Instance => (4, 300, 3_600),
        };
        Self {
            weight: NonZeroU8::new(weight).unwrap_or(NonZeroU8::MIN),
            lock_timeout_seconds: NonZeroU32::new(lock),
            idle_in_transaction_timeout_seconds: NonZeroU32::new(idle),
            ..Self::default()
        }
    }
}

impl Default for DatabaseShare {
    fn default() -> Self {
        Self {
            weight: NonZeroU8::MIN,
            max_connections: None,
            statement_timeout_seconds: None,
            lock_timeout_seconds: None,
            idle_in_transaction_timeout_seconds: None,
            connection: Connection::Shared,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_later_release_has_written_is_read() {
        let share: DatabaseShare = serde_json::from_str(r#"{"weight":2,"later":true}"#).unwrap();
        assert_eq!(share, DatabaseShare { weight: NonZeroU8::new(2).unwrap(), ..DatabaseShare::default() });
    }
}
