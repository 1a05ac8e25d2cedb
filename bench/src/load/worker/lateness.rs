//! How late followers hear of publishes, and whether all of them have heard of the newest.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::load::clock::{self, Moment};
use crate::load::laps::Laps;
use crate::load::orders::{Plan, Tally};
use crate::load::schedule::Schedule;
use crate::load::spread::{Counts, Spread};

/// Of all followers in this process.
pub struct Lateness {
    /// What counts; nothing where it was not told.
    plan: Option<Plan>,
    late: Spread,
    /// The same, since it was asked for last.
    recent: Spread,
    /// When the last hint came that counts; 0 where none did.
    last_hint: Moment,
    followers: u32,
    /// Those that are gone, and what they had heard of.
    gone: Vec<(u64, Moment)>,
    /// The newest version that anybody heard of.
    head: Moment,
    /// How many have.
    at_head: u32,
    /// The newest that was told to be known to all.
    told: Moment,
    /// Whether `head` is where a lap begins: those are at it who have heard of that version or a later one.
    is_lap: bool,
}

impl Default for Lateness {
    fn default() -> Self {
        Self {
            plan: None,
            late: Spread::default(),
            recent: Spread::coarse(),
            last_hint: 0,
            followers: 0,
            gone: Vec::new(),
            head: 0,
            at_head: 0,
            told: 0,
            is_lap: false,
        }
    }
}

impl Lateness {
    /// From now on it counts.
    pub fn begin(&mut self, plan: Plan) {
        self.late.clear();
        self.recent.clear();
        self.last_hint = 0;
        self.plan = Some(plan);
    }

    /// One more follower, and what it has heard of.
    pub const fn join(&mut self, heard: Moment) {
        self.followers += 1;
        if heard > self.head && !self.is_lap {
            (self.head, self.at_head) = (heard, 0);
        }
        if self.is_at_head(heard) {
            self.at_head += 1;
        }
    }

    /// All are rung once, with versions from `begin` on; `heard` is what they have heard of, as some may have already.
    pub fn aim(&mut self, begin: Moment, heard: impl Iterator<Item = Moment>) {
        (self.head, self.is_lap) = (begin, true);
        self.at_head = heard.map(|heard| u32::from(heard >= begin)).sum();
    }

    /// One fewer, for ever; which, and what it had heard of.
    pub fn leave(&mut self, (user, heard): (u64, Moment)) {
        self.go_away(heard);
        self.gone.push((user, heard));
    }

    /// Somebody never hears again, who is not waited for; which, and what it had heard of.
    pub fn lose(&mut self, gone: (u64, Moment)) {
        self.gone.push(gone);
    }

    /// One fewer, which had heard of that, and may join again.
    pub const fn go_away(&mut self, heard: Moment) {
        self.followers -= 1;
        if self.is_at_head(heard) {
            self.at_head -= 1;
        }
    }

    const fn is_at_head(&self, heard: Moment) -> bool {
        heard > 0 && if self.is_lap { heard >= self.head } else { heard == self.head }
    }

    /// The session of a user, which had heard of `heard`, is told of `version` at `now`. One that is not greater says nothing new.
    pub fn hint(
        &mut self,
        (user, heard): (u64, &mut Moment),
        (version, now): (Moment, Moment),
        tally: &mut Tally,
    ) {
        if self.plan.is_some() {
            tally.hints += 1;
            // Another socket may have been read before that had its hint later.
            self.last_hint = self.last_hint.max(now);
        }
        if version <= *heard {
            return;
        }
        let before = std::mem::replace(heard, version);
        match self.plan {
            None => {}
            Some(Plan::Hints) => {
                tally.learned += 1;
                self.record(now.saturating_sub(version));
            }
            Some(Plan::Publishes(schedule)) => {
                for due in schedule.learned(before, version) {
                    tally.learned += 1;
                    self.record(now.saturating_sub(due));
                }
            }
            Some(Plan::Oldest(schedule)) => {
                if let Some((oldest, count)) = schedule.oldest(before, version) {
                    tally.learned += count;
                    self.record(now.saturating_sub(oldest));
                }
            }
            Some(Plan::Laps(schedule, laps)) => {
                for due in rung(schedule, laps, user, before..version) {
                    tally.learned += 1;
                    self.record(now.saturating_sub(due));
                }
            }
        }
        if version > self.head && !self.is_lap {
            (self.head, self.at_head) = (version, 0);
        }
        let is_new = self.is_at_head(version) && !(self.is_lap && self.is_at_head(before));
        self.at_head += u32::from(is_new);
    }

    fn record(&mut self, micros: u64) {
        self.late.record(micros);
        self.recent.record(micros);
    }

    /// How late they were since this was asked last.
    pub fn recent(&mut self) -> Counts {
        let counts = self.recent.counts();
        self.recent.clear();
        counts
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
    pub fn counts(&self, heard: impl Iterator<Item = (u64, Moment)>, last: Moment) -> Counts {
        let (now, mut late) = (clock::now(), self.late.clone());
        // Most have heard of the same.
        let mut behind = BTreeMap::<Moment, u64>::new();
        for (user, heard) in heard.chain(self.gone.iter().copied()).filter(|(_, heard)| *heard < last) {
            if let Some(Plan::Laps(schedule, laps)) = self.plan {
                rung(schedule, laps, user, heard..last).for_each(|due| late.record(now.saturating_sub(due)));
            }
            *behind.entry(heard).or_default() += 1;
        }
        for (heard, followers) in behind {
            match self.plan {
                // Of a lap each has a time of its own: told above.
                None | Some(Plan::Laps(..)) => {}
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

/// When the rings were due that a user learns of who knew one version and is told of another.
fn rung(schedule: Schedule, laps: Laps, user: u64, versions: Range<Moment>) -> impl Iterator<Item = Moment> {
    let known = [versions.start, versions.end].map(|version| laps.of(user, schedule.due_by(version)));
    (known[0]..known[1]).map(move |lap| schedule.due(laps.number(user, lap)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_hint_is_the_one_that_came_last_in_whichever_order_they_are_read() {
        let (mut lateness, mut tally) = (Lateness::default(), Tally::default());
        lateness.begin(Plan::Hints);
        for (version, came) in [(10, 70), (11, 50)] {
            lateness.hint((0, &mut 0), (version, came), &mut tally);
        }

        assert_eq!(lateness.last_hint(), 70);
        let late = lateness.recent();
        assert_eq!(late, Counts(vec![(39, 1), (60, 1)]), "{late:?}");
    }

    #[test]
    fn a_version_is_reached_once_all_followers_heard_of_it_or_are_gone() {
        let (mut lateness, mut tally) = (Lateness::default(), Tally::default());
        let mut heard = [0; 3];
        heard.iter().for_each(|_| lateness.join(0));

        lateness.hint((0, &mut heard[0]), (7, clock::now()), &mut tally);
        lateness.hint((0, &mut heard[1]), (7, clock::now()), &mut tally);
        assert_eq!(lateness.reached(), None);
        lateness.leave((0, heard[2]));
        assert_eq!(lateness.reached(), Some(7));
        assert_eq!(lateness.reached(), None);

        lateness.hint((0, &mut heard[1]), (9, clock::now()), &mut tally);
        // Again, and an older one: nothing new.
        lateness.hint((0, &mut heard[1]), (9, clock::now()), &mut tally);
        lateness.hint((0, &mut heard[1]), (8, clock::now()), &mut tally);
        assert_eq!(lateness.reached(), None);
        // News to this one, but not the newest.
        lateness.hint((0, &mut heard[0]), (8, clock::now()), &mut tally);
        assert_eq!(lateness.reached(), None);
        lateness.hint((0, &mut heard[0]), (9, clock::now()), &mut tally);
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
        lateness.join(0);
        lateness.begin(Plan::Publishes(schedule));

        lateness.hint((0, &mut heard), (schedule.due(0), clock::now()), &mut tally);
        lateness.hint((0, &mut heard), (schedule.due(4), clock::now()), &mut tally);

        assert_eq!((tally.hints, tally.learned), (2, 5));
        let mut spread = Spread::default();
        spread.merge(&lateness.counts([(0, heard)].into_iter(), heard));
        let summary = spread.summary();
        assert_eq!(summary.count, 5);
        assert!(summary.min_us >= 599_000 && summary.max_us >= 999_000, "{summary:?}");
    }

    #[test]
    fn a_hint_that_tells_of_many_counts_once_and_from_the_oldest() {
        let (mut lateness, mut tally) = (Lateness::default(), Tally::default());
        let schedule = Schedule { begin: clock::now() - 1_000_000, count: 10, per_second: 10 };
        let (mut heard, mut never) = (0, 0);
        lateness.join(0);
        lateness.begin(Plan::Oldest(schedule));

        lateness.hint((0, &mut heard), (schedule.due(2), clock::now()), &mut tally);
        lateness.hint((0, &mut heard), (schedule.due(8), clock::now()), &mut tally);
        // What was known before the schedule is none of it.
        lateness.hint((0, &mut never), (schedule.begin - 5, clock::now()), &mut tally);

        assert_eq!((tally.hints, tally.learned), (3, 9));
        let mut spread = Spread::default();
        spread.merge(&lateness.counts([(0, heard), (1, never)].into_iter(), schedule.due(9)));
        // A second and 700 ms, or more on a slow machine; now 100 ms for the last of one, and 900 ms more for all of the other.
        let Counts(values) = spread.counts();
        let ages: Vec<u64> =
            values.iter().flat_map(|(micros, count)| vec![*micros; *count as usize]).collect();
        assert_eq!(ages.len(), 4, "{ages:?}");
        assert!(
            ages.iter().zip([99_000, 699_000, 999_000, 999_000]).all(|(age, least)| *age >= least),
            "{ages:?}"
        );
        assert!(ages[3] - ages[0] >= 890_000, "{ages:?}");
    }

    #[test]
    fn what_nobody_heard_of_is_as_late_as_it_is_old() {
        let (mut lateness, mut tally) = (Lateness::default(), Tally::default());
        let schedule = Schedule { begin: clock::now() - 1_000_000, count: 10, per_second: 10 };
        let last = schedule.due(9);
        let mut heard = [0; 3];
        heard.iter().for_each(|_| lateness.join(0));
        let counted = |lateness: &Lateness, heard: &[Moment], last| {
            let mut spread = Spread::default();
            spread.merge(&lateness.counts(heard.iter().map(|heard| (0, *heard)), last));
            spread.summary()
        };

        lateness.begin(Plan::Publishes(schedule));
        lateness.hint((0, &mut heard[0]), (last, clock::now()), &mut tally);
        lateness.hint((0, &mut heard[1]), (schedule.due(7), clock::now()), &mut tally);
        lateness.leave((0, heard[2]));

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

    #[test]
    fn a_user_learns_of_its_own_rings_alone_and_what_it_missed_is_as_late_as_it_is_old() {
        let (mut lateness, mut tally) = (Lateness::default(), Tally::default());
        // Two users, ten laps of 100 ms: who is rung first in a lap is drawn.
        let schedule = Schedule { begin: clock::now() - 1_000_000, count: 20, per_second: 20 };
        let laps = Laps::new(2, 1);
        lateness.begin(Plan::Laps(schedule, laps));
        let mut heard = [0; 2];
        heard.iter().for_each(|_| lateness.join(0));

        // After three laps, and after all of them; the other one is told of one and a half.
        lateness.hint((0, &mut heard[0]), (schedule.due(5), clock::now()), &mut tally);
        assert_eq!(tally.learned, 3);
        lateness.hint((0, &mut heard[0]), (schedule.due(19), clock::now()), &mut tally);
        assert_eq!(tally.learned, 10);
        lateness.hint((1, &mut heard[1]), (schedule.due(laps.number(1, 1)), clock::now()), &mut tally);
        assert_eq!((tally.learned, tally.hints), (12, 3));

        let users = || heard.iter().enumerate().map(|(user, heard)| (user as u64, *heard));
        let mut spread = Spread::default();
        spread.merge(&lateness.counts(users(), schedule.due(19)));
        // Eight laps are missing, the oldest of which was due at 200 ms or soon after; the first of all is a second old.
        let Counts(values) = spread.counts();
        assert_eq!(values.iter().map(|(_, count)| count).sum::<u64>(), 20);
        assert!(values.iter().any(|(micros, _)| *micros >= 999_000), "{values:?}");
    }

    #[test]
    fn a_lap_is_over_once_all_have_heard_of_a_version_of_it() {
        let (mut lateness, mut tally) = (Lateness::default(), Tally::default());
        let mut heard = [0; 3];
        heard.iter().for_each(|_| lateness.join(0));

        // One has heard of it before the lap is known.
        lateness.hint((0, &mut heard[0]), (12, clock::now()), &mut tally);
        lateness.aim(10, heard.iter().copied());
        lateness.hint((1, &mut heard[1]), (11, clock::now()), &mut tally);
        lateness.hint((1, &mut heard[1]), (13, clock::now()), &mut tally);
        lateness.hint((2, &mut heard[2]), (9, clock::now()), &mut tally);
        assert_eq!(lateness.reached(), None);
        lateness.leave((1, heard[1]));
        assert_eq!(lateness.reached(), None);
        lateness.hint((2, &mut heard[2]), (11, clock::now()), &mut tally);

        assert_eq!(lateness.reached(), Some(10));
        lateness.aim(20, [heard[0], heard[2]].into_iter());
        assert_eq!(lateness.reached(), None);
    }
}
