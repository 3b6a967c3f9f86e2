//! A cache whose entries are trusted for a moment only: what makes the sign-up path lean without
//! making anybody wait for a change to be seen.

use std::{
    hash::Hash,
    time::{Duration, Instant},
};

use quick_cache::sync::Cache;
use tokio::time::timeout;

/// How long to wait for another caller's load of the same key. Longer, and callers would queue up one
/// behind the other while the registry is away.
const PATIENCE: Duration = Duration::from_millis(50);

/// Values by key, each for a fixed time. What is absent is not remembered.
pub(crate) struct ShortLived<K, V> {
    entries: Cache<K, (Instant, V)>,
    lifetime: Duration,
}

impl<K: Eq + Hash + Clone, V: Clone> ShortLived<K, V> {
    pub(crate) fn new(capacity: usize, lifetime: Duration) -> Self {
        Self { entries: Cache::new(capacity), lifetime }
    }

    /// The value of a key, loaded if it is not there or too old. Callers at the same moment load once.
    pub(crate) async fn get<E>(
        &self,
        key: &K,
        load: impl Future<Output = Result<Option<V>, E>>,
    ) -> Result<Option<V>, E> {
        match self.entries.get(key) {
            Some((since, value)) if since.elapsed() < self.lifetime => return Ok(Some(value)),
            Some(_) => {
                self.entries.remove_if(key, |(since, _)| since.elapsed() >= self.lifetime);
            }
            None => {}
        }
        match timeout(PATIENCE, self.entries.get_value_or_guard_async(key)).await {
            Ok(Ok((_, value))) => Ok(Some(value)),
            Err(_) => load.await,
            Ok(Err(guard)) => {
                let value = load.await?;
                if let Some(value) = &value {
                    // Refused only when the entry was removed meanwhile; then it is simply not kept.
                    let _ = guard.insert((Instant::now(), value.clone()));
                }
                Ok(value)
            }
        }
    }

    /// Forgets a key.
    pub(crate) fn forget(&self, key: &K) {
        self.entries.remove(key);
    }

    /// Keeps only some entries.
    pub(crate) fn retain(&self, keep: impl Fn(&V) -> bool) {
        self.entries.retain(|_, (_, value)| keep(value));
    }
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        future::{Ready, ready},
    };

    use super::*;

    fn load(value: Option<u8>) -> Ready<Result<Option<u8>, Infallible>> {
        ready(Ok(value))
    }

    #[tokio::test]
    async fn a_value_is_loaded_once_and_an_absence_each_time() {
        let cache = ShortLived::new(8, Duration::from_mins(1));
        assert_eq!(cache.get(&1, load(None)).await, Ok(None));
        assert_eq!(cache.get(&1, load(Some(5))).await, Ok(Some(5)));
        assert_eq!(cache.get(&1, load(Some(6))).await, Ok(Some(5)));
        cache.forget(&1);
        assert_eq!(cache.get(&1, load(Some(7))).await, Ok(Some(7)));
    }

    #[tokio::test]
    async fn an_old_value_is_loaded_again() {
        let cache = ShortLived::new(8, Duration::ZERO);
        assert_eq!(cache.get(&1, load(Some(5))).await, Ok(Some(5)));
        assert_eq!(cache.get(&1, load(Some(6))).await, Ok(Some(6)));
    }
}
