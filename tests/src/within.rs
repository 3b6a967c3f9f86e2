//! Waiting for what has no event.

use std::time::{Duration, Instant};

/// The pause between two questions: long enough to leave a CPU to what is waited for.
const PAUSE: Duration = Duration::from_millis(5);

/// How long a test waits for what has an event: more than a busy machine takes.
const PATIENCE: Duration = Duration::from_mins(3);

/// Waits for an event that may never come, and says which.
pub async fn in_time<T>(what: &str, event: impl Future<Output = T>) -> T {
    let came = tokio::time::timeout(PATIENCE, event).await;
    came.unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {what}"))
}

/// Asks again and again until it is so. What was asked before the limit counts, however long the answer took.
pub async fn within(limit: Duration, what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    loop {
        let asked = started.elapsed();
        if is_so().await {
            return;
        }
        assert!(asked < limit, "not within {limit:?}: {what}");
        tokio::time::sleep(PAUSE).await;
    }
}
