//! Which transactions a snapshot sees.

use std::fmt;

use super::pgoutput::Unreadable;

/// What `pg_current_snapshot()` answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Snapshot {
    /// All before are seen, if they were committed.
    first_running: u64,
    /// This and all after are not.
    next: u64,
    /// Between them, those that are not seen, in order.
    running: Vec<u64>,
}

impl Snapshot {
    /// From its text, e.g. `10:20:10,14`.
    pub(super) fn parse(text: &str) -> Result<Self, Unreadable> {
        let mut parts = text.splitn(3, ':');
        let mut number = || parts.next().and_then(|part| part.parse().ok()).ok_or(Unreadable);
        let (first_running, next) = (number()?, number()?);
        let running = parts.next().ok_or(Unreadable)?;
        let running = running.split(',').filter(|part| !part.is_empty());
        let mut running: Vec<u64> =
            running.map(|part| part.parse().map_err(|_| Unreadable)).collect::<Result<_, _>>()?;
        running.sort_unstable();
        Ok(Self { first_running, next, running })
    }

    /// As if it were taken after the transaction that took it has committed. PostgreSQL does not list a transaction's own number.
    pub(super) fn with(mut self, xid: u64) -> Self {
        if xid >= self.next {
            // Nobody knows whether those in between have ended.
            self.running.extend(self.next..xid);
            self.next = xid + 1;
        }
        self
    }

    /// Whether it sees what a transaction did that has committed and is not more than two thousand million older or newer.
    pub(super) fn sees(&self, xid: u32) -> bool {
        // The half that is missing is that which makes it nearest.
        let distance = xid.wrapping_sub(low(self.next)).cast_signed();
        let xid = self.next.wrapping_add_signed(distance.into());
        xid < self.first_running || (xid < self.next && self.running.binary_search(&xid).is_err())
    }
}

impl fmt::Display for Snapshot {
    /// As [`Snapshot::parse`] reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:", self.first_running, self.next)?;
        let mut between = "";
        for running in &self.running {
            write!(f, "{between}{running}")?;
            between = ",";
        }
        Ok(())
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half")]
fn low(xid: u64) -> u32 {
    xid as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_sees_what_had_ended_when_it_was_taken() {
        let snapshot = Snapshot::parse("10:20:10,14").unwrap();
        for (xid, seen) in [(9, true), (10, false), (11, true), (14, false), (19, true), (20, false)] {
            assert_eq!(snapshot.sees(xid), seen, "{xid}");
        }
        let snapshot = Snapshot::parse("4294967290:4294967300:").unwrap();
        for (xid, seen) in [(4_294_967_295, true), (0, true), (3, true), (4, false), (5, false)] {
            assert_eq!(snapshot.sees(xid), seen, "{xid}");
        }
        for text in ["", "1:2", "a:2:", "1:2:x"] {
            assert!(Snapshot::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_transaction_s_own_snapshot_sees_it_when_it_has_committed() {
        for (taken, xid, then) in [
            ("10:20:10,14", 15, "10:20:10,14"),
            ("10:20:10,14", 20, "10:21:10,14"),
            ("20:20:", 20, "20:21:"),
            ("20:20:", 23, "20:24:20,21,22"),
        ] {
            let snapshot = Snapshot::parse(taken).unwrap().with(xid);
            assert_eq!(snapshot.to_string(), then, "{taken} and {xid}");
            assert!(snapshot.sees(low(xid)) && !snapshot.sees(low(xid) + 10), "{then}");
            assert_eq!(Snapshot::parse(then).unwrap(), snapshot);
        }
    }
}
