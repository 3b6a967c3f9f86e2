//! Watching work on a server. Work that takes long may be a long statement, or one whose answer never comes: the
//! server hangs, or this one connection is dead and nobody said so (a firewall that forgot it, a proxy that hangs).
//! So the server is asked from time to time, on a new connection, what the work's sessions are doing.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Instant,
};

use tokio::time::timeout;

use super::{AdminError, NO_PANIC, ServerAdmin};

tokio::task_local! {
    static WATCHED: Arc<Watched>;
}

/// What is known of work while it is watched.
#[derive(Debug, Default)]
pub(super) struct Watched {
    /// It has had a connection.
    got_in: AtomicBool,
    /// How many of its calls wait for a connection.
    waiting: AtomicUsize,
    /// The names of the sessions that it holds.
    sessions: Mutex<Vec<Arc<str>>>,
}

impl Watched {
    /// What watches this task; none: nobody.
    pub(super) fn current() -> Option<Arc<Self>> {
        WATCHED.try_with(Arc::clone).ok()
    }

    pub(super) fn holds(&self, session: &Arc<str>) {
        self.got_in.store(true, Ordering::Relaxed);
        self.sessions.lock().expect(NO_PANIC).push(Arc::clone(session));
    }

    pub(super) fn lets_go(&self, session: &Arc<str>) {
        self.sessions.lock().expect(NO_PANIC).retain(|held| held != session);
    }

    /// The sessions that are held, if there is an answer to wait for and none of them is at work.
    fn unanswered(&self, at_work: &HashSet<String>) -> Option<Vec<Arc<str>>> {
        let held = self.sessions.lock().expect(NO_PANIC).clone();
        let waiting = self.waiting.load(Ordering::Relaxed) > 0;
        let unanswered = !waiting && !held.is_empty() && held.iter().all(|name| !at_work.contains(&**name));
        unanswered.then_some(held)
    }
}

/// While it lives, the work that is watched waits for a connection.
pub(super) struct Waiting(Option<Arc<Watched>>);

impl Waiting {
    pub(super) fn begin() -> Self {
        let watched = Watched::current();
        if let Some(watched) = &watched {
            watched.waiting.fetch_add(1, Ordering::Relaxed);
        }
        Self(watched)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(watched) = &self.0 {
            watched.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// What a look at a server found.
#[derive(Debug, Clone)]
enum Found {
    /// It answers; these sessions are at work.
    AtWork(Arc<HashSet<String>>),
    /// It refuses, for want of a free connection perhaps, but is there.
    Refuses,
    /// Nobody answers.
    Gone,
}

/// The last look at a server.
#[derive(Debug)]
pub(super) struct Look {
    ended: Instant,
    found: Found,
}

impl ServerAdmin {
    /// Runs something on the server. Where it takes long, the server is looked at from time to time: one that
    /// hangs is out of reach, however long its statement might still take. Where two looks in a row find that the
    /// server is done with all sessions of the work, or does not have them, no answer will come any more.
    pub async fn watch<T>(&self, work: impl Future<Output = Result<T, AdminError>>) -> Result<T, AdminError> {
        let watched = Arc::<Watched>::default();
        let mut work = Box::pin(WATCHED.scope(Arc::clone(&watched), work));
        let mut unanswered = None;
        loop {
            if let Ok(done) = timeout(self.limits.probe_after, &mut work).await {
                return done;
            }
            // Both: what has just been answered counts.
            let found = tokio::select! {
                biased;
                done = &mut work => return done,
                found = Box::pin(self.look()) => found,
            };
            match found {
                Found::AtWork(at_work) => {
                    let now = watched.unanswered(&at_work);
                    if now.is_some() && now == unanswered {
                        return Err(AdminError::Unanswered { server: self.server.clone() });
                    }
                    unanswered = now;
                }
                Found::Refuses => unanswered = None,
                Found::Gone => {
                    let gone = self.failed("ping", sqlx::Error::PoolTimedOut);
                    return Err(if watched.got_in.load(Ordering::Relaxed) { gone } else { gone.unsent() });
                }
            }
        }
    }

    /// Asks the server what it is at. However many wait for it, one looks: looks are connections too.
    async fn look(&self) -> Found {
        let asked = Instant::now();
        let mut last = self.looked.lock().await;
        if let Some(look) = &*last
            && look.ended >= asked
        {
            return look.found.clone();
        }
        let asked = self.connections.at_work(self.limits).await;
        let found = match asked.map_err(|e| self.failed("ping", e)) {
            Ok(names) => Found::AtWork(Arc::new(names)),
            Err(error) if error.is_unreachable() => Found::Gone,
            Err(_) => Found::Refuses,
        };
        *last = Some(Look { ended: Instant::now(), found: found.clone() });
        found
    }
}
