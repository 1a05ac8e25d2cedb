//! When publishes are due. The moment is the version, so whoever hears of a version knows how late it is.
//!
//! In an open loop nobody waits for an answer, and a late publish counts from the moment when it was due: a server that
//! stalls is charged for everything that had to wait for it (no coordinated omission).

use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::clock::Moment;

/// From the making of a schedule to its first moment, and from the telling of a loss to it: so long may the slowest of many processes take to
/// hear of it. For a million sessions there are some fifty, on cores that are all busy.
pub const AHEAD_US: u64 = 1_000_000;
/// So soon before the first of them it is read what the server and the tool have used: a page of metrics, or the memory of large processes, takes
/// some of that. It is a tenth of [`AHEAD_US`], and of the shortest while that tells anything.
pub const READ_US: u64 = 100_000;

/// Publishes at a steady rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// The first.
    pub begin: Moment,
    /// How many there are.
    pub count: u64,
    /// How many are due in a second, at least one.
    pub per_second: u32,
}

impl Schedule {
    /// So many a second for so long, at least one.
    pub fn lasting(begin: Moment, rate: NonZeroU32, time: Duration) -> Self {
        let count = (time.as_millis() * u128::from(rate.get()) / 1_000).max(1);
        Self { begin, count: u64::try_from(count).unwrap_or(u64::MAX), per_second: rate.get() }
    }

    /// When a publish is due, counted from 0.
    pub fn due(&self, number: u64) -> Moment {
        self.begin + number * 1_000_000 / u64::from(self.per_second)
    }

    /// How many of them are due at a moment: those up to it.
    pub fn due_by(&self, moment: Moment) -> u64 {
        let Some(since) = moment.checked_sub(self.begin) else { return 0 };
        // Publish n is due at n * 10^6 / r rounded down: the last n for which that is not beyond `since`.
        // A server may tell of any version: beyond all of them there is nothing to count.
        let last = (since.saturating_add(1).saturating_mul(self.per_second.into()) - 1) / 1_000_000;
        (last + 1).min(self.count)
    }

    /// The publishes that somebody learns of who hears of version `now` and knew `before`: when each was due.
    pub fn learned(&self, before: Moment, now: Moment) -> impl Iterator<Item = Moment> {
        (self.due_by(before)..self.due_by(now)).map(|number| self.due(number))
    }

    /// When the oldest of those publishes was due, and how many there are; `None` where there are none.
    pub fn oldest(&self, before: Moment, now: Moment) -> Option<(Moment, u64)> {
        let (first, end) = (self.due_by(before), self.due_by(now));
        (first < end).then(|| (self.due(first), end - first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ODD: Schedule = Schedule { begin: 1_000_003, count: 500, per_second: 7 };

    #[test]
    fn every_publish_has_a_moment_of_its_own_and_is_due_from_it_on() {
        for per_second in [1, 7, 999, 1_000, 65_537, 1_000_000] {
            let schedule = Schedule { per_second, ..ODD };
            for number in 0..schedule.count {
                let due = schedule.due(number);
                assert_eq!(schedule.due_by(due), number + 1, "{number} at {per_second}/s");
                assert_eq!(schedule.due_by(due - 1), number, "{number} at {per_second}/s");
            }
            for beyond in [u64::MAX / 2_000_000, 1 << 53, u64::MAX] {
                assert_eq!(schedule.due_by(beyond), schedule.count);
            }
        }
    }

    #[test]
    fn a_merged_hint_tells_of_all_that_it_stands_for() {
        let learned = |before, now| ODD.learned(before, now).collect::<Vec<_>>();

        assert_eq!(learned(0, ODD.due(0)), [ODD.due(0)]);
        assert_eq!(learned(ODD.due(0), ODD.due(3)), [ODD.due(1), ODD.due(2), ODD.due(3)]);
        assert_eq!(learned(ODD.due(3), ODD.due(3)), [] as [u64; 0]);
        // What came before the first is none of them.
        assert_eq!(learned(5, ODD.begin - 1), [] as [u64; 0]);
    }

    #[test]
    fn a_second_has_as_many_publishes_as_asked_for() {
        let schedule = Schedule { begin: 0, count: u64::MAX, per_second: 333 };

        assert_eq!(schedule.due_by(10_000_000) - schedule.due_by(0), 3_330);
    }
}
