//! `doorbell bench hot`: one topic, many followers, and more publishes than can be told one by one: when every follower knows the
//! latest version, and what that costs beside another rate.

use std::num::NonZeroU32;

use super::args::{Asked, BackEnd, HotArgs};
use super::findings::{Findings, Unit, rate};
use super::fleet::Together;
use super::measurement::Measurement;
use super::orders::{Audience, Plan};
use super::phase::Phase;
use super::target::Target;
use super::topic::{Followed, WHOM};
use super::trial::{Side, Trial};

/// Of one side.
pub struct Hot {
    /// At the rate.
    at: Phase,
    /// At the other one.
    against: Option<Phase>,
    /// At the end, whichever of both came last.
    last: Together,
}

impl Measurement for HotArgs {
    type Came = Hot;
    const NAME: &'static str = "hot";
    const AUDIENCE: Audience = Audience::Followers;

    fn asked(&self) -> &Asked {
        &self.asked
    }

    fn back_end(&self) -> Option<&BackEnd> {
        Some(&self.back_end)
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        let mut parameters = vec![
            ("publishes", format!("{} a second", self.rate)),
            ("for", format!("{} s", self.duration.as_secs_f64())),
        ];
        parameters.extend(self.against.map(|rate| ("against", format!("{rate} a second"))));
        parameters
    }

    async fn one(&self, trial: &mut Trial<'_>, target: &Target, side: Side) -> anyhow::Result<Hot> {
        let mut followed = Followed::open(trial, target, side).await?;
        let (mut at, mut against) = (None, None);
        // What comes second finds a server that has worked: it is the other in each second round.
        for is_at in if trial.round.is_multiple_of(2) { [false, true] } else { [true, false] } {
            let (rate, place) = if is_at { (Some(self.rate), &mut at) } else { (self.against, &mut against) };
            let Some(rate) = rate else { continue };
            let phase;
            (followed, phase) = followed.at_a_rate((rate, self.duration), Plan::Oldest, trial).await?;
            *place = Some(phase);
        }
        let last = followed.fleet.seen(0).await?;
        followed.leave().await;
        Ok(Hot { at: at.expect("its rate is always asked for"), against, last })
    }

    fn told(&self, findings: &mut Findings, doorbell: &Hot, bare: Option<&Hot>) {
        let sessions = self.asked.size.sessions.get();
        let keys = Keys { flag: "--rate", cpu: "cpu", late: "late", behind: "publisher_behind" };
        self.phase(findings, (self.rate, keys), &doorbell.at, bare.map(|bare| &bare.at));
        if let (Some(rate), Some(against)) = (self.against, &doorbell.against) {
            let keys = Keys {
                flag: "--against",
                cpu: "against_cpu",
                late: "against_late",
                behind: "against_publisher_behind",
            };
            let bare = bare.and_then(|bare| bare.against.as_ref());
            self.phase(findings, (rate, keys), against, bare);
        }
        if let Some(of) = of_cpu(doorbell) {
            let name = ("cpu_ratio", "server CPU, of that at the other rate");
            findings.figure(name, Unit::Times, of, bare.and_then(of_cpu));
        }
        let hints = |of: &Hot| rate(of.at.seen.tally.hints, of.at.took_us());
        let name = ("hints_per_second", "hints a second");
        findings.figure(name, Unit::PerSecond, hints(doorbell), bare.map(hints));
        findings.held(sessions, &doorbell.last);
        // In every round that at the same rate, whichever of both came last.
        findings.tool(&doorbell.at.seen);
        if let Some(against) = &doorbell.against {
            findings.limited(&against.seen.tool, " at the other rate");
        }
        findings.counts.extend([
            ("followers", doorbell.at.seen.tally.followed),
            ("publishes", doorbell.at.publishes),
            ("hints delivered", doorbell.at.seen.tally.hints),
            ("connections of the publisher after its first", doorbell.at.used.reconnects),
        ]);
        for bare in bare.iter().flat_map(|bare| [Some(&bare.at), bare.against.as_ref()]).flatten() {
            bare.bare(findings, sessions);
        }
    }
}

/// Which rate it is, and how its figures are called in JSON.
struct Keys {
    flag: &'static str,
    cpu: &'static str,
    late: &'static str,
    behind: &'static str,
}

impl HotArgs {
    fn phase(
        &self,
        findings: &mut Findings,
        (pace, keys): (NonZeroU32, Keys),
        doorbell: &Phase,
        bare: Option<&Phase>,
    ) {
        let cpu = (doorbell.cpu_percent(), bare.and_then(Phase::cpu_percent));
        let what = format!("server CPU at {pace}/s, of one core");
        findings.cpu((keys.cpu, &what), Unit::PercentOfACore, cpu);
        let what = format!("latest known at {pace}/s");
        findings.times((keys.late, &what), &doorbell.seen.late, bare.map(|bare| &bare.seen.late));
        findings.spreads.insert(keys.behind.to_owned(), doorbell.behind.summary());
        doorbell.noted(findings, (keys.flag, pace));
        doorbell.judged(findings, &WHOM, self.within);
    }
}

/// CPU at the rate by that at the other.
fn of_cpu(hot: &Hot) -> Option<f64> {
    let against = hot.against.as_ref()?.cpu_percent().filter(|cpu| *cpu > 0.0)?;
    Some(hot.at.cpu_percent()? / against)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::Parser;

    use super::*;
    use crate::load::orders::Tally;
    use crate::load::phase::Used;
    use crate::load::spread::Spread;
    use crate::load::tool::{Measured, Spent};

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: HotArgs,
    }

    fn seen(open: u64, tool_seconds: f64) -> Together {
        let tool = Spent { seconds: 1.0, cpu_seconds: tool_seconds, of: Measured::Hints, ..Spent::default() };
        Together { tally: Tally { open, ..Tally::default() }, tool, ..Together::default() }
    }

    fn phase(seen: Together, behind_us: u64) -> Phase {
        let mut behind = Spread::default();
        behind.record(behind_us);
        Phase {
            seen,
            publishes: 0,
            expected: 0,
            first: 0,
            answered_at: 0,
            answered: Spread::default(),
            behind,
            all_heard: true,
            used: Used { usage: (None, None), took: Duration::from_secs(1), reconnects: 0 },
        }
    }

    #[test]
    fn sessions_are_those_of_the_end_the_tools_cpu_is_that_at_the_rate_and_a_rate_that_was_not_kept_is_told_by_its_flag()
     {
        let line = ["hot", "--sessions", "10", "--rate", "1000", "--against", "50"];
        let args = Line::parse_from(line).args;
        let mut last = seen(8, 0.2);
        last.failures.insert("closed".to_owned(), 2);
        let against = Some(phase(seen(8, 0.2), 40_000));
        let hot = Hot { at: phase(seen(10, 0.5), 0), against, last };
        let mut findings = Findings::default();

        args.told(&mut findings, &hot, None);

        assert_eq!(findings.wrong, ["8 of 10 sessions were open at the end"]);
        assert_eq!((findings.counts["sessions open at the end"], findings.failures["closed"]), (8, 2));
        let tool = findings.figures.iter().find(|figure| figure.name == "tool_cpu").unwrap();
        assert!((tool.value - 50.0).abs() < 1e-9, "{tool:?}");
        let note = findings.notes.iter().find(|note| note.contains("did not keep")).unwrap();
        assert!(note.contains("did not keep 50 a second") && note.contains("(--against)"), "{note}");
    }
}
