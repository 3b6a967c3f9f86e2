//! What servers were brought up to last, so that they are not asked again while nothing has changed.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use tenantry_domain::ids::ServerId;

/// Servers, with what the registry said when they were seen to, and when that was.
#[derive(Debug)]
pub struct Seen<T>(Mutex<HashMap<ServerId, (T, Instant)>>);

impl<T> Default for Seen<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: PartialEq> Seen<T> {
    /// Whether a server was seen to within `pause` from now, when the registry said the same.
    pub(crate) fn is_known(&self, server: ServerId, found: &T, pause: Duration) -> bool {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(&server).is_some_and(|(known, at)| known == found && at.elapsed() < pause)
    }

    /// Notes that a server was seen to.
    pub(crate) fn note(&self, server: ServerId, found: T, at: Instant) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(server, (found, at));
    }
}
