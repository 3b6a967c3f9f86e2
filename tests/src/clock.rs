//! Time that a test moves.

use std::sync::{Arc, Mutex};

use chrono::{DateTime, Duration, Utc};
use tenantry_domain::{Clock, SystemClock};

/// The system's clock, put forward by hand.
#[derive(Debug)]
pub struct MovedClock(Mutex<Duration>);

impl MovedClock {
    /// A clock that is right.
    pub fn shared() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Duration::zero())))
    }

    /// Puts it this much ahead of the time, whatever it was before.
    pub fn put_ahead(&self, ahead: Duration) {
        *self.0.lock().expect("nobody panics with a clock in hand") = ahead;
    }
}

impl Clock for MovedClock {
    fn now(&self) -> DateTime<Utc> {
        SystemClock.now() + *self.0.lock().expect("nobody panics with a clock in hand")
    }
}
