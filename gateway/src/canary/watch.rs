//! Pure: when one canary is to be rung, and whether it is late.

use std::time::Duration;

use doorbell_protocol::{Stamp, Version};

use crate::uptime::Moment;

/// A canary is late when the newest ring that arrived was sent so many intervals ago: two rings in a row are missing.
const LATE_INTERVALS: u32 = 3;

/// One partition's canary, as its gateway sees it.
#[derive(Debug)]
pub(super) struct Watch {
    interval: Duration,
    standing: Standing,
    /// When it is to be rung next.
    due: Moment,
    /// A ring has not been answered by the queue.
    is_under_way: bool,
    /// When the newest ring that arrived was sent; the beginning, before there is one.
    heard: Moment,
    is_late: bool,
}

/// Where it stands with the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It is to be entered.
    Away,
    /// It has an entry, with this stamp.
    Entered(Stamp),
    /// The gateway leaves: it is entered no more.
    Left,
}

/// A change worth a line in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It is late from now on.
    Late,
    /// It is no longer late.
    Back,
}

/// What a look at it shows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Look {
    /// How long ago the newest ring that arrived was sent.
    pub(super) age: Duration,
    pub(super) is_late: bool,
    /// What changed since the last look.
    pub(super) turn: Option<Turn>,
    /// Ring it now, with this version.
    pub(super) ring: Option<Version>,
}

impl Watch {
    /// Not entered yet; its first ring is `phase` from now, so that not all are rung at once.
    pub(super) fn new(interval: Duration, phase: Duration, now: Moment) -> Self {
        let (standing, due) = (Standing::Away, now.plus(phase));
        Self { interval, standing, due, is_under_way: false, heard: now, is_late: false }
    }

    pub(super) fn is_away(&self) -> bool {
        self.standing == Standing::Away
    }

    /// An enter was confirmed. Who has left stays away: the entry ends with the lease.
    pub(super) fn entered(&mut self, stamp: Stamp) {
        if self.standing != Standing::Left {
            self.standing = Standing::Entered(stamp);
        }
    }

    /// The entry may be gone: it is to be entered again, unless it has left.
    pub(super) fn lost(&mut self) {
        if self.standing != Standing::Left {
            self.standing = Standing::Away;
        }
    }

    /// It leaves for good; answers the stamp of its entry.
    pub(super) fn leave(&mut self) -> Option<Stamp> {
        match std::mem::replace(&mut self.standing, Standing::Left) {
            Standing::Entered(stamp) => Some(stamp),
            Standing::Away | Standing::Left => None,
        }
    }

    /// The queue has answered the ring, in one way or another.
    pub(super) fn answered(&mut self) {
        self.is_under_way = false;
    }

    /// A ring that was sent then arrived. An older one that comes after a newer one says nothing.
    pub(super) fn arrived(&mut self, sent: Moment) {
        self.heard = self.heard.max(sent);
    }

    /// Judges it, and takes the ring that is due. What could not be rung in time is rung once, and not once for each time
    /// that was missed.
    pub(super) fn look(&mut self, now: Moment) -> Look {
        let age = now.since(self.heard);
        let is_late = age > self.interval * LATE_INTERVALS;
        let turn = match (self.is_late, is_late) {
            (false, true) => Some(Turn::Late),
            (true, false) => Some(Turn::Back),
            _ => None,
        };
        self.is_late = is_late;
        Look { age, is_late, turn, ring: self.take_ring(now) }
    }

    fn take_ring(&mut self, now: Moment) -> Option<Version> {
        let Standing::Entered(_) = self.standing else { return None };
        if self.is_under_way || now < self.due {
            return None;
        }
        while self.due <= now {
            self.due = self.due.plus(self.interval);
        }
        self.is_under_way = true;
        // The version says when it was sent; it grows with the time, and 2^53 µs are 285 years.
        Version::new(now.as_micros())
    }
}

#[cfg(test)]
mod tests {
    use doorbell_protocol::{Epoch, Generation};

    use super::*;

    const STAMP: Stamp = Stamp { epoch: Epoch(7), generation: Generation(1) };

    fn at(secs: u64) -> Moment {
        Moment::from_secs(secs)
    }

    /// Rung every 10 s from 103 s on.
    fn watch() -> Watch {
        let mut watch = Watch::new(Duration::from_secs(10), Duration::from_secs(3), at(100));
        watch.entered(STAMP);
        watch
    }

    /// The times of all rings until then, each answered at once.
    fn rings(watch: &mut Watch, from: u64, to: u64) -> Vec<u64> {
        let rung = (from..to).filter(|second| {
            let ring = watch.look(at(*second)).ring;
            watch.answered();
            ring.is_some()
        });
        rung.collect()
    }

    #[test]
    fn it_is_rung_once_an_interval_from_its_own_phase_on_with_the_time_as_the_version() {
        let mut watch = watch();
        assert_eq!(rings(&mut watch, 100, 140), [103, 113, 123, 133]);
        let version = watch.look(at(143)).ring.unwrap();
        assert_eq!(Moment::from_micros(version.get()), at(143));
    }

    #[test]
    fn it_is_rung_only_while_it_has_an_entry_and_once_for_all_the_times_missed() {
        let mut watch = Watch::new(Duration::from_secs(10), Duration::from_secs(3), at(100));
        assert!(watch.is_away());
        assert!(rings(&mut watch, 100, 155).is_empty());
        watch.entered(STAMP);
        assert_eq!(rings(&mut watch, 155, 180), [155, 163, 173]);
        watch.lost();
        assert!(watch.is_away());
        assert!(rings(&mut watch, 180, 200).is_empty());
    }

    #[test]
    fn it_is_not_rung_again_before_the_queue_has_answered() {
        let mut watch = watch();
        assert!(watch.look(at(103)).ring.is_some());
        assert!(watch.look(at(150)).ring.is_none());
        watch.answered();
        assert!(watch.look(at(151)).ring.is_some());
    }

    #[test]
    fn who_has_left_is_neither_rung_nor_entered_by_what_was_under_way() {
        let mut watch = watch();
        assert_eq!(watch.leave(), Some(STAMP));
        watch.entered(STAMP);
        watch.lost();
        assert!(!watch.is_away());
        assert!(rings(&mut watch, 100, 140).is_empty());
        assert_eq!(watch.leave(), None);
    }

    #[test]
    fn it_is_late_after_three_intervals_and_each_turn_is_shown_once() {
        let mut watch = watch();
        let mut turns = Vec::new();
        for second in 100..160 {
            if second == 150 {
                watch.arrived(at(143));
            }
            let look = watch.look(at(second));
            assert_eq!(look.is_late, (131..150).contains(&second), "{second}");
            turns.extend(look.turn.map(|turn| (second, turn)));
        }
        assert_eq!(turns, [(131, Turn::Late), (150, Turn::Back)]);
    }

    #[test]
    fn its_age_is_that_of_the_newest_ring_that_arrived() {
        let mut watch = watch();
        assert_eq!(watch.look(at(120)).age, Duration::from_secs(20), "since the start");
        watch.arrived(at(113));
        watch.arrived(at(103));
        assert_eq!(watch.look(at(120)).age, Duration::from_secs(7));
    }
}
