//! Work for a request that takes milliseconds (to read a large body, to hash a password): aside from the threads that serve,
//! a few at a time, and one of a tenant's at a time.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tenantry_domain::ids::TenantId;
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit},
};

/// See the module.
#[derive(Debug)]
pub(crate) struct Turns {
    /// Half of the cores are left to the others.
    turns: Semaphore,
    /// Of each tenant one waits for a turn, however many it has sent: another one's is the next but few.
    lanes: Mutex<HashMap<TenantId, Arc<Semaphore>>>,
}

impl Turns {
    pub(crate) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self::with((cores / 2).max(1))
    }

    fn with(turns: usize) -> Self {
        Self { turns: Semaphore::new(turns), lanes: Mutex::default() }
    }

    /// Waits until it is the tenant's turn.
    pub(crate) async fn take(&self, tenant: TenantId) -> Turn<'_> {
        let lane = Arc::clone(self.lanes().entry(tenant).or_insert_with(|| Arc::new(Semaphore::new(1))));
        let place = Place { turns: self, tenant, lane: Some(lane) };
        let of_tenant = place.lane().acquire_owned().await.expect("it is never closed");
        let turn = self.turns.acquire().await.expect("it is never closed");
        Turn { _of_all: turn, _of_tenant: of_tenant, _place: place }
    }

    fn lanes(&self) -> MutexGuard<'_, HashMap<TenantId, Arc<Semaphore>>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in a tenant's lane, which is forgotten with the last one.
#[derive(Debug)]
struct Place<'t> {
    turns: &'t Turns,
    tenant: TenantId,
    lane: Option<Arc<Semaphore>>,
}

impl Place<'_> {
    fn lane(&self) -> Arc<Semaphore> {
        self.lane.clone().expect("it has one until it is given up")
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut lanes = self.turns.lanes();
        self.lane = None;
        // Nobody but the map has it.
        if lanes.get(&self.tenant).is_some_and(|lane| Arc::strong_count(lane) == 1) {
            lanes.remove(&self.tenant);
        }
    }
}

/// The tenant's turn, for as long as it is held.
pub(crate) struct Turn<'t> {
    _of_all: SemaphorePermit<'t>,
    // Before the place, which looks whether anybody has the lane.
    _of_tenant: OwnedSemaphorePermit,
    _place: Place<'t>,
}

impl Turn<'_> {
    /// Works.
    pub(crate) fn work<T: Send>(self, work: impl FnOnce() -> T + Send) -> T {
        // Of the runtime with one thread nobody else's requests are served.
        let done = match Handle::current().runtime_flavor() {
            RuntimeFlavor::CurrentThread => work(),
            _ => tokio::task::block_in_place(|| giving_way(work)),
        };
        drop(self);
        done
    }
}

/// Works on a thread to which the kernel prefers those that serve requests. To make one takes less than a tenth of the
/// time of reading a large body.
fn giving_way<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    /// A tenth of the others' share where all are busy: what gives way altogether might never end.
    #[cfg(target_os = "linux")]
    const NICENESS: i32 = 10;
    let (mut work, mut done) = (Some(work), None);
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().spawn_scoped(scope, || {
            // Elsewhere it would hold for the whole process.
            #[cfg(target_os = "linux")]
            let _ = rustix::process::nice(NICENESS);
            done = work.take().map(|work| work());
        });
        if let Err(panic) = thread.map_or(Ok(()), std::thread::ScopedJoinHandle::join) {
            std::panic::resume_unwind(panic);
        }
    });
    // Where no thread was to be had, nobody has taken it.
    done.unwrap_or_else(|| work.expect("a thread that took it has done it, or its panic went on")())
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn many_of_one_tenant_do_not_stand_before_another_s() {
        let turns = Arc::new(Turns::with(0));
        let order = Arc::new(Mutex::new(Vec::new()));
        let tenants = [vec![1; 40], vec![2]].concat();
        let plans: Vec<_> = tenants
            .into_iter()
            .map(|id| {
                let (turns, order) = (Arc::clone(&turns), Arc::clone(&order));
                tokio::spawn(async move {
                    let tenant = TenantId::from_uuid(Uuid::from_u128(id));
                    turns.take(tenant).await.work(|| order.lock().unwrap().push(id));
                })
            })
            .collect();
        // All wait by now: of this runtime's one thread each has had its turn.
        tokio::task::yield_now().await;
        turns.turns.add_permits(1);
        join_all(plans).await;
        assert_eq!(order.lock().unwrap()[..3], [1, 2, 1]);
        assert!(turns.lanes().is_empty(), "nobody waits any more");
    }
}
