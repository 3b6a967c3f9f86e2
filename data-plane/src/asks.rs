//! How often the registry is asked for host names on behalf of reverse proxies.

use std::num::NonZeroU32;

use governor::{DefaultDirectRateLimiter, Quota};

/// Questions about host names that are not in memory, per second and at once. Anybody may ask, and a
/// certificate is worth a second's wait; the registry is not to pay for a scan.
const PER_SECOND: NonZeroU32 = NonZeroU32::new(50).expect("not zero");
const AT_ONCE: NonZeroU32 = NonZeroU32::new(200).expect("not zero");

/// How many questions may still go to the registry.
pub(crate) struct Asks(DefaultDirectRateLimiter);

/// No more questions at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooMany;

impl Asks {
    pub(crate) fn new() -> Self {
        Self(DefaultDirectRateLimiter::direct(Quota::per_second(PER_SECOND).allow_burst(AT_ONCE)))
    }

    /// Counts a question.
    pub(crate) fn admit(&self) -> Result<(), TooMany> {
        self.0.check().map_err(|_| TooMany)
    }
}
