//! `doorbell bench unicast`: users with a session each, and a back end that rings them one by one in random order: through the door
//! for hints, the queue, the notifier and the gateway. What a delivered hint costs, how many a second there are, and how late.

use anyhow::{Context, bail, ensure};
use tokio_util::sync::CancellationToken;

use super::args::{Asked, BackEnd, UnicastArgs};
use super::clock::{self, Moment};
use super::findings::{Findings, Unit, rate};
use super::fleet::Fleet;
use super::laps::Laps;
use super::measurement::Measurement;
use super::orders::{Audience, Order, Plan};
use super::phase::{Phase, Whom, measured};
use super::ringer::{Calls, Manner, Ringer};
use super::schedule::{AHEAD_US, Schedule};
use super::target::Target;
use super::trial::{Side, Trial};

/// What followers and publishes are here.
const WHOM: Whom = Whom { who: "users", what: "rings" };

/// Of one side.
pub struct Delivered {
    phase: Phase,
    calls: u64,
    refused: u64,
    why: Option<String>,
}

impl Measurement for UnicastArgs {
    type Came = Delivered;
    const NAME: &'static str = "unicast";
    const AUDIENCE: Audience = Audience::Users;

    fn asked(&self) -> &Asked {
        &self.asked
    }

    fn back_end(&self) -> Option<&BackEnd> {
        Some(&self.back_end)
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        let pace =
            self.rate.map_or_else(|| "one lap after the other".to_owned(), |rate| format!("{rate} a second"));
        vec![
            ("rings", pace),
            ("for", format!("{} s", self.duration.as_secs_f64())),
            ("connections", self.connections.to_string()),
            ("users a call", self.batch.to_string()),
            ("seed", self.seed.to_string()),
        ]
    }

    async fn one(&self, trial: &mut Trial<'_>, target: &Target, side: Side) -> anyhow::Result<Delivered> {
        let mut fleet = trial.open(target, side).await?.fleet;
        if fleet.tally().open == 0 {
            let failures = fleet.seen(0).await?.failures;
            bail!("nobody is there: {}", failures.keys().cloned().collect::<Vec<_>>().join("; "));
        }
        let laps = Laps::new(self.asked.size.sessions.get(), self.seed);
        let mut ringer =
            Ringer::of(trial, (&mut fleet, target), (trial.topic(), laps), self.manner()).await?;
        // One lap before anything counts: each user is where rings find them.
        let first;
        (ringer, first) = lap(ringer, &mut fleet, (0, self.users()), trial).await?;
        let why = first.rung.why.map(|why| format!(": {why}")).unwrap_or_default();
        ensure!(first.heard, "not all users heard of a ring within {} s{why}", fleet.patience().as_secs());
        let delivered = if self.rate.is_some() {
            self.at_a_rate(ringer, &mut fleet, (target, laps), trial).await?
        } else {
            self.lap_by_lap(ringer, &mut fleet, target, trial).await?
        };
        fleet.leave().await;
        Ok(delivered)
    }

    fn told(&self, findings: &mut Findings, doorbell: &Delivered, bare: Option<&Delivered>) {
        let sessions = self.asked.size.sessions.get();
        let (of, reference) = (&doorbell.phase, bare.map(|bare| &bare.phase));
        let hints = |of: &Phase| rate(of.seen.tally.hints, of.took_us());
        let name = ("hints_per_second", "hints a second");
        findings.figure(name, Unit::PerSecond, hints(of), reference.map(hints));
        let cpu = (of.cpu_each(), reference.and_then(Phase::cpu_each));
        findings.cpu(("cpu_per_hint", "server CPU a delivered hint"), Unit::Micros, cpu);
        let cpu = (of.cpu_percent(), reference.and_then(Phase::cpu_percent));
        findings.cpu(("cpu", "server CPU, of one core"), Unit::PercentOfACore, cpu);
        let late = ("late", "ring to session");
        findings.times(late, &of.seen.late, reference.map(|bare| &bare.seen.late));
        // The bare loop answers when it has written, a Doorbell when it has queued: not the same thing.
        findings.times(("answer", "ring to its answer"), &of.answered, None);
        findings.spreads.insert("publisher_behind".to_owned(), of.behind.summary());
        findings.sessions(sessions, &of.seen);
        findings.counts.extend([
            ("rings", of.publishes),
            ("calls", doorbell.calls),
            ("rings refused", doorbell.refused),
            ("hints delivered", of.seen.tally.hints),
            ("rings learned of", of.seen.tally.learned),
            ("connections of the back end after its first ones", of.used.reconnects),
        ]);
        self.rate.iter().for_each(|rate| of.noted(findings, ("--rate", *rate)));
        if doorbell.refused > 0 {
            let why = doorbell.why.as_deref().unwrap_or_default();
            findings
                .wrong
                .push(format!("{} of {} rings were refused: {why}", doorbell.refused, of.publishes));
        }
        of.judged(findings, &WHOM, self.within);
        if let Some(bare) = reference {
            bare.bare(findings, sessions);
        }
    }
}

impl UnicastArgs {
    fn manner(&self) -> Manner {
        Manner { connections: self.connections, batch: self.batch }
    }

    fn users(&self) -> u64 {
        self.asked.size.sessions.get().into()
    }

    /// Rings so many a second, whatever comes back.
    async fn at_a_rate(
        &self,
        mut ringer: Ringer,
        fleet: &mut Fleet,
        (target, laps): (&Target, Laps),
        trial: &mut Trial<'_>,
    ) -> anyhow::Result<Delivered> {
        let rate = self.rate.context("an open loop has a rate")?;
        let schedule = Schedule::lasting(clock::now() + AHEAD_US, rate, self.duration);
        let begun = measured((fleet, "ringing"), Plan::Laps(schedule, laps), target, &mut trial.line).await?;
        let rung;
        (ringer, rung) =
            calling(ringer, fleet, trial, move |ringer, stop| ringer.follow(schedule, stop)).await?;
        fleet.learned((0, schedule.count), |seen| seen.tally.learned, &mut trial.line).await?;
        let used = begun.used(target, ringer.reconnects()).await?;
        let seen = fleet.seen(schedule.due(schedule.count - 1)).await?;
        Ok(Delivered {
            calls: rung.calls,
            refused: rung.refused,
            why: rung.why,
            phase: Phase {
                publishes: schedule.count,
                expected: schedule.count,
                first: schedule.begin,
                answered_at: rung.answered_at,
                answered: rung.answered,
                behind: rung.behind,
                all_heard: seen.tally.learned == schedule.count,
                used,
                seen,
            },
        })
    }

    /// Rings all users once more when all have heard of the last lap.
    async fn lap_by_lap(
        &self,
        mut ringer: Ringer,
        fleet: &mut Fleet,
        target: &Target,
        trial: &mut Trial<'_>,
    ) -> anyhow::Result<Delivered> {
        let begun = measured((fleet, "ringing"), Plan::Hints, target, &mut trial.line).await?;
        fleet.lasts(self.duration);
        let (first, mut laps, mut all) = (clock::now(), 0, Calls::default());
        let mut last = Lap { begin: first, rung: Calls::default(), heard: true };
        // However short the time is, one is tried.
        while last.heard && (laps == 0 || begun.elapsed() < self.duration) {
            (ringer, last) = lap(ringer, fleet, (laps + 1, self.users()), trial).await?;
            all = all.plus(std::mem::take(&mut last.rung));
            laps += 1;
        }
        let used = begun.used(target, ringer.reconnects()).await?;
        let seen = fleet.seen(last.begin).await?;
        let rings = laps * self.users();
        Ok(Delivered {
            calls: all.calls,
            refused: all.refused,
            why: all.why,
            phase: Phase {
                publishes: rings,
                expected: rings,
                first,
                answered_at: all.answered_at,
                answered: all.answered,
                behind: all.behind,
                all_heard: last.heard,
                used,
                seen,
            },
        })
    }
}

/// All users were rung once.
struct Lap {
    /// No version of it is older.
    begin: Moment,
    rung: Calls,
    /// Whether all heard of it.
    heard: bool,
}

/// Rings all users once, and waits until all have heard of it.
async fn lap(
    ringer: Ringer,
    fleet: &mut Fleet,
    (number, users): (u64, u64),
    trial: &mut Trial<'_>,
) -> anyhow::Result<(Ringer, Lap)> {
    let begin = clock::now();
    // Before the first ring: who hears of it knows that it counts.
    fleet.order(Order::Lap(begin)).await?;
    let (ringer, rung) =
        calling(ringer, fleet, trial, move |ringer, stop| ringer.lap(number, users, stop)).await?;
    let heard = fleet.reached(begin, fleet.heard_by(), "ringing", &mut trial.line).await?;
    Ok((ringer, Lap { begin, rung, heard }))
}

/// Has the back end work on threads of its own.
async fn calling(
    mut ringer: Ringer,
    fleet: &mut Fleet,
    trial: &mut Trial<'_>,
    work: impl FnOnce(&mut Ringer, &CancellationToken) -> anyhow::Result<Calls> + Send + 'static,
) -> anyhow::Result<(Ringer, Calls)> {
    let calling = move |stop: &CancellationToken| {
        let rung = work(&mut ringer, stop)?;
        Ok((ringer, rung))
    };
    fleet.blocking("ringing", calling, &mut trial.line).await?
}
