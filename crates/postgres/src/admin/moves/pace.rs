//! Copying no faster than is allowed, so that others on the servers are not slowed down.

use std::{
    num::NonZeroU64,
    time::{Duration, Instant},
};

/// With less a statement costs more than what it reads.
const SMALLEST_PART: usize = 8 << 10;

/// The longest time that is made up for.
const MADE_UP: Duration = Duration::from_millis(5);

/// See the module.
#[derive(Debug)]
pub(super) struct Pace {
    rate: Option<NonZeroU64>,
    /// When all that was copied so far may have been.
    due: Instant,
}

impl Pace {
    /// At most this many bytes each second; none: as fast as it goes.
    pub(super) fn of(rate: Option<NonZeroU64>) -> Self {
        Self { rate, due: Instant::now() }
    }

    /// How many bytes to read by one statement; none: all.
    pub(super) fn part(&self) -> Option<usize> {
        Some(self.at_once()?.max(SMALLEST_PART))
    }

    /// How many bytes to send at once; none: as many as there are. About what may be read in two milliseconds, so that whoever
    /// shares a core with it waits for no longer than that.
    pub(super) fn at_once(&self) -> Option<usize> {
        Some(usize::try_from(self.rate?.get() / 500).unwrap_or(usize::MAX))
    }

    /// Waits until as many bytes more may have been copied. A time in which less was copied is not made up for, unless it is
    /// short: a timer is late by a millisecond.
    pub(super) async fn after(&mut self, bytes: usize) {
        let Some(rate) = self.rate else { return };
        #[expect(clippy::cast_precision_loss, reason = "a rate")]
        let takes = Duration::from_secs_f64(bytes as f64 / rate.get() as f64);
        let now = Instant::now();
        self.due = self.due.max(now.checked_sub(MADE_UP).unwrap_or(now)) + takes;
        tokio::time::sleep_until(self.due.into()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_more_is_copied_in_a_time_than_the_rate_allows() {
        let began = Instant::now();
        let mut pace = Pace::of(NonZeroU64::new(1_000_000));
        for _ in 0..5 {
            pace.after(10_000).await;
        }
        assert!(began.elapsed() >= Duration::from_millis(50), "{:?}", began.elapsed());
        let mut free = Pace::of(None);
        free.after(usize::MAX).await;
        assert!(began.elapsed() < Duration::from_secs(30));
    }
}
