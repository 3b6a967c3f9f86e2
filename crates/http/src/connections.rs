//! What clients may hold open: how many connections, from where, and for how long without a request.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use metrics::{Counter, Gauge};
use tokio_util::sync::CancellationToken;

/// Bounds on what clients may hold open.
#[derive(Debug, Clone)]
pub struct ConnectionLimits {
    /// Connections in all. One more takes the place of that which has waited longest for a request.
    pub in_all: usize,
    /// Connections of one address.
    pub per_address: usize,
    /// How long a client may take for the head of a request, the first or the next; and how long it may take
    /// nothing of an answer.
    pub head_timeout: Duration,
    /// Bytes per second that a client must at least send of a body, or take of an answer that it makes wait.
    pub min_rate: u32,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self { in_all: 10_000, per_address: 2_500, head_timeout: Duration::from_secs(30), min_rate: 1_024 }
    }
}

/// The open connections of one listener.
#[derive(Clone)]
pub(crate) struct Connections(Arc<Inner>);

struct Inner {
    limits: ConnectionLimits,
    begun: Instant,
    open: Mutex<Open>,
    count: Gauge,
    refused: Counter,
    closed: Counter,
}

#[derive(Default)]
struct Open {
    next: u64,
    by_number: HashMap<u64, Arc<Waiting>>,
    by_address: HashMap<IpAddr, usize>,
}

/// What a connection is at.
struct Waiting {
    /// Requests that are being served.
    in_service: AtomicUsize,
    /// When it last began to wait for a request, or took something of an answer: milliseconds since the listener began.
    since: AtomicU64,
    close: CancellationToken,
}

impl Waiting {
    fn for_a_request(&self) -> bool {
        self.in_service.load(Ordering::Relaxed) == 0
    }
}

/// An open connection; it counts until this is dropped.
pub(crate) struct Connection {
    connections: Connections,
    number: u64,
    address: IpAddr,
    waiting: Arc<Waiting>,
}

/// A request that is being served, until this is dropped.
pub(crate) struct InService(Arc<Connection>);

impl Connections {
    pub(crate) fn new(plane: &'static str, limits: ConnectionLimits) -> Self {
        let closed = |why: &'static str| metrics::counter!("tenantry_http_connections_closed_total", "plane" => plane, "why" => why);
        Self(Arc::new(Inner {
            limits,
            begun: Instant::now(),
            open: Mutex::default(),
            count: metrics::gauge!("tenantry_http_connections", "plane" => plane),
            refused: closed("too_many"),
            closed: closed("too_slow"),
        }))
    }

    pub(crate) fn limits(&self) -> &ConnectionLimits {
        &self.0.limits
    }

    /// Counts a new connection; none if there are too many of its address, or of all and each has a request.
    pub(crate) fn open(&self, address: IpAddr) -> Option<Arc<Connection>> {
        let Inner { limits, refused, count, .. } = &*self.0;
        let mut open = self.opened();
        let of_address = open.by_address.get(&address).copied().unwrap_or_default();
        if of_address >= limits.per_address || (open.by_number.len() >= limits.in_all && !open.make_room()) {
            refused.increment(1);
            return None;
        }
        *open.by_address.entry(address).or_default() += 1;
        let waiting = Arc::new(Waiting {
            in_service: AtomicUsize::new(0),
            since: AtomicU64::new(self.now()),
            close: CancellationToken::new(),
        });
        open.next += 1;
        let number = open.next;
        open.by_number.insert(number, Arc::clone(&waiting));
        count.increment(1);
        drop(open);
        Some(Arc::new(Connection { connections: self.clone(), number, address, waiting }))
    }

    /// Closes the connections that have waited for too long; to be called every second or so.
    pub(crate) fn close_overdue(&self) {
        let patience = u64::try_from(self.0.limits.head_timeout.as_millis()).unwrap_or(u64::MAX);
        let now = self.now();
        for waiting in self.opened().by_number.values() {
            let overdue = now.saturating_sub(waiting.since.load(Ordering::Relaxed)) > patience;
            if overdue && waiting.for_a_request() && !waiting.close.is_cancelled() {
                waiting.close.cancel();
                self.0.closed.increment(1);
            }
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.0.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn opened(&self) -> MutexGuard<'_, Open> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// Closes the connection that has waited longest for a request; whether there was one.
    fn make_room(&mut self) -> bool {
        let waiting = self.by_number.iter().filter(|(_, waiting)| waiting.for_a_request());
        let longest = waiting.min_by_key(|(_, waiting)| waiting.since.load(Ordering::Relaxed));
        let Some(number) = longest.map(|(number, _)| *number) else { return false };
        if let Some(waiting) = self.by_number.remove(&number) {
            waiting.close.cancel();
        }
        true
    }
}

impl Connection {
    /// Cancelled when it is to be closed.
    pub(crate) fn close(&self) -> &CancellationToken {
        &self.waiting.close
    }

    pub(crate) fn limits(&self) -> &ConnectionLimits {
        self.connections.limits()
    }

    /// The client took something of an answer.
    pub(crate) fn moved(&self) {
        self.waiting.since.store(self.connections.now(), Ordering::Relaxed);
    }

    /// A request begins.
    pub(crate) fn serve(self: &Arc<Self>) -> InService {
        self.waiting.in_service.fetch_add(1, Ordering::Relaxed);
        InService(Arc::clone(self))
    }
}

impl Drop for InService {
    fn drop(&mut self) {
        self.0.moved();
        self.0.waiting.in_service.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut open = self.connections.opened();
        open.by_number.remove(&self.number);
        if let Some(count) = open.by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.by_address.remove(&self.address);
            }
        }
        self.connections.0.count.decrement(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn connections(in_all: usize, per_address: usize) -> Connections {
        let limits = ConnectionLimits { in_all, per_address, ..ConnectionLimits::default() };
        Connections::new("test", limits)
    }

    #[test]
    fn an_address_has_a_part_of_the_connections() {
        let connections = connections(10, 2);
        let held = [connections.open(HERE).unwrap(), connections.open(HERE).unwrap()];
        assert!(connections.open(HERE).is_none());
        assert!(connections.open([10, 0, 0, 1].into()).is_some());
        drop(held);
        assert!(connections.open(HERE).is_some());
    }

    #[test]
    fn one_too_many_takes_the_place_of_the_one_that_waited_longest_and_of_none_that_is_served() {
        let connections = connections(2, 10);
        let (first, second) = (connections.open(HERE).unwrap(), connections.open(HERE).unwrap());
        let served = first.serve();
        let third = connections.open(HERE).unwrap();
        assert!(second.close().is_cancelled());
        assert!(!first.close().is_cancelled());
        let _also = third.serve();
        assert!(connections.open(HERE).is_none());
        drop(served);
        assert!(connections.open(HERE).is_some());
        assert!(first.close().is_cancelled());
    }
}
