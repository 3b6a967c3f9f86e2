//! What servers were filled with last, so that they are not asked again while nothing has changed.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use tenantry_domain::ids::ServerId;
use tenantry_postgres::admin::Template;

/// What the registry said when a server's warm databases were seen to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Filled {
    /// Of the server.
    pub(crate) revision: i64,
    /// The templates that it should have.
    pub(crate) current: Vec<Template>,
    /// When its newest tenant of the tier was placed.
    pub(crate) newest: Option<DateTime<Utc>>,
}

/// Servers, with what they were filled with and when.
#[derive(Debug, Default)]
pub struct FilledServers(Mutex<HashMap<ServerId, (Filled, Instant)>>);

impl FilledServers {
    /// Whether a server was filled just so within `pause` from now.
    pub(crate) fn is_known(&self, server: ServerId, found: &Filled, pause: Duration) -> bool {
        let filled = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        filled.get(&server).is_some_and(|(known, at)| known == found && at.elapsed() < pause)
    }

    /// Notes that a server was filled.
    pub(crate) fn note(&self, server: ServerId, filled: Filled, at: Instant) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(server, (filled, at));
    }
}
