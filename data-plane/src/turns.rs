//! Work for a request that takes milliseconds (to read a large body, to hash a password): aside from the threads that serve,
//! a few at a time, and one of a tenant's at a time.

use std::array;

use tenantry_domain::ids::TenantId;
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::{Semaphore, SemaphorePermit},
};

/// Tenants take turns among themselves by their ids, modulo this.
const LANES: usize = 64;

/// See the module.
#[derive(Debug)]
pub(crate) struct Turns {
    /// Half of the cores are left to the others.
    turns: Semaphore,
    /// Of each tenant one waits for a turn, however many it has sent: another one's is the next but few.
    lanes: [Semaphore; LANES],
}

impl Turns {
    pub(crate) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { turns: Semaphore::new((cores / 2).max(1)), lanes: array::from_fn(|_| Semaphore::new(1)) }
    }

    /// Waits until it is the tenant's turn.
    pub(crate) async fn take(&self, tenant: TenantId) -> Turn<'_> {
        let lane = tenant.as_uuid().as_u128() % LANES as u128;
        let lane = &self.lanes[usize::try_from(lane).expect("it is less than their number")];
        let lane = lane.acquire().await.expect("it is never closed");
        let turn = self.turns.acquire().await.expect("it is never closed");
        Turn { _lane: lane, _turn: turn }
    }
}

/// The tenant's turn, for as long as it is held.
pub(crate) struct Turn<'t> {
    _lane: SemaphorePermit<'t>,
    _turn: SemaphorePermit<'t>,
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
    use std::sync::{Arc, Mutex};

    use futures::future::join_all;
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn many_of_one_tenant_do_not_stand_before_another_s() {
        let turns =
            Arc::new(Turns { turns: Semaphore::new(0), lanes: array::from_fn(|_| Semaphore::new(1)) });
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
    }
}
