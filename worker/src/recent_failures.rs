//! What failed not long ago, so that it is not tried over and over.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Keys and when each failed last.
#[derive(Debug)]
pub struct RecentFailures<K>(Mutex<HashMap<K, Instant>>);

impl<K> Default for RecentFailures<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash> RecentFailures<K> {
    /// Whether it failed within `pause` from now. Forgets it if that is longer ago.
    pub(crate) fn is_recent(&self, key: &K, pause: Duration) -> bool {
        let mut failed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failed.retain(|_, at| at.elapsed() < pause);
        failed.contains_key(key)
    }

    /// Notes a failure.
    pub(crate) fn note(&self, key: K, at: Instant) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key, at);
    }
}
