//! The rules of a gateway's lease on a partition, without clock, lock or storage.

use std::time::Duration;

use doorbell_protocol::{Epoch, Timestamp};

/// A lease as a back-end keeps it. Nothing revives one that has ended: there is no method for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldLease {
    epoch: Epoch,
    until: Timestamp,
}

/// What asking for more time did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// The lease now ends later.
    Extended,
    /// It had ended, or is another epoch's.
    Lapsed,
}

impl HeldLease {
    /// A new lease: its epoch is greater than `previous`, the last that the partition gave, and, where the store lost
    /// that, than any that was given before now: max(previous + 1, now in ms).
    #[must_use]
    pub fn take(previous: Option<Epoch>, ttl: Duration, now: Timestamp) -> Self {
        let after_previous = previous.map_or(0, |Epoch(number)| number + 1);
        Self { epoch: Epoch(after_previous.max(now.as_millis())), until: now.plus(ttl) }
    }

    /// Its epoch.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Whether what was made under `epoch` is covered: by this very lease, before its end.
    #[must_use]
    pub fn covers(&self, epoch: Epoch, now: Timestamp) -> bool {
        self.epoch == epoch && now < self.until
    }

    /// Lets it end `ttl` from now, if it covers `epoch` still.
    pub fn renew(&mut self, epoch: Epoch, ttl: Duration, now: Timestamp) -> Renewal {
        if !self.covers(epoch, now) {
            return Renewal::Lapsed;
        }
        self.until = now.plus(ttl);
        Renewal::Extended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_millis(100);

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn an_epoch_is_greater_than_the_one_before_and_not_below_the_time() {
        let cases =
            [(None, 0, 0), (None, 7, 7), (Some(7), 7, 8), (Some(7), 5, 8), (Some(7), 9, 9), (Some(7), 8, 8)];
        for (previous, now, expected) in cases {
            let lease = HeldLease::take(previous.map(Epoch), TTL, at(now));
            assert_eq!(lease.epoch(), Epoch(expected), "{previous:?} at {now}");
        }
    }

    #[test]
    fn a_lease_covers_its_own_epoch_until_its_end() {
        let lease = HeldLease::take(None, TTL, at(1_000));
        let cases = [
            (1_000, 1_000, true),
            (1_000, 1_099, true),
            (1_000, 1_100, false),
            (999, 1_000, false),
            (1_001, 1_000, false),
        ];
        for (epoch, now, expected) in cases {
            assert_eq!(lease.covers(Epoch(epoch), at(now)), expected, "epoch {epoch} at {now}");
        }
    }

    #[test]
    fn a_renewal_counts_from_now_and_never_revives() {
        let mut lease = HeldLease::take(None, TTL, at(1_000));

        assert_eq!(lease.renew(Epoch(1_000), TTL, at(1_099)), Renewal::Extended);
        assert!(lease.covers(Epoch(1_000), at(1_198)) && !lease.covers(Epoch(1_000), at(1_199)));
        assert_eq!(lease.renew(Epoch(999), TTL, at(1_100)), Renewal::Lapsed, "another epoch");
        assert_eq!(lease.renew(Epoch(1_000), TTL, at(1_199)), Renewal::Lapsed, "at its end");
        assert!(!lease.covers(Epoch(1_000), at(1_199)));
    }
}
