//! What came of ringing for a while, whoever is rung: the same figures, and the same judgement.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::Instant;

use super::clock::{self, Moment};
use super::findings::{Findings, cpu_each};
use super::fleet::{Fleet, Together};
use super::line::Line;
use super::orders::{Order, Plan};
use super::schedule::READ_US;
use super::spread::Spread;
use super::target::Target;
use super::tool::Measured;
use super::usage::Usage;
use crate::words::length;

/// What is rung, for people.
pub struct Whom {
    /// Those who learn.
    pub who: &'static str,
    /// What they learn of.
    pub what: &'static str,
}

/// What came of publishing for a while.
pub struct Phase {
    /// What the followers saw.
    pub seen: Together,
    /// How many publishes, or rings, there were.
    pub publishes: u64,
    /// How many of them were to be learned of, over all sessions.
    pub expected: u64,
    /// When the first was due.
    pub first: Moment,
    /// When the last answer was there.
    pub answered_at: Moment,
    /// From when a publish was due to its answer.
    pub answered: Spread,
    /// How late publishes were written; nothing in a closed loop.
    pub behind: Spread,
    /// Whether all followers heard of the last publish.
    pub all_heard: bool,
    /// What it took.
    pub used: Used,
}

/// What a while of ringing took.
#[derive(Clone, Copy)]
pub struct Used {
    /// What the server had used just before the first publish, and when all had heard of the last.
    pub usage: (Option<Usage>, Option<Usage>),
    /// From the one to the other.
    pub took: Duration,
    /// Connections of the back end after its first, up to now.
    pub reconnects: u64,
}

/// When something began to count, and what the server had used until then.
#[derive(Clone, Copy)]
pub struct Begun {
    before: Option<Usage>,
    at: Instant,
}

impl Begun {
    /// How long ago that was.
    pub fn elapsed(self) -> Duration {
        self.at.elapsed()
    }

    /// All have heard of the last; the back end had so many connections after its first.
    ///
    /// # Errors
    /// The server is gone.
    pub async fn used(self, target: &Target, reconnects: u64) -> anyhow::Result<Used> {
        let usage = (self.before, target.meter.read().await?);
        Ok(Used { usage, took: self.elapsed(), reconnects })
    }
}

impl Phase {
    /// How long it took, in microseconds: from when the first publish was due to the last hint. Where the last answer came later
    /// still, or no hint at all, to that.
    pub fn took_us(&self) -> u64 {
        self.seen.last_hint.max(self.answered_at).saturating_sub(self.first)
    }

    /// The server's CPU for each hint that came, in microseconds.
    pub fn cpu_each(&self) -> Option<f64> {
        cpu_each(self.used.usage.0, self.used.usage.1, self.seen.tally.hints)
    }

    /// The server's CPU meanwhile, in hundredths of one core.
    pub fn cpu_percent(&self) -> Option<f64> {
        let (before, after) = self.used.usage;
        let spent = after?.cpu_seconds - before?.cpu_seconds;
        Some(spent * 100.0 / self.used.took.as_secs_f64())
    }

    /// Says what is not as it should be: what followers did not hear of, and who was later than they may be.
    pub fn judged(&self, findings: &mut Findings, Whom { who, what }: &Whom, within: Option<Duration>) {
        let (learned, expected) = (self.seen.tally.learned, self.expected);
        if !self.all_heard || learned != expected {
            findings
                .wrong
                .push(format!("{who} learned of {learned} {what}, and {expected} were due to them"));
        }
        let latest = self.seen.late.summary().max_us;
        if let Some(within) = within
            && u128::from(latest) > within.as_micros()
        {
            let within = humantime_serde::re::humantime::format_duration(within);
            findings
                .wrong
                .push(format!("one of the {who} was {} behind, and --within is {within}", length(latest)));
        }
    }

    /// Says where a rate was not what was asked for.
    pub fn noted(&self, findings: &mut Findings, (flag, rate): (&str, NonZeroU32)) {
        let late = self.behind.summary().p99_us;
        if late > 1_000_000 / u64::from(rate.get()) {
            findings.note(format!(
                "the back end did not keep {rate} a second: 1 of 100 calls was written {} late or more, and that is part of \
                 all times: ask for fewer a second ({flag}), or give the tool CPUs of its own (--tool-cpus)",
                length(late)
            ));
        }
    }

    /// Says of the bare loop's followers where its figures are worth little.
    pub fn bare(&self, findings: &mut Findings, sessions: u32) {
        findings.bare(sessions, &self.seen);
        if !self.all_heard {
            let note = "compare nothing with the bare loop: not all of its sockets heard of the last publish";
            findings.note(note.to_owned());
        }
    }
}

/// From now on it counts, or from when its schedule begins; answers what was used before, as it was now or [`READ_US`] before that.
///
/// # Errors
/// The server or a process is gone, or the tool was asked to end.
pub async fn measured(
    (fleet, what): (&mut Fleet, &str),
    plan: Plan,
    target: &Target,
    line: &mut Line,
) -> anyhow::Result<Begun> {
    let begin = plan.schedule().map_or(0, |schedule| schedule.begin);
    fleet.order(Order::Measure(plan)).await?;
    // They answer in the order in which they are told: who has answered this knows that it counts.
    fleet.seen(0).await?;
    // Time in which nobody rings would make CPU by the time between look small.
    let left = begin.saturating_sub(READ_US).saturating_sub(clock::now());
    fleet.watch(what, Duration::from_micros(left), line).await?;
    fleet.mark(Measured::Hints);
    Ok(Begun { before: target.meter.read().await?, at: Instant::now() })
}

#[cfg(test)]
mod tests {
    use super::super::schedule::{AHEAD_US, Schedule};
    use super::*;

    #[tokio::test]
    async fn what_is_used_counts_from_just_before_the_first_is_due() {
        let target = Target::script("echo doorbell ready on http://127.0.0.1:1; exec sleep 600").await;
        let (mut fleet, _say) = Fleet::of_nobody();
        let rate = NonZeroU32::new(10).unwrap();
        let schedule = Schedule::lasting(clock::now() + AHEAD_US, rate, Duration::from_secs(1));
        let whom = (&mut fleet, "ringing");

        let begun = measured(whom, Plan::Publishes(schedule), &target, &mut Line::new()).await.unwrap();
        let used = begun.used(&target, 0).await.unwrap();
        let spent = fleet.seen(0).await.unwrap().tool;

        // However long a loaded machine took for it: none of the time before is in either.
        let most = Duration::from_micros(clock::now().checked_sub(schedule.begin - READ_US).unwrap());
        assert_eq!(spent.of, Measured::Hints);
        assert!(spent.seconds <= most.as_secs_f64(), "{} s of {most:?}", spent.seconds);
        assert!(used.took <= most, "{:?} of {most:?}", used.took);
    }
}
