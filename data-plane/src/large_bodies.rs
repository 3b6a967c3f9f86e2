//! Planning requests with large bodies, which takes milliseconds: aside from the threads that serve, a few at a time, and one of
//! a tenant's at a time.

use std::array;

use tenantry_domain::ids::TenantId;
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::Semaphore,
};

/// Tenants take turns among themselves by their ids, modulo this.
const LANES: usize = 64;

/// See the module.
#[derive(Debug)]
pub(crate) struct LargeBodies {
    /// Half of the cores are left to the others.
    turns: Semaphore,
    /// Of each tenant one waits for a turn, however many it has sent: another one's is the next but few.
    lanes: [Semaphore; LANES],
}

impl LargeBodies {
    pub(crate) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { turns: Semaphore::new((cores / 2).max(1)), lanes: array::from_fn(|_| Semaphore::new(1)) }
    }

    /// Plans when it is the tenant's turn.
    pub(crate) async fn plan<T: Send>(&self, tenant: TenantId, plan: impl FnOnce() -> T + Send) -> T {
        let lane = tenant.as_uuid().as_u128() % LANES as u128;
        let lane = &self.lanes[usize::try_from(lane).expect("it is less than their number")];
        let _lane = lane.acquire().await.expect("it is never closed");
        let _turn = self.turns.acquire().await.expect("it is never closed");
        // Of the runtime with one thread nobody else's requests are served.
        match Handle::current().runtime_flavor() {
            RuntimeFlavor::CurrentThread => plan(),
            _ => tokio::task::block_in_place(|| giving_way(plan)),
        }
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
        let bodies =
            Arc::new(LargeBodies { turns: Semaphore::new(0), lanes: array::from_fn(|_| Semaphore::new(1)) });
        let order = Arc::new(Mutex::new(Vec::new()));
        let tenants = [vec![1; 40], vec![2]].concat();
        let plans: Vec<_> = tenants
            .into_iter()
            .map(|id| {
                let (bodies, order) = (Arc::clone(&bodies), Arc::clone(&order));
                tokio::spawn(async move {
                    let tenant = TenantId::from_uuid(Uuid::from_u128(id));
                    bodies.plan(tenant, || order.lock().unwrap().push(id)).await;
                })
            })
            .collect();
        // All wait by now: of this runtime's one thread each has had its turn.
        tokio::task::yield_now().await;
        bodies.turns.add_permits(1);
        join_all(plans).await;
        assert_eq!(order.lock().unwrap()[..3], [1, 2, 1]);
    }
}
