//! What a run shows while it goes on.

use std::time::Duration;

use super::clock::{self, Moment};
use super::orders::{Plan, Returns, Tally};
use super::pulse::Live;
use super::schedule::Schedule;
use super::timeline::Sample;
use crate::bar::Shown;
use crate::words::{count, length};

/// While sessions are opened, and while they come back: how far that is, is known by their number.
pub const CONNECTING: &str = "connecting";
/// See [`CONNECTING`].
pub const COMING_BACK: &str = "coming back";

/// From when to when something goes on, where its end is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Course {
    begin: Moment,
    end: Moment,
}

impl Course {
    /// From now on, for so long.
    pub fn lasting(time: Duration) -> Self {
        let begin = clock::now();
        Self { begin, end: begin + u64::try_from(time.as_micros()).unwrap_or(u64::MAX / 2) }
    }

    /// As long as a plan says: the end of one without a schedule is known to who follows it, if to anybody.
    pub fn of(plan: &Plan) -> Self {
        let of = |schedule: Schedule| Self { begin: schedule.begin, end: schedule.due(schedule.count) };
        plan.schedule().map(of).unwrap_or_default()
    }

    /// How far it is, of how much; `None` where its end is not known.
    pub fn place(&self) -> Option<(u64, u64)> {
        let end = self.end.checked_sub(self.begin).filter(|end| *end > 0)?;
        Some((clock::now().saturating_sub(self.begin).min(end), end))
    }
}

/// How far it is, of how much; `None` where its end is not known.
pub fn place(what: &str, course: &Course, tally: Tally, sessions: u64) -> Option<(u64, u64)> {
    let Tally { open, failed, returns, .. } = tally;
    match what {
        CONNECTING => Some((open + failed, sessions)),
        COMING_BACK => Some((returns.current + returns.refused, returns.lost.max(1))),
        _ => course.place(),
    }
}

/// All of it; what a narrow terminal has no room for comes last.
pub fn shown(what: &str, place: Option<(u64, u64)>, tally: Tally, Live { last, p99_us }: &Live) -> Shown {
    let Tally { learned, pings, .. } = tally;
    let Sample { welcomed, hints, server_cpu, tool_cpu, tool_busiest_cpu, .. } = last;
    let mut figures = counts(tally);
    numbers(&mut figures, [(*welcomed, "sessions/s"), (*hints, "hints/s")]);
    if let Some(p99) = p99_us {
        figures.push_str(&format!("  p99 {}", length(*p99)));
    }
    for (cpu, of) in [(server_cpu, "server"), (tool_cpu, "tool"), (tool_busiest_cpu, "busiest")] {
        if let Some(cpu) = cpu {
            figures.push_str(&format!("  {of} {cpu:.0} %"));
        }
    }
    let Returns { current, turned_away, unanswered, .. } = tally.returns;
    numbers(&mut figures, [(current, "current again"), (turned_away + unanswered, "turned away")]);
    numbers(&mut figures, [(learned, "learned"), (pings, "pings")]);
    Shown { what: what.to_owned(), place, figures }
}

/// What becomes of the sessions.
pub fn counts(tally: Tally) -> String {
    let mut counts = format!("{} open", count(tally.open));
    numbers(&mut counts, [(tally.failed, "failed"), (tally.ended, "ended")]);
    counts
}

/// Those that are not 0.
fn numbers(text: &mut String, of: [(u64, &str); 2]) {
    for (number, of) in of.into_iter().filter(|(number, _)| *number > 0) {
        text.push_str(&format!("  {} {of}", count(number)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_shown() {
        let tally = Tally { open: 1_234, failed: 5, ..Tally::default() };
        let nothing = shown("connecting", Some((1_239, 2_000)), tally, &Live::default());
        assert_eq!((nothing.what.as_str(), nothing.place), ("connecting", Some((1_239, 2_000))));
        assert_eq!(nothing.figures, "1,234 open  5 failed");

        let last =
            Sample { hints: 45_000, server_cpu: Some(97.4), tool_cpu: Some(120.0), ..Sample::default() };
        let tally = Tally { open: 10, learned: 90_000, ..Tally::default() };
        let all = shown("publishing", None, tally, &Live { last, p99_us: Some(12_345) });
        assert_eq!(
            all.figures,
            "10 open  45,000 hints/s  p99 12 ms  server 97 %  tool 120 %  90,000 learned"
        );
    }

    #[test]
    fn how_far_it_is_is_known_where_there_is_an_end() {
        let schedule = Schedule { begin: clock::now() - 1_500_000, count: 20, per_second: 10 };

        assert_eq!(Course::of(&Plan::Hints).place(), None);
        let (at, end) = Course::of(&Plan::Publishes(schedule)).place().unwrap();
        assert!(end == 2_000_000 && (1_500_000..=end).contains(&at), "{at} of {end}");
        let nine = Course::lasting(Duration::from_secs(9));
        let (at, end) = nine.place().unwrap();
        assert!(end == 9_000_000 && at < end, "{at} of {end}");

        let returns = Returns { lost: 20, current: 11, refused: 1, ..Returns::default() };
        let tally = Tally { open: 4, failed: 2, returns, ..Tally::default() };
        let place = |what, course| place(what, course, tally, 30);
        assert_eq!(place(CONNECTING, &nine), Some((6, 30)));
        assert_eq!(place(COMING_BACK, &nine), Some((12, 20)));
        assert_eq!(place("at rest", &nine).map(|(_, end)| end), Some(9_000_000));
        assert_eq!(place("at rest", &Course::default()), None);
    }
}
