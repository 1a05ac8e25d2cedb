//! `doorbell bench mixed`: users rung one by one, alone and then beside fan-outs to a topic that all follow, sessions that come and go, and
//! followers that read nothing: what one does to the other, and whether all of it lasts.

use std::time::Duration;

use anyhow::ensure;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::args::{Asked, BackEnd, MixedArgs};
use super::clock::{self, Moment};
use super::findings::{Findings, Unit, rate};
use super::fleet::{Fleet, Rings, Together};
use super::laps::Laps;
use super::measurement::Measurement;
use super::metrics::slow_sockets;
use super::orders::{Audience, Churn, Lost, Order, Plan, Returns, Tally};
use super::phase::{Phase, Used, Whom, measured};
use super::publisher::Publisher;
use super::ringer::{Calls, Manner, Ringer};
use super::schedule::{AHEAD_US, Schedule};
use super::spread::Spread;
use super::target::Target;
use super::topic::{Followed, WHOM, try_publish};
use super::trial::{Side, Trial};
use super::usage::Usage;

/// Whom rings are for.
const USERS: Whom = Whom { who: "users", what: "rings" };
/// One in so many sessions leaves and comes back, where any does.
const CHURNS: u32 = 10;
/// After a publish that was not taken.
const REFUSED_US: u64 = 100_000;
/// How often it is looked whether all have heard of what was told.
const LOOK: Duration = Duration::from_millis(50);

/// All of it.
pub struct Mixed {
    alone: Soaked,
    beside: Soaked,
    /// While some read nothing.
    slow: Option<Soaked>,
    /// For how many of those the server waited at the end of that while, where it tells.
    waited_for: anyhow::Result<Option<u64>>,
    /// At the end.
    seen: Together,
    /// What the server had used before the first ring, and after the last hint.
    usage: (Option<Usage>, Option<Usage>),
    /// How much less memory the machine had than before the server was started, at most.
    machine: Option<u64>,
}

/// What came of a while.
struct Soaked {
    rings: Phase,
    refused: u64,
    why: Option<String>,
    /// Nothing where nobody published.
    publishes: Option<Phase>,
    /// Publishes that were not taken, and what the last of them was told.
    unpublished: (u64, Option<String>),
    /// The last version that was published; 0 where none was.
    last: Moment,
}

/// Who is at work.
struct Work<'a> {
    fleet: Fleet,
    ringer: Ringer,
    publisher: Publisher,
    target: &'a Target,
    laps: Laps,
}

/// What goes on beside rings.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Beside {
    Nothing,
    All,
    /// The same, while some read nothing.
    Slow,
}

impl Beside {
    /// For people, and the timeline.
    const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "rings alone",
            Self::All => "rings beside fan-outs",
            Self::Slow => "beside slow readers",
        }
    }
}

/// What was published in a while.
struct Told {
    count: u64,
    first: Moment,
    last: Moment,
    answered: Spread,
    answered_at: Moment,
    all_heard: bool,
    /// How many were not taken, and what the last of those was told.
    refused: (u64, Option<String>),
}

impl Measurement for MixedArgs {
    type Came = Mixed;
    const NAME: &'static str = "mixed";
    const AUDIENCE: Audience = Audience::Both;
    // The bare loop does one thing at a time.
    const HAS_BARE_LOOP: bool = false;
    const LOST: Lost = Lost::Back;

    fn asked(&self) -> &Asked {
        &self.asked
    }

    fn back_end(&self) -> Option<&BackEnd> {
        Some(&self.back_end)
    }

    fn seed(&self) -> u64 {
        self.seed
    }

    fn steady(&self) -> u64 {
        let [steady, ..] = self.shares();
        steady.into()
    }

    fn slow(&self) -> u64 {
        let [steady, churning, _] = self.shares();
        u64::from(steady + churning)
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        let pace = self.publish_every.map_or_else(
            || "one after the other".to_owned(),
            |every| format!("one in {} s", every.as_secs_f64()),
        );
        let mut parameters = vec![
            ("rings", format!("{} a second", self.ring_rate)),
            ("publishes", pace),
            ("alone for", format!("{} s", self.alone.as_secs_f64())),
            ("for", format!("{} s", self.duration.as_secs_f64())),
            ("seed", self.seed.to_string()),
        ];
        parameters.extend(self.churn_rate.map(|rate| ("sessions that leave", format!("{rate} a second"))));
        parameters.extend(self.slow.map(|slow| ("slow readers", slow.to_string())));
        parameters
    }

    async fn one(&self, trial: &mut Trial<'_>, target: &Target, side: Side) -> anyhow::Result<Mixed> {
        let [steady, churning, slow] = self.shares();
        ensure!(
            steady > 0 && u64::from(churning) >= self.churn_rate.map_or(0, |rate| rate.get().into()),
            "{} sessions are too few: {slow} read nothing, {churning} leave and come back, each at most once a second, and \
             somebody must be there to be rung",
            self.asked.size.sessions
        );
        let Followed { mut fleet, publisher, .. } = Followed::open(trial, target, side).await?;
        let laps = Laps::new(steady, self.seed);
        let ringer =
            Ringer::of(trial, (&mut fleet, target), (trial.ring_topic(), laps), self.manner()).await?;
        let mut work = Work { fleet, ringer, publisher, target, laps };
        let before = target.meter.read().await?;
        let alone;
        (work, alone) = self.soak(work, (self.alone, Beside::Nothing), trial).await?;
        let beside;
        (work, beside) = self.soak(work, (self.duration, Beside::All), trial).await?;
        let mut all = None;
        let mut waited_for = Ok(None);
        if slow > 0 {
            work.fleet.order(Order::Mute(self.slow())).await?;
            let soaked;
            (work, soaked) = self.soak(work, (self.duration, Beside::Slow), trial).await?;
            // A crowd before the door must not take the figures with it.
            waited_for = slow_sockets(target).await;
            work.fleet.order(Order::Unmute).await?;
            all = Some(soaked);
        }
        let last = all.as_ref().map_or(0, |all| all.last).max(beside.last);
        let seen = settled(&mut work.fleet, last, trial).await?;
        let usage = (before, target.meter.read().await?);
        let machine = trial.line.pulse.machine_bytes();
        work.fleet.leave().await;
        Ok(Mixed { alone, beside, slow: all, waited_for, seen, usage, machine })
    }

    fn told(&self, findings: &mut Findings, of: &Mixed, _: Option<&Mixed>) {
        rung(findings, ("alone_", "alone"), &of.alone);
        rung(findings, ("", "beside fan-outs"), &of.beside);
        ratio(findings, ("late_ring_ratio", "the same: 99 of 100, of those alone"), &of.beside, &of.alone);
        followed(findings, ("", "beside rings"), &of.beside);
        if let Some(slow) = &of.slow {
            rung(findings, ("slow_", "beside slow readers"), slow);
            ratio(
                findings,
                ("slow_late_ring_ratio", "the same: 99 of 100, of those before"),
                slow,
                &of.beside,
            );
            followed(findings, ("slow_", "beside slow readers"), slow);
            self.slowed(findings, &of.waited_for);
        }
        for soaked in [Some(&of.alone), Some(&of.beside), of.slow.as_ref()].into_iter().flatten() {
            soaked.rings.noted(findings, ("--ring-rate", self.ring_rate));
        }
        let Returns { lost, back, current, failures, turned_away, unanswered, .. } = of.seen.tally.returns;
        if self.churn_rate.is_some() {
            findings.times(("back", "leaving to welcome"), &of.seen.back, None);
            findings.times(("current", "leaving to current"), &of.seen.current, None);
            findings.counts.extend([
                ("left", lost),
                ("back", back),
                ("current again", current),
                ("turned away by the door (503)", turned_away),
                ("ended before an answer", unanswered),
            ]);
        }
        growth(findings, of.usage);
        findings.machine(of.machine, None);
        findings.sessions(self.asked.size.sessions.get(), &of.seen);
        if current < lost || failures + unanswered > 0 {
            findings.wrong.push(format!(
                "of {lost} sessions that left {current} were current again, and {} connections failed meanwhile",
                failures + unanswered
            ));
        }
        if of.seen.behind > 0 {
            findings
                .wrong
                .push(format!("{} sessions did not know the last version at the end", of.seen.behind));
        }
    }
}

impl MixedArgs {
    fn manner(&self) -> Manner {
        Manner { connections: self.connections, batch: self.batch }
    }

    /// Says for how many of those who read nothing the server had to wait: for fewer, others were not beside slow readers.
    fn slowed(&self, findings: &mut Findings, waited_for: &anyhow::Result<Option<u64>>) {
        let [.., slow] = self.shares();
        match waited_for {
            Ok(Some(sockets)) if *sockets < slow.into() => findings.note(format!(
                "the server waited for {sockets} of {slow} slow readers: the kernels still hold what the others did not read; go on \
                 for longer (--duration), or publish more often"
            )),
            Ok(Some(_)) => {}
            Err(error) => findings.note(format!("whether the server waited for slow readers is not known: {error:#}")),
            Ok(None) => findings.note(
                "whether the server waited for slow readers, /metrics would tell (--metrics-url)".to_owned(),
            ),
        }
        if let Ok(Some(sockets)) = waited_for {
            findings.counts.insert("slow readers that the server waited for", *sockets);
        }
    }

    /// How many sessions are there to be rung, leave and come back, read nothing: in the order of their numbers.
    fn shares(&self) -> [u32; 3] {
        let sessions = self.asked.size.sessions.get();
        let churning = self.churn_rate.map_or(0, |_| (sessions / CHURNS).max(1));
        let slow = self.slow.map_or(0, std::num::NonZeroU32::get);
        [sessions.saturating_sub(churning).saturating_sub(slow), churning, slow]
    }

    /// Rings for a while, and has the rest go on beside it.
    async fn soak<'a>(
        &self,
        work: Work<'a>,
        (time, beside): (Duration, Beside),
        trial: &mut Trial<'_>,
    ) -> anyhow::Result<(Work<'a>, Soaked)> {
        let Work { mut fleet, mut ringer, mut publisher, target, laps } = work;
        let schedule = Schedule::lasting(clock::now() + AHEAD_US, self.ring_rate, time);
        fleet.order(Order::Measure(Plan::Hints)).await?;
        let begun =
            measured((&mut fleet, beside.name()), Plan::Laps(schedule, laps), target, &mut trial.line)
                .await?;
        // Whoever leaves this function, for whatever reason, has the threads leave off.
        let stop = trial.stop.child_token();
        let _guard = stop.clone().drop_guard();
        let ringing = spawn_blocking(move || {
            let rung = ringer.follow(schedule, &stop)?;
            anyhow::Ok((ringer, rung))
        });
        let mut told = None;
        if beside != Beside::Nothing {
            self.churn(&mut fleet, schedule, time).await?;
            let published;
            (publisher, published) = self.fan_out(publisher, (schedule, beside), &mut fleet, trial).await?;
            told = Some(published);
        }
        let rung;
        (ringer, rung) = fleet.meanwhile(beside.name(), ringing, &mut trial.line).await???;
        let last = told.as_ref().map_or(0, |told| told.last);
        fleet.learned((last, schedule.count), |seen| seen.rings.learned, &mut trial.line).await?;
        let used = begun.used(target, ringer.reconnects()).await?;
        let mut seen = fleet.seen(last).await?;
        let soaked = Soaked {
            refused: rung.refused,
            why: rung.why.clone(),
            rings: rings(&mut seen, rung, schedule, used),
            last,
            unpublished: told.as_ref().map(|told| told.refused.clone()).unwrap_or_default(),
            publishes: told
                .map(|told| self.publishes(seen, told, Used { reconnects: publisher.reconnects(), ..used })),
        };
        Ok((Work { fleet, ringer, publisher, target, laps }, soaked))
    }

    /// Has sessions leave and come back for as long.
    async fn churn(&self, fleet: &mut Fleet, rings: Schedule, time: Duration) -> anyhow::Result<()> {
        let Some(rate) = self.churn_rate else { return Ok(()) };
        let [steady, churning, _] = self.shares();
        let schedule = Schedule::lasting(rings.begin, rate, time);
        fleet.order(Order::Churn(Churn { first: steady.into(), sessions: churning.into(), schedule })).await
    }

    /// Publishes as long as the schedule lasts, the next when all have heard of the last.
    async fn fan_out(
        &self,
        mut publisher: Publisher,
        (rings, beside): (Schedule, Beside),
        fleet: &mut Fleet,
        trial: &mut Trial<'_>,
    ) -> anyhow::Result<(Publisher, Told)> {
        let end = rings.due(rings.count - 1);
        let every =
            self.publish_every.map_or(0, |every| u64::try_from(every.as_micros()).unwrap_or(u64::MAX));
        let mut told = Told {
            count: 0,
            first: 0,
            last: 0,
            answered: Spread::default(),
            answered_at: 0,
            all_heard: true,
            refused: (0, None),
        };
        let mut next = rings.begin;
        loop {
            let left = next.min(end).saturating_sub(clock::now());
            fleet.watch(beside.name(), Duration::from_micros(left), &mut trial.line).await?;
            // However short the while is, one is tried.
            let is_tried = told.count + told.refused.0 > 0;
            if is_tried && (clock::now() >= end || !told.all_heard) {
                return Ok((publisher, told));
            }
            let (version, answered);
            (publisher, version, answered) =
                try_publish(publisher, (&mut *fleet, beside.name()), &mut trial.line).await?;
            match answered {
                Ok(answered_at) => (told.last, told.answered_at) = (version, answered_at),
                Err(error) => {
                    told.refused = (told.refused.0 + 1, Some(format!("{error:#}")));
                    next = clock::now() + every.max(REFUSED_US);
                    continue;
                }
            }
            told.answered.record(told.answered_at.saturating_sub(told.last));
            told.first = if told.count == 0 { told.last } else { told.first };
            told.count += 1;
            let until = fleet.heard_by();
            told.all_heard = fleet.reached(told.last, until, beside.name(), &mut trial.line).await?;
            next = told.last.saturating_add(every);
        }
    }

    fn publishes(&self, seen: Together, told: Told, used: Used) -> Phase {
        Phase {
            publishes: told.count,
            expected: told.count * self.steady(),
            first: told.first,
            answered_at: told.answered_at,
            answered: told.answered,
            behind: Spread::default(),
            all_heard: told.all_heard,
            used,
            seen,
        }
    }
}

/// Of users who are rung: what they heard is taken from what all saw.
fn rings(seen: &mut Together, rung: Calls, schedule: Schedule, used: Used) -> Phase {
    let Rings { hints, learned, late, last_hint } = std::mem::take(&mut seen.rings);
    let tally = Tally { hints, learned, ..seen.tally };
    Phase {
        publishes: schedule.count,
        expected: schedule.count,
        first: schedule.begin,
        answered_at: rung.answered_at,
        answered: rung.answered,
        behind: rung.behind,
        all_heard: tally.learned == schedule.count,
        used,
        seen: Together { tally, late, last_hint, ..Together::default() },
    }
}

/// Waits until all who left are back, and all know the last version; answers what was seen.
async fn settled(fleet: &mut Fleet, last: Moment, trial: &mut Trial<'_>) -> anyhow::Result<Together> {
    let until = fleet.heard_by();
    let lost = fleet.seen(last).await?.tally.returns.lost;
    fleet.returned(lost, until, &mut trial.line).await?;
    loop {
        let seen = fleet.seen(last).await?;
        if seen.behind == 0 || Instant::now() > until {
            return Ok(seen);
        }
        fleet.watch("last hints", LOOK, &mut trial.line).await?;
    }
}

/// How late users were, and what the server used: the beginning of names in JSON, and for people what it was beside.
fn rung(findings: &mut Findings, (key, beside): (&str, &str), of: &Soaked) {
    let (late, what) = (format!("{key}late_ring"), format!("ring {beside}"));
    findings.times((&late, &what), &of.rings.seen.late, None);
    let (cpu, what) = (format!("{key}cpu"), format!("server CPU {beside}, of one core"));
    findings.cpu((&cpu, &what), Unit::PercentOfACore, (of.rings.cpu_percent(), None));
    findings.spreads.insert(format!("{key}ringer_behind"), of.rings.behind.summary());
    *findings.counts.entry("rings").or_default() += of.rings.publishes;
    *findings.counts.entry("rings learned of").or_default() += of.rings.seen.tally.learned;
    *findings.counts.entry("rings refused").or_default() += of.refused;
    if let Some(why) = &of.why {
        findings.wrong.push(format!("{} of {} rings were refused: {why}", of.refused, of.rings.publishes));
    }
    of.rings.judged(findings, &USERS, None);
}

/// How late followers were, and how often something was published.
fn followed(findings: &mut Findings, (key, beside): (&str, &str), of: &Soaked) {
    let Some(told) = &of.publishes else { return };
    let (late, what) = (format!("{key}late"), format!("publish {beside}"));
    findings.times((&late, &what), &told.seen.late, None);
    let (name, what) = (format!("{key}publishes_per_second"), format!("publishes a second {beside}"));
    findings.figure((&name, &what), Unit::PerSecond, rate(told.publishes, told.took_us()), None);
    *findings.counts.entry("publishes").or_default() += told.publishes;
    *findings.counts.entry("publishes refused").or_default() += of.unpublished.0;
    if let (refused, Some(why)) = &of.unpublished {
        findings.wrong.push(format!("{refused} publishes were not taken {beside}: {why}"));
    }
    *findings.counts.entry("hints of the topic").or_default() += told.seen.tally.hints;
    told.judged(findings, &WHOM, None);
}

/// How late 99 of 100 rings were, by those of another while.
#[expect(clippy::cast_precision_loss, reason = "an hour at most")]
fn ratio(findings: &mut Findings, name: (&str, &str), of: &Soaked, by: &Soaked) {
    let [of, by] = [of, by].map(|of| of.rings.seen.late.summary().p99_us as f64);
    findings.figure(name, Unit::Times, of / by.max(1.0), None);
}

/// How much more memory the server has than before; of its process alone where that is known.
#[expect(clippy::cast_precision_loss, reason = "bytes of a machine's memory")]
fn growth(findings: &mut Findings, usage: (Option<Usage>, Option<Usage>)) {
    let (Some(before), Some(after)) = usage else { return };
    let private = before.private.zip(after.private);
    let (before, after) = private.unwrap_or((before.resident, after.resident));
    let what = if private.is_some() { "private" } else { "resident" };
    let what = format!("server memory at the end, more, {what}");
    findings.figure(("memory_growth", &what), Unit::Bytes, after as f64 - before as f64, None);
}
