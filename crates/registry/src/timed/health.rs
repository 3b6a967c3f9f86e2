//! Which connections of the pools are most likely alive.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use sqlx::{Connection, PgConnection, pool::PoolConnectionMetadata};
use tokio::time::{Instant, timeout};

/// A connection that was idle for longer than this is asked for a sign of life. No restart of a server is faster.
const TRUSTED_IDLE: Duration = Duration::from_millis(100);

/// How long the sign of life may take: a small part of the statement's own limit.
const PING: Duration = Duration::from_secs(1);

/// What is known about the connections of all pools of a registry.
#[derive(Debug, Clone)]
pub(crate) struct Health {
    limit: Duration,
    begun: Instant,
    /// When a connection was last found broken, in microseconds after `begun`; 0 is never.
    broken: Arc<AtomicU64>,
}

impl Health {
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit, begun: Instant::now(), broken: Arc::default() }
    }

    /// The longest that a statement may take.
    pub(crate) const fn limit(&self) -> Duration {
        self.limit
    }

    /// Notes that a connection broke: those that were idle at that time may have broken with it.
    pub(crate) fn note_broken(&self) {
        let now = u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX).max(1);
        self.broken.fetch_max(now, Ordering::Relaxed);
    }

    /// Whether a connection that has been idle for this long, at a time after `begun`, is most likely alive.
    fn trusts(&self, now: Duration, idle_for: Duration) -> bool {
        let broken = self.broken.load(Ordering::Relaxed);
        let idle_since = now.saturating_sub(idle_for);
        idle_for <= TRUSTED_IDLE && (broken == 0 || Duration::from_micros(broken) < idle_since)
    }

    /// Whether a connection out of the pool may be used; for the pool's `before_acquire`.
    pub(crate) async fn is_alive(&self, connection: &mut PgConnection, idle: PoolConnectionMetadata) -> bool {
        if self.trusts(self.begun.elapsed(), idle.idle_for) {
            return true;
        }
        let answered = timeout(PING.min(self.limit / 3), connection.ping()).await;
        let alive = matches!(answered, Ok(Ok(())));
        if !alive {
            self.note_broken();
        }
        alive
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_idle_when_another_connection_broke_is_not_trusted() {
        let millis = Duration::from_millis;
        let health = Health::new(Duration::from_secs(5));
        assert!(health.trusts(millis(10_000), millis(100)));
        assert!(!health.trusts(millis(10_000), millis(600)), "idle for long");
        health.broken.store(10_000_000, Ordering::Relaxed);
        assert!(!health.trusts(millis(10_100), millis(200)), "idle since before the break");
        assert!(health.trusts(millis(10_100), millis(50)), "used since");
    }
}
