//! Reading routes from the registry, many at once: whoever's turn it is reads for all who wait. A change
//! that concerns ten thousand tenants costs as many reads as there are batches of those that are in use.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use tenantry_domain::{Slug, domain_name::DomainName, ids::TenantId, route::Route};
use tenantry_registry::{RegistryError, RouteKeyRef, RouteReader};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::store::{OwnedName, RouteName, Snapshot, Store};

/// Reads at a time: a change of everything must not take all connections of the registry.
const AT_A_TIME: usize = 8;
/// Routes in one read.
const BATCH: usize = 256;
/// A read may take this long, its repetitions included.
pub(super) const TIMEOUT: Duration = Duration::from_secs(2);
/// Connections that died with a restarted registry are found out one by one.
const ATTEMPTS: usize = 4;

/// A route as it was read, none if nobody has the name; and what had been heard before. The error is that
/// of all who were read together.
pub(super) type Read = Result<(Option<Route>, Snapshot), Arc<RegistryError>>;

/// The registry did not answer in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoAnswer;

/// Names that wait to be read.
#[derive(Debug)]
pub(super) struct Reads {
    reader: Arc<RouteReader>,
    store: Arc<Store>,
    waiting: Mutex<VecDeque<Waiting>>,
    slots: Arc<Semaphore>,
}

#[derive(Debug)]
struct Waiting {
    name: OwnedName,
    key: Key,
    began: Arc<OnceLock<u32>>,
    tell: oneshot::Sender<Read>,
}

/// Somebody whose name is being read.
#[derive(Debug)]
struct Reading {
    key: Key,
    before: Snapshot,
    tell: oneshot::Sender<Read>,
}

/// A name as the registry may know it.
#[derive(Debug)]
enum Key {
    Id(TenantId),
    Label(Slug),
    Domain(DomainName),
}

impl Key {
    /// None for what nobody can have, such as a reserved word.
    fn of(name: RouteName<'_>) -> Option<Self> {
        match name {
            RouteName::Id(id) => Some(Self::Id(id)),
            RouteName::Label(label) => Slug::parse(label).ok().map(Self::Label),
            RouteName::Domain(domain) => DomainName::parse(domain).ok().map(Self::Domain),
        }
    }

    fn borrowed(&self) -> RouteKeyRef<'_> {
        match self {
            Self::Id(id) => RouteKeyRef::Id(*id),
            Self::Label(label) => RouteKeyRef::Label(label),
            Self::Domain(domain) => RouteKeyRef::Domain(domain),
        }
    }
}

impl Reads {
    pub(super) fn new(reader: Arc<RouteReader>, store: Arc<Store>) -> Self {
        Self { reader, store, waiting: Mutex::default(), slots: Arc::new(Semaphore::new(AT_A_TIME)) }
    }

    /// Reads a name, together with those that wait at the same moment. `began` is set to the name's mark
    /// when the registry is asked.
    pub(super) async fn read(
        self: &Arc<Self>,
        name: RouteName<'_>,
        began: &Arc<OnceLock<u32>>,
    ) -> Result<Read, NoAnswer> {
        let Some(key) = Key::of(name) else { return Ok(Ok((None, self.store.snapshot(name)))) };
        let (tell, mut told) = oneshot::channel();
        let own = Waiting { name: name.to_owned_name(), key, began: Arc::clone(began), tell };
        self.waiting().push_back(own);
        while began.get().is_none() {
            tokio::select! {
                biased;
                read = &mut told => return read.map_err(|_| NoAnswer),
                slot = Arc::clone(&self.slots).acquire_owned() => {
                    let batch = self.begin_batch();
                    // A task of its own: whoever stops waiting takes nothing from the others.
                    tokio::spawn(Arc::clone(self).read_batch(batch, slot.map_err(|_| NoAnswer)?));
                }
            }
        }
        told.await.map_err(|_| NoAnswer)
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, VecDeque<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes those who have waited longest. What is heard from now on may not be in what is read.
    fn begin_batch(&self) -> Vec<Reading> {
        let mut waiting = self.waiting();
        waiting.retain(|one| !one.tell.is_closed());
        let count = waiting.len().min(BATCH);
        let begin = |Waiting { name, key, began, tell }: Waiting| {
            let before = self.store.snapshot(name.borrowed());
            let _ = began.set(self.store.mark_of(name.borrowed()));
            Reading { key, before, tell }
        };
        waiting.drain(..count).map(begin).collect()
    }

    /// Reads a batch and tells each its part. Without an answer in time, all hear of it by being dropped.
    async fn read_batch(self: Arc<Self>, batch: Vec<Reading>, _slot: OwnedSemaphorePermit) {
        let answer = {
            let keys: Vec<RouteKeyRef<'_>> = batch.iter().map(|one| one.key.borrowed()).collect();
            if keys.is_empty() {
                return;
            }
            tokio::time::timeout(TIMEOUT, self.ask(&keys)).await
        };
        // Whoever stopped waiting needs no answer.
        match answer {
            Ok(Ok(routes)) => {
                for (Reading { before, tell, .. }, route) in batch.into_iter().zip(routes) {
                    let _ = tell.send(route.map(|route| (route, before)).map_err(Arc::new));
                }
            }
            Ok(Err(error)) => {
                let error = Arc::new(error);
                for one in batch {
                    let _ = one.tell.send(Err(Arc::clone(&error)));
                }
            }
            Err(_) => {}
        }
    }

    async fn ask(
        &self,
        keys: &[RouteKeyRef<'_>],
    ) -> Result<Vec<Result<Option<Route>, RegistryError>>, RegistryError> {
        let mut attempt = 1;
        loop {
            match self.reader.routes_get(keys).await {
                Err(error) if error.is_unavailable() && attempt < ATTEMPTS => attempt += 1,
                answer => return answer,
            }
        }
    }
}
