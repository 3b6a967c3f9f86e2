//! Connections that nobody uses, kept for a while.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use sqlx::Connection;
use tokio::time::{sleep, timeout};

use super::{NO_PANIC, connections::Session};

/// See the module.
pub(super) struct Idle {
    state: Mutex<State>,
    /// One that has been idle for longer is closed.
    limit: Duration,
}

#[derive(Default)]
struct State {
    /// The one that came last is last.
    sessions: Vec<(Session, Instant)>,
    /// Somebody closes those that have been idle for too long.
    tidied: bool,
    closed: bool,
}

impl Idle {
    pub(super) fn new(limit: Duration) -> Self {
        Self { state: Mutex::default(), limit }
    }

    /// The one that has been idle for the shortest time, and for how long.
    pub(super) fn take(&self) -> Option<(Session, Duration)> {
        let (session, since) = self.state.lock().expect(NO_PANIC).sessions.pop()?;
        let idle_for = since.elapsed();
        (idle_for <= self.limit).then_some((session, idle_for))
    }

    pub(super) fn put(self: Arc<Self>, session: Session) {
        let mut state = self.state.lock().expect(NO_PANIC);
        if state.closed {
            return;
        }
        state.sessions.push((session, Instant::now()));
        if !state.tidied {
            state.tidied = true;
            drop(state);
            tokio::spawn(self.tidy());
        }
    }

    /// Closes those that have been idle for too long, until there are none.
    async fn tidy(self: Arc<Self>) {
        loop {
            sleep(self.limit.max(Duration::from_secs(1)) / 2).await;
            let old: Vec<_> = {
                let mut state = self.state.lock().expect(NO_PANIC);
                if state.sessions.is_empty() {
                    state.tidied = false;
                    return;
                }
                state.sessions.extract_if(.., |(_, since)| since.elapsed() > self.limit).collect()
            };
            close(old).await;
        }
    }

    /// Closes all, and those that come later.
    pub(super) async fn close(&self) {
        let sessions = {
            let mut state = self.state.lock().expect(NO_PANIC);
            state.closed = true;
            std::mem::take(&mut state.sessions)
        };
        close(sessions).await;
    }
}

async fn close(sessions: Vec<(Session, Instant)>) {
    let all = sessions.into_iter().map(|(session, _)| session.connection.close());
    // A server that hangs must not keep the worker.
    let _ = timeout(Duration::from_secs(2), futures::future::join_all(all)).await;
}
