//! What is told to the registry without anybody waiting for it: kept while the registry is away, as much as there is room for.

use std::{sync::Arc, time::Duration};

use tenantry_domain::{audit::AuditEntry, event::NewEvent};
use tenantry_registry::{Registry, RegistryError};
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;

/// Things that wait.
const ROOM: usize = 10_000;
/// Things that are told at once.
const BATCH: usize = 100;
/// How often the registry is told again what it could not be told.
const TELL_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// At the end, the registry may be gone already.
const LAST_TELLING: Duration = Duration::from_secs(3);

/// Something that is told to the registry.
pub(crate) trait Told: Sized + Send + Sync + 'static {
    /// What they are, for log and metric.
    const WHAT: &'static str;

    /// Tells some. Those that were told before are not told again.
    fn append(registry: &Registry, things: &[Self])
    -> impl Future<Output = Result<(), RegistryError>> + Send;
}

impl Told for NewEvent {
    const WHAT: &'static str = "events";

    async fn append(registry: &Registry, events: &[Self]) -> Result<(), RegistryError> {
        registry.events_append(events).await
    }
}

impl Told for AuditEntry {
    const WHAT: &'static str = "audit rows";

    async fn append(registry: &Registry, entries: &[Self]) -> Result<(), RegistryError> {
        registry.audit_append(entries).await
    }
}

/// See the module. Cheap to clone.
pub(crate) struct Outbox<T> {
    sender: mpsc::Sender<T>,
    waiting: Arc<Mutex<Waiting<T>>>,
}

struct Waiting<T> {
    receiver: mpsc::Receiver<T>,
    /// Taken, and not known to be in the registry.
    untold: Vec<T>,
}

impl<T> Clone for Outbox<T> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), waiting: Arc::clone(&self.waiting) }
    }
}

impl<T: Told> Outbox<T> {
    pub(crate) fn new() -> Self {
        let (sender, receiver) = mpsc::channel(ROOM);
        Self { sender, waiting: Arc::new(Mutex::new(Waiting { receiver, untold: Vec::new() })) }
    }

    /// Takes one.
    pub(crate) fn put(&self, thing: T) {
        if self.sender.try_send(thing).is_err() {
            metrics::counter!("tenantry_outbox_lost_total", "what" => T::WHAT).increment(1);
            tracing::error!("one of the {} is lost: too many wait for the registry", T::WHAT);
        }
    }

    /// Tells them until told to stop.
    pub(crate) async fn report(self, registry: Registry, stop: CancellationToken) {
        let mut waiting = self.waiting.lock().await;
        let Waiting { receiver, untold } = &mut *waiting;
        while stop.run_until_cancelled(receiver.recv_many(untold, BATCH)).await.is_some() {
            while let Err(error) = T::append(&registry, untold).await {
                let what = T::WHAT;
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "{what} wait for the registry: {error}"
                );
                if stop.run_until_cancelled(tokio::time::sleep(TELL_AGAIN_AFTER)).await.is_none() {
                    return;
                }
            }
            untold.clear();
        }
    }

    /// What is left, after the last request.
    pub(crate) async fn report_last(&self, registry: &Registry) {
        let told = async {
            let mut waiting = self.waiting.lock().await;
            let Waiting { receiver, untold } = &mut *waiting;
            while let Ok(thing) = receiver.try_recv() {
                untold.push(thing);
            }
            if !untold.is_empty() && T::append(registry, untold).await.is_ok() {
                untold.clear();
            }
        };
        let _ = tokio::time::timeout(LAST_TELLING, told).await;
    }
}
