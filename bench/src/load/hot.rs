//! `doorbell bench hot`: one topic, many followers, and more publishes than can be told one by one: when every follower knows the
//! latest version, and what that costs beside another rate.

use std::num::NonZeroU32;

use super::args::{Asked, BackEnd, HotArgs};
use super::findings::{Findings, Unit, rate};
use super::measurement::Measurement;
use super::orders::{Plan, Rings};
use super::phase::Phase;
use super::target::Target;
use super::topic::{Followed, WHOM};
use super::trial::{Bench, Side};

/// Of one side.
pub struct Hot {
    /// At the rate.
    at: Phase,
    /// At the other one.
    against: Option<Phase>,
}

impl Measurement for HotArgs {
    type Came = Hot;
    const NAME: &'static str = "hot";
    const RINGS: Rings = Rings::Followers;

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

    async fn one(&self, bench: &mut Bench<'_>, target: &Target, side: Side) -> anyhow::Result<Hot> {
        let mut followed = Followed::open(bench, target, side).await?;
        let (mut at, mut against) = (None, None);
        // What comes second finds a server that has worked: it is the other in each second round.
        for is_at in if bench.round.is_multiple_of(2) { [false, true] } else { [true, false] } {
            let (rate, place) = if is_at { (Some(self.rate), &mut at) } else { (self.against, &mut against) };
            let Some(rate) = rate else { continue };
            let phase;
            (followed, phase) = followed.at_a_rate((rate, self.duration), Plan::Oldest, bench).await?;
            *place = Some(phase);
        }
        followed.leave().await;
        Ok(Hot { at: at.expect("its rate is always asked for"), against })
    }

    fn told(&self, findings: &mut Findings, doorbell: &Hot, bare: Option<&Hot>) {
        let sessions = self.asked.size.sessions.get();
        let keys = Keys { cpu: "cpu", late: "late", behind: "publisher_behind" };
        self.phase(findings, (self.rate, keys), &doorbell.at, bare.map(|bare| &bare.at));
        if let (Some(rate), Some(against)) = (self.against, &doorbell.against) {
            let keys = Keys { cpu: "against_cpu", late: "against_late", behind: "against_publisher_behind" };
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
        findings.sessions(sessions, &doorbell.at.seen);
        findings.counts.extend([
            ("followers", doorbell.at.seen.tally.followed),
            ("publishes", doorbell.at.publishes),
            ("hints delivered", doorbell.at.seen.tally.hints),
            ("connections of the publisher after its first", doorbell.at.reconnects),
        ]);
        bare.iter().for_each(|bare| bare.at.bare(findings, sessions));
    }
}

/// How the figures of a rate are called in JSON.
struct Keys {
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
        doorbell.noted(findings, ("--rate", pace));
        doorbell.judged(findings, &WHOM, self.within);
    }
}

/// CPU at the rate by that at the other.
fn of_cpu(hot: &Hot) -> Option<f64> {
    let against = hot.against.as_ref()?.cpu_percent().filter(|cpu| *cpu > 0.0)?;
    Some(hot.at.cpu_percent()? / against)
}
