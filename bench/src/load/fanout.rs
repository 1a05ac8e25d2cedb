//! `doorbell bench fanout`: one topic with many followers; what a delivered hint costs, and how late followers hear of a publish.

use super::args::{Asked, BackEnd, FanoutArgs};
use super::findings::{Findings, Unit, rate};
use super::measurement::Measurement;
use super::orders::{Audience, Plan};
use super::phase::Phase;
use super::target::Target;
use super::topic::{Followed, WHOM};
use super::trial::{Side, Trial};

impl Measurement for FanoutArgs {
    type Came = Phase;
    const NAME: &'static str = "fanout";
    const AUDIENCE: Audience = Audience::Followers;

    fn asked(&self) -> &Asked {
        &self.asked
    }

    fn back_end(&self) -> Option<&BackEnd> {
        Some(&self.back_end)
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        let pace =
            self.rate.map_or_else(|| "one after the other".to_owned(), |rate| format!("{rate} a second"));
        vec![("publishes", pace), ("for", format!("{} s", self.duration.as_secs_f64()))]
    }

    async fn one(&self, trial: &mut Trial<'_>, target: &Target, side: Side) -> anyhow::Result<Phase> {
        let followed = Followed::open(trial, target, side).await?;
        let (followed, phase) = match self.rate {
            Some(rate) => followed.at_a_rate((rate, self.duration), Plan::Publishes, trial).await?,
            None => followed.one_by_one(self.duration, trial).await?,
        };
        followed.leave().await;
        Ok(phase)
    }

    fn told(&self, findings: &mut Findings, doorbell: &Phase, bare: Option<&Phase>) {
        let sessions = self.asked.size.sessions.get();
        let hints = |of: &Phase| rate(of.seen.tally.hints, of.took_us());
        let publishes = |of: &Phase| rate(of.publishes, of.took_us());
        let name = ("publishes_per_second", "publishes a second");
        findings.figure(name, Unit::PerSecond, publishes(doorbell), bare.map(publishes));
        let name = ("hints_per_second", "hints a second");
        findings.figure(name, Unit::PerSecond, hints(doorbell), bare.map(hints));
        let cpu = (doorbell.cpu_each(), bare.and_then(Phase::cpu_each));
        findings.cpu(("cpu_per_hint", "server CPU a delivered hint"), Unit::Micros, cpu);
        let late = ("late", "publish to follower");
        findings.times(late, &doorbell.seen.late, bare.map(|bare| &bare.seen.late));
        // The bare loop answers when it has written to everybody, a Doorbell before: not the same thing.
        findings.times(("answer", "publish to its answer"), &doorbell.answered, None);
        findings.spreads.insert("publisher_behind".to_owned(), doorbell.behind.summary());
        findings.sessions(sessions, &doorbell.seen);
        findings.counts.extend([
            ("followers", doorbell.seen.tally.followed),
            ("publishes", doorbell.publishes),
            ("hints delivered", doorbell.seen.tally.hints),
            ("publishes learned of, over all followers", doorbell.seen.tally.learned),
            ("connections of the publisher after its first", doorbell.used.reconnects),
        ]);
        self.rate.iter().for_each(|rate| doorbell.noted(findings, ("--rate", *rate)));
        doorbell.judged(findings, &WHOM, self.within);
        if let Some(bare) = bare {
            bare.bare(findings, sessions);
        }
    }
}
