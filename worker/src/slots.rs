//! Slots of a lane by server: one server has at most three quarters of a worker's slots of a lane, so that one which
//! hangs and is not known to do so yet leaves the others to the rest.

use std::{
    collections::HashMap,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::FutureExt;
use tenantry_domain::{ids::ServerId, operation::Lane};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::Concurrency;

/// A server on which no operation has begun or ended for this long is not waited for in a slot of the lane.
const PATIENCE: Duration = Duration::from_secs(1);

/// When an operation tries again for which a server has no slot, or no connection.
pub(crate) const AGAIN_AFTER: Duration = Duration::from_millis(500);

/// See the module.
pub(crate) struct Slots {
    concurrency: Concurrency,
    of: Mutex<HashMap<(Lane, ServerId), Arc<OfServer>>>,
}

struct OfServer {
    free: Arc<Semaphore>,
    /// When an operation last got a slot, or gave one back.
    moved: Mutex<Instant>,
}

/// An operation's slot on a server, given back when dropped.
pub(crate) struct Slot {
    pub(crate) server: ServerId,
    of: Arc<OfServer>,
    _permit: OwnedSemaphorePermit,
}

impl Slots {
    pub(crate) fn new(concurrency: Concurrency) -> Self {
        Self { concurrency, of: Mutex::default() }
    }

    /// How many slots of a lane one server may have.
    fn limit(&self, lane: Lane) -> usize {
        (self.concurrency.of(lane) * 3 / 4).max(1)
    }

    /// A slot of a lane on a server. Waits while operations there come and go; none if they do not.
    pub(crate) async fn take(&self, lane: Lane, server: ServerId) -> Option<Slot> {
        let of = Arc::clone(
            self.of.lock().unwrap_or_else(PoisonError::into_inner).entry((lane, server)).or_insert_with(
                || {
                    let free = Arc::new(Semaphore::new(self.limit(lane)));
                    Arc::new(OfServer { free, moved: Mutex::new(Instant::now()) })
                },
            ),
        );
        let mut free = pin!(Arc::clone(&of.free).acquire_owned());
        loop {
            let patience = PATIENCE.saturating_sub(of.still_for());
            let got = if patience.is_zero() {
                (&mut free).now_or_never()
            } else {
                timeout(patience, &mut free).await.ok()
            };
            match got {
                Some(permit) => {
                    of.note_move();
                    return Some(Slot { server, of, _permit: permit.ok()? });
                }
                None if patience.is_zero() => return None,
                None => {}
            }
        }
    }
}

impl OfServer {
    fn still_for(&self) -> Duration {
        self.moved.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    fn note_move(&self) {
        *self.moved.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.of.note_move();
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn two_servers() -> [ServerId; 2] {
        [1, 2].map(|_| ServerId::generate(DateTime::UNIX_EPOCH, &mut rand::rng()))
    }

    async fn take_all(slots: &Slots, server: ServerId) -> Vec<Slot> {
        let mut held = Vec::new();
        for _ in 0..6 {
            held.push(slots.take(Lane::Interactive, server).await.unwrap());
        }
        held
    }

    #[tokio::test]
    async fn a_server_on_which_nothing_moves_has_three_quarters_of_a_lane_and_is_refused_more() {
        let (slots, [still, other]) = (Slots::new(Concurrency::default()), two_servers());
        let held = take_all(&slots, still).await;
        assert!(slots.take(Lane::Interactive, still).await.is_none());
        // Known by now: refused at once.
        assert!(slots.take(Lane::Interactive, still).now_or_never().unwrap().is_none());
        // Other servers have their slots, and other lanes.
        assert!(slots.take(Lane::Interactive, other).now_or_never().unwrap().is_some());
        assert!(slots.take(Lane::Long, still).now_or_never().unwrap().is_some());
        drop(held);
        assert!(slots.take(Lane::Interactive, still).now_or_never().unwrap().is_some());
    }

    #[tokio::test]
    async fn a_server_on_which_operations_come_and_go_is_waited_for() {
        let (slots, [server, _]) = (Slots::new(Concurrency::default()), two_servers());
        let mut held = take_all(&slots, server).await;
        let mut waits = pin!(slots.take(Lane::Interactive, server));
        assert!((&mut waits).now_or_never().is_none());
        held.pop();
        assert!(waits.await.is_some());
    }

    #[test]
    fn a_lane_of_one_slot_gives_it_to_any_server() {
        assert_eq!(Slots::new(Concurrency::default()).limit(Lane::Idle), 1);
    }
}
