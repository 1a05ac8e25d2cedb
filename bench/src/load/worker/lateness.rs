//! How late followers hear of publishes, and whether all of them have heard of the newest.

use std::collections::BTreeMap;

use crate::load::clock::{self, Moment};
use crate::load::orders::{Plan, Tally};
use crate::load::spread::{Counts, Spread};

/// Of all followers in this process.
#[derive(Default)]
pub struct Lateness {
    /// What counts; nothing where it was not told.
    plan: Option<Plan>,
    late: Spread,
    /// When the last hint came that counts; 0 where none did.
    last_hint: Moment,
    followers: u32,
    /// What those had heard of that are gone.
    gone: Vec<Moment>,
    /// The newest version that anybody heard of.
    head: Moment,
    /// How many have.
    at_head: u32,
    /// The newest that was told to be known to all.
    told: Moment,
}

impl Lateness {
    /// From now on it counts.
    pub fn begin(&mut self, plan: Plan) {
        self.late.clear();
        self.last_hint = 0;
        self.plan = Some(plan);
    }

    /// One more follower, which has heard of nothing.
    pub const fn join(&mut self) {
        self.followers += 1;
    }

    /// One fewer; `heard` is what it had heard of.
    pub fn leave(&mut self, heard: Moment) {
        self.followers -= 1;
        self.gone.push(heard);
        if heard == self.head && heard > 0 {
            self.at_head -= 1;
        }
    }

    /// A follower, which had heard of `heard`, is told of `version`. One that is not greater says nothing new.
    pub fn hint(&mut self, heard: &mut Moment, version: Moment, tally: &mut Tally) {
        let now = clock::now();
        if self.plan.is_some() {
            tally.hints += 1;
            self.last_hint = now;
        }
        if version <= *heard {
            return;
        }
        let before = std::mem::replace(heard, version);
        match self.plan {
            None => {}
            Some(Plan::Hints) => {
                tally.learned += 1;
                self.late.record(now.saturating_sub(version));
            }
            Some(Plan::Publishes(schedule)) => {
                for due in schedule.learned(before, version) {
                    tally.learned += 1;
                    self.late.record(now.saturating_sub(due));
                }
            }
            Some(Plan::Oldest(schedule)) => {
                if let Some((oldest, count)) = schedule.oldest(before, version) {
                    tally.learned += count;
                    self.late.record(now.saturating_sub(oldest));
                }
            }
        }
        if version > self.head {
            (self.head, self.at_head) = (version, 0);
        }
        self.at_head += u32::from(version == self.head);
    }

    /// The version that all followers have heard of, once for each.
    pub const fn reached(&mut self) -> Option<Moment> {
        if self.head > self.told && self.at_head == self.followers {
            self.told = self.head;
            Some(self.head)
        } else {
            None
        }
    }

    /// When the last hint came that counts; 0 where none did.
    pub const fn last_hint(&self) -> Moment {
        self.last_hint
    }

    /// How late they were, where those still there have heard of `heard` and `last` was the last version published: what somebody
    /// did not hear of counts with its age now, or all would look the better the more is lost.
    pub fn counts(&self, heard: impl Iterator<Item = Moment>, last: Moment) -> Counts {
        let (now, mut late) = (clock::now(), self.late.clone());
        // Most have heard of the same.
        let mut behind = BTreeMap::<Moment, u64>::new();
        for heard in heard.chain(self.gone.iter().copied()).filter(|heard| *heard < last) {
            *behind.entry(heard).or_default() += 1;
        }
        for (heard, followers) in behind {
            match self.plan {
                None => {}
                Some(Plan::Hints) => late.record_n(now.saturating_sub(last), followers),
                Some(Plan::Publishes(schedule)) => {
                    for due in schedule.learned(heard, last) {
                        late.record_n(now.saturating_sub(due), followers);
                    }
                }
                Some(Plan::Oldest(schedule)) => {
                    if let Some((oldest, _)) = schedule.oldest(heard, last) {
                        late.record_n(now.saturating_sub(oldest), followers);
                    }
                }
            }
        }
        late.counts()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::schedule::Schedule;

    #[test]
    fn a_version_is_reached_once_all_followers_heard_of_it_or_are_gone() {
        let (mut lateness, mut tally) = (Lateness::default(), Tally::default());
        let mut heard = [0; 3];
        heard.iter().for_each(|_| lateness.join());

        lateness.hint(&mut heard[0], 7, &mut tally);
        lateness.hint(&mut heard[1], 7, &mut tally);
        assert_eq!(lateness.reached(), None);
        lateness.leave(heard[2]);
        assert_eq!(lateness.reached(), Some(7));
        assert_eq!(lateness.reached(), None);

        lateness.hint(&mut heard[1], 9, &mut tally);
        // Again, and an older one: nothing new.
        lateness.hint(&mut heard[1], 9, &mut tally);
        lateness.hint(&mut heard[1], 8, &mut tally);
        assert_eq!(lateness.reached(), None);
        // News to this one, but not the newest.
        lateness.hint(&mut heard[0], 8, &mut tally);
        assert_eq!(lateness.reached(), None);
        lateness.hint(&mut heard[0], 9, &mut tally);
        assert_eq!(lateness.reached(), Some(9));
        assert_eq!(tally, Tally::default());
    }

    #[test]
    fn a_merged_hint_is_late_by_each_publish_that_it_stands_for() {
        let (mut lateness, mut tally) = (Lateness::default(), Tally::default());
        // Due a second ago, and then one each 100 ms.
        let begin = clock::now() - 1_000_000;
        let schedule = Schedule { begin, count: 100, per_second: 10 };
        let mut heard = 0;
        lateness.join();
        lateness.begin(Plan::Publishes(schedule));

        lateness.hint(&mut heard, schedule.due(0), &mut tally);
        lateness.hint(&mut heard, schedule.due(4), &mut tally);

        assert_eq!((tally.hints, tally.learned), (2, 5));
        let mut spread = Spread::default();
        spread.merge(&lateness.counts([heard].into_iter(), heard));
        let summary = spread.summary();
        assert_eq!(summary.count, 5);
        assert!(summary.min_us >= 599_000 && summary.max_us >= 999_000, "{summary:?}");
    }

    #[test]
    fn a_hint_that_tells_of_many_counts_once_and_from_the_oldest() {
        let (mut lateness, mut tally) = (Lateness::default(), Tally::default());
        let schedule = Schedule { begin: clock::now() - 1_000_000, count: 10, per_second: 10 };
        let (mut heard, mut never) = (0, 0);
        lateness.join();
        lateness.begin(Plan::Oldest(schedule));

        lateness.hint(&mut heard, schedule.due(2), &mut tally);
        lateness.hint(&mut heard, schedule.due(8), &mut tally);
        // What was known before the schedule is none of it.
        lateness.hint(&mut never, schedule.begin - 5, &mut tally);

        assert_eq!((tally.hints, tally.learned), (3, 9));
        let mut spread = Spread::default();
        spread.merge(&lateness.counts([heard, never].into_iter(), schedule.due(9)));
        // A second; 700 ms; 100 ms for the last of one, and a second for all of the other.
        let ages: Vec<u64> = spread.counts().0.iter().map(|(micros, _)| micros / 100_000).collect();
        assert_eq!((ages, spread.summary().count), (vec![1, 7, 10], 4));
    }

    #[test]
    fn what_nobody_heard_of_is_as_late_as_it_is_old() {
        let (mut lateness, mut tally) = (Lateness::default(), Tally::default());
        let schedule = Schedule { begin: clock::now() - 1_000_000, count: 10, per_second: 10 };
        let last = schedule.due(9);
        let mut heard = [0; 3];
        heard.iter().for_each(|_| lateness.join());
        let counted = |lateness: &Lateness, heard: &[Moment], last| {
            let mut spread = Spread::default();
            spread.merge(&lateness.counts(heard.iter().copied(), last));
            spread.summary()
        };

        lateness.begin(Plan::Publishes(schedule));
        lateness.hint(&mut heard[0], last, &mut tally);
        lateness.hint(&mut heard[1], schedule.due(7), &mut tally);
        lateness.leave(heard[2]);

        // All heard of all, or of all but two; who left had heard of none. It may be asked again.
        for _ in 0..2 {
            let summary = counted(&lateness, &heard[..2], last);
            assert_eq!(summary.count, 10 + 8 + 2 + 10);
            assert!(summary.max_us >= 999_000, "{summary:?}");
        }
        assert_eq!(tally.learned, 18);
        assert!(lateness.last_hint() >= schedule.begin + 1_000_000);

        // Without a schedule only the last is known.
        lateness.begin(Plan::Hints);
        let summary = counted(&lateness, &heard[..2], clock::now() - 50_000);
        assert_eq!((summary.count, lateness.last_hint()), (3, 0));
        assert!(summary.min_us >= 49_000 && summary.max_us < 999_000, "{summary:?}");
    }
}
