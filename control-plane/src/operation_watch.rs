//! Who waits for which operation: one LISTEN connection per process, fanned out by operation.
//!
//! The watch only says "look again"; what is true is read from the registry. Subscribe before the
//! change that you wait for, and no wake-up is missed.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use futures::StreamExt;
use tenantry_domain::ids::OperationId;
use tenantry_registry::{
    Registry,
    feed::{Feed, OperationNews},
};
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

/// The process's watch on operations.
#[derive(Clone)]
pub(crate) struct OperationWatch {
    registry: Registry,
    waiters: Arc<Waiters>,
    listener: Arc<OnceLock<AbortOnDropHandle<()>>>,
    stopping: CancellationToken,
}

/// What there is to look at, per operation that somebody waits for.
#[derive(Default)]
struct Waiters(Mutex<HashMap<OperationId, watch::Sender<Heard>>>);

/// Counters that grow with each piece of news.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Heard {
    any: u64,
    /// Of news that the operation is over, or may be.
    ends: u64,
}

impl Waiters {
    fn lock(&self) -> MutexGuard<'_, HashMap<OperationId, watch::Sender<Heard>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, news: OperationNews) {
        let waiting = self.lock();
        let tell = |sender: &watch::Sender<Heard>, over: bool| {
            sender.send_modify(|heard| {
                heard.any += 1;
                heard.ends += u64::from(over);
            });
        };
        let (id, over) = match news {
            OperationNews::Of(id, kind) => (id, kind.is_final()),
            OperationNews::Progress(id) => (id, false),
            // News may have been missed: everybody looks.
            OperationNews::Reconnected => return waiting.values().for_each(|sender| tell(sender, true)),
        };
        if let Some(sender) = waiting.get(&id) {
            tell(sender, over);
        }
    }
}

impl OperationWatch {
    pub(crate) fn new(registry: Registry) -> Self {
        Self {
            registry,
            waiters: Arc::default(),
            listener: Arc::default(),
            stopping: CancellationToken::new(),
        }
    }

    /// Begins to listen, if it does not yet. The first subscription does so too.
    pub(crate) fn start(&self) {
        self.listener.get_or_init(|| {
            let news = self.registry.operation_feed();
            AbortOnDropHandle::new(tokio::spawn(listen(news, Arc::clone(&self.waiters))))
        });
    }

    /// Ends all waits, now and from now on: the process is shutting down.
    pub(crate) fn stop(&self) {
        self.stopping.cancel();
    }

    /// Watches one operation, which need not exist yet.
    pub(crate) fn subscribe(&self, id: OperationId) -> Subscription {
        self.start();
        let news = self.waiters.lock().entry(id).or_default().subscribe();
        let ends_seen = news.borrow().ends;
        Subscription {
            id,
            news,
            ends_seen,
            waiters: Arc::clone(&self.waiters),
            stopping: self.stopping.clone(),
        }
    }
}

async fn listen(mut news: Feed<OperationNews>, waiters: Arc<Waiters>) {
    while let Some(news) = news.next().await {
        waiters.tell(news);
    }
}

/// Why a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Woken {
    /// Look at the operation again.
    News,
    /// The process is shutting down.
    Stopping,
}

/// A watch on one operation.
pub(crate) struct Subscription {
    id: OperationId,
    news: watch::Receiver<Heard>,
    ends_seen: u64,
    waiters: Arc<Waiters>,
    stopping: CancellationToken,
}

impl Subscription {
    /// The operation.
    pub(crate) fn id(&self) -> OperationId {
        self.id
    }

    /// Waits for news since the last call, or since the subscription began.
    pub(crate) async fn news(&mut self) -> Woken {
        tokio::select! {
            // The sender stays in the map for as long as this subscription lives, so it cannot close.
            _ = self.news.changed() => Woken::News,
            () = self.stopping.cancelled() => Woken::Stopping,
        }
    }
}

impl Subscription {
    /// Waits for news that the operation is over, or may be.
    pub(crate) async fn end(&mut self) -> Woken {
        let seen = self.ends_seen;
        tokio::select! {
            heard = self.news.wait_for(|heard| heard.ends != seen) => {
                self.ends_seen = heard.map_or(seen, |heard| heard.ends);
                Woken::News
            }
            () = self.stopping.cancelled() => Woken::Stopping,
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut waiting = self.waiters.lock();
        // One receiver is this one, which is still alive here.
        if waiting.get(&self.id).is_some_and(|sender| sender.receiver_count() <= 1) {
            waiting.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use tenantry_domain::operation::OperationEventKind;
    use tenantry_registry::Part;
    use uuid::Uuid;

    use super::*;

    fn watch() -> OperationWatch {
        let registry = Registry::connect_lazy("postgres://127.0.0.1:1/none", Part::ControlPlane, 1).unwrap();
        OperationWatch::new(registry)
    }

    #[tokio::test]
    async fn news_that_comes_before_the_wait_is_not_missed() {
        let watch = watch();
        let id = OperationId::from_uuid(Uuid::from_u128(1));
        let mut subscription = watch.subscribe(id);
        watch.waiters.tell(OperationNews::Of(id, OperationEventKind::Started));
        assert_eq!(subscription.news().await, Woken::News);
        watch.waiters.tell(OperationNews::Reconnected);
        assert_eq!(subscription.news().await, Woken::News);
    }

    #[tokio::test]
    async fn who_waits_for_the_end_is_woken_by_it_alone() {
        use futures::FutureExt;
        let watch = watch();
        let id = OperationId::from_uuid(Uuid::from_u128(1));
        let mut subscription = watch.subscribe(id);
        watch.waiters.tell(OperationNews::Of(id, OperationEventKind::StepFinished));
        assert_eq!(subscription.end().now_or_never(), None);
        watch.waiters.tell(OperationNews::Of(id, OperationEventKind::Failed));
        assert_eq!(subscription.end().now_or_never(), Some(Woken::News));
        assert_eq!(subscription.end().now_or_never(), None);
    }

    #[tokio::test]
    async fn nothing_is_kept_of_a_wait_that_is_over() {
        let watch = watch();
        let id = OperationId::from_uuid(Uuid::from_u128(1));
        let (one, two) = (watch.subscribe(id), watch.subscribe(id));
        drop(one);
        assert_eq!(watch.waiters.lock().len(), 1);
        drop(two);
        assert!(watch.waiters.lock().is_empty());
    }

    #[tokio::test]
    async fn a_shutdown_ends_all_waits() {
        let watch = watch();
        let mut subscription = watch.subscribe(OperationId::from_uuid(Uuid::from_u128(1)));
        watch.stop();
        assert_eq!(subscription.news().await, Woken::Stopping);
    }
}
