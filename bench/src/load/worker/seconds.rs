//! What there was in each second of the clock that all processes share.

use super::lateness::Lateness;
use crate::load::clock::{self, Moment};
use crate::load::orders::{Second, Tally};
use crate::load::spread::Spread;

const SECOND_US: u64 = 1_000_000;

/// The second that goes on.
pub struct Seconds {
    number: u64,
    /// What there was up to its beginning: of hints, and of rings beside them.
    before: (Tally, Tally),
    /// From the beginning of a connection to its `welcome`, of those in it.
    welcome: Spread,
}

impl Seconds {
    /// It begins now.
    pub fn begin() -> Self {
        Self {
            number: clock::now() / SECOND_US,
            before: <(Tally, Tally)>::default(),
            welcome: Spread::coarse(),
        }
    }

    /// A session got its `welcome`, so many microseconds after its connection began.
    pub fn welcome(&mut self, took: u64) {
        self.welcome.record(took);
    }

    /// Hints count from 0 again.
    pub const fn measure(&mut self) {
        self.before.0.hints = 0;
    }

    /// Rings beside them do.
    pub const fn measure_rings(&mut self) {
        self.before.1.learned = 0;
    }

    /// What it had, where it is over: another one goes on then. Of hints first, then of rings beside them.
    pub fn over(
        &mut self,
        now: Moment,
        (tally, rung): (Tally, Tally),
        (hints, rings): (&mut Lateness, &mut Lateness),
    ) -> Option<Second> {
        let next = now / SECOND_US;
        if next <= self.number {
            return None;
        }
        let (number, (before, rung_before)) = (self.number, self.before);
        (self.number, self.before) = (next, (tally, rung));
        let welcome = self.welcome.counts();
        self.welcome.clear();
        Some(Second {
            number,
            open: tally.open,
            welcomed: welcomes(tally).saturating_sub(welcomes(before)),
            hints: tally.hints.saturating_sub(before.hints),
            welcome,
            late: hints.recent(),
            rings: rung.learned.saturating_sub(rung_before.learned),
            late_ring: rings.recent(),
        })
    }
}

/// Those that sessions got, the first time and when they came back.
const fn welcomes(tally: Tally) -> u64 {
    tally.welcomed + tally.returns.back
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::orders::Plan;
    use crate::load::spread::Counts;

    #[test]
    fn a_second_has_what_was_in_it_and_is_told_once() {
        let (mut seconds, mut lateness, mut rings) =
            (Seconds::begin(), Lateness::default(), Lateness::default());
        let (first, mut tally) = (seconds.number, Tally { open: 2, welcomed: 2, ..Tally::default() });
        let mut rung = Tally::default();
        let over = |seconds: &mut Seconds, of: (&mut Lateness, &mut Lateness), tallies, number| {
            seconds.over(number * SECOND_US, tallies, of)
        };
        seconds.welcome(70);
        seconds.welcome(70);

        assert_eq!(over(&mut seconds, (&mut lateness, &mut rings), (tally, rung), first), None);
        let told = over(&mut seconds, (&mut lateness, &mut rings), (tally, rung), first + 1).unwrap();
        assert_eq!((told.number, told.open, told.welcomed, told.hints), (first, 2, 2, 0));
        assert_eq!((told.welcome, told.late), (Counts(vec![(70, 2)]), Counts::default()));

        // What came before measuring began does not count; and a second in which nobody looked is told with the one before.
        tally.hints = 0;
        seconds.measure();
        lateness.begin(Plan::Hints);
        lateness.join(0);
        lateness.hint((0, &mut 0), (clock::now(), clock::now()), &mut tally);
        let told = over(&mut seconds, (&mut lateness, &mut rings), (tally, rung), first + 3).unwrap();
        assert_eq!((told.number, told.welcomed, told.hints, told.rings), (first + 1, 0, 1, 0));
        assert_eq!(
            (told.welcome, told.late.0.len(), told.late_ring),
            (Counts::default(), 1, Counts::default())
        );

        // Rings are told of beside the hints.
        seconds.measure_rings();
        rings.begin(Plan::Hints);
        rings.hint((0, &mut 0), (clock::now(), clock::now()), &mut rung);
        let told = over(&mut seconds, (&mut lateness, &mut rings), (tally, rung), first + 4).unwrap();
        assert_eq!((told.hints, told.rings), (0, 1));
        assert_eq!((told.late, told.late_ring.0.len()), (Counts::default(), 1));
    }
}
