//! Log-ins whose tokens are refused although they have not ended by themselves yet.

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock, RwLockWriteGuard},
};

use chrono::{DateTime, Utc};
use tenantry_domain::ids::SessionId;
use tenantry_registry::RevokedSession;
use tokio::sync::Notify;

/// See the module. A data plane that has not read them all yet knows nothing, and says so.
#[derive(Debug, Default)]
pub(crate) struct RevokedSessions {
    known: RwLock<Known>,
    read: Notify,
}

#[derive(Debug, Default)]
struct Known {
    all: bool,
    until: HashMap<SessionId, DateTime<Utc>>,
}

impl RevokedSessions {
    /// Whether a log-in was revoked; none while that is not known.
    pub(super) fn contains(&self, session: SessionId) -> Option<bool> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.all.then(|| known.until.contains_key(&session))
    }

    /// One more.
    pub(crate) fn add(&self, session: RevokedSession) {
        self.change().until.insert(session.id, session.expires_at);
    }

    /// All that there are, with those that were heard of meanwhile.
    pub(crate) fn complete(&self, all: impl IntoIterator<Item = RevokedSession>, now: DateTime<Utc>) {
        let mut known = self.change();
        known.until.extend(all.into_iter().map(|session| (session.id, session.expires_at)));
        known.until.retain(|_, until| *until > now);
        known.all = true;
        self.read.notify_waiters();
    }

    /// Waits until they have been read.
    pub(crate) async fn until_read(&self) {
        let read = self.read.notified();
        if !self.known.read().unwrap_or_else(PoisonError::into_inner).all {
            read.await;
        }
    }

    /// Forgets those whose tokens have ended.
    pub(crate) fn forget_ended(&self, now: DateTime<Utc>) {
        self.change().until.retain(|_, until| *until > now);
    }

    fn change(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }
}
