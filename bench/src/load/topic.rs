//! One topic that all sessions follow, and somebody who publishes to it: what `fanout` and `hot` do alike.

use std::num::NonZeroU32;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::clock::{self, Moment};
use super::findings::{Findings, cpu_each};
use super::fleet::{Fleet, Together};
use super::orders::{Order, Plan};
use super::publisher::{Published, Publisher};
use super::schedule::Schedule;
use super::spread::Spread;
use super::target::Target;
use super::trial::{Bench, Side};
use super::usage::Usage;
use crate::words::length;

/// Publishes before anything counts.
const WARM_UP: u32 = 3;
/// How long all followers may take to hear of the last publish; the server looks for lost ones every 2 s.
const HEARD_DEADLINE: Duration = Duration::from_secs(20);
/// From the schedule's making to its first publish: everybody knows of it before.
const AHEAD_US: u64 = 100_000;

/// All sessions follow the topic.
pub struct Followed<'a> {
    fleet: Fleet,
    publisher: Publisher,
    target: &'a Target,
}

/// What came of publishing for a while.
pub struct Phase {
    /// What the followers saw.
    pub seen: Together,
    /// How many publishes there were.
    pub publishes: u64,
    /// When the first was due.
    first: Moment,
    /// When the last answer was there.
    answered_at: Moment,
    /// From when a publish was due to its answer.
    pub answered: Spread,
    /// How late publishes were written; nothing in a closed loop.
    pub behind: Spread,
    /// Whether all followers heard of the last publish.
    pub all_heard: bool,
    /// Connections of the publisher after its first, up to now.
    pub reconnects: u64,
    /// What the server had used before the first publish, and when all had heard of the last.
    usage: (Option<Usage>, Option<Usage>),
    /// From the one to the other.
    took: Duration,
}

impl Phase {
    /// How long it took, in microseconds: from when the first publish was due to the last hint. Where the last answer came later
    /// still, or no hint at all, to that.
    pub fn took_us(&self) -> u64 {
        self.seen.last_hint.max(self.answered_at).saturating_sub(self.first)
    }

    /// The server's CPU for each hint that came, in microseconds.
    pub fn cpu_each(&self) -> Option<f64> {
        cpu_each(self.usage.0, self.usage.1, self.seen.tally.hints)
    }

    /// The server's CPU meanwhile, in hundredths of one core.
    pub fn cpu_percent(&self) -> Option<f64> {
        let spent = self.usage.1?.cpu_seconds - self.usage.0?.cpu_seconds;
        Some(spent * 100.0 / self.took.as_secs_f64())
    }

    /// Says what is not as it should be: what followers did not hear of, and who was later than they may be.
    pub fn judged(&self, findings: &mut Findings, within: Option<Duration>) {
        let (followed, learned) = (self.seen.tally.followed, self.seen.tally.learned);
        let expected = self.publishes * followed;
        if !self.all_heard || learned != expected {
            let wrong = format!("followers learned of {learned} publishes, and {expected} were due to them");
            findings.wrong.push(wrong);
        }
        let latest = self.seen.late.summary().max_us;
        if let Some(within) = within
            && u128::from(latest) > within.as_micros()
        {
            let within = humantime_serde::re::humantime::format_duration(within);
            findings
                .wrong
                .push(format!("a follower was {} behind, and --within is {within}", length(latest)));
        }
    }

    /// Says where a rate was not what was asked for.
    pub fn noted(&self, findings: &mut Findings, rate: NonZeroU32) {
        let late = self.behind.summary().p99_us;
        if late > 1_000_000 / u64::from(rate.get()) {
            findings.note(format!(
                "the publisher could not keep {rate} a second: 1 of 100 publishes was written {} late or more, of which \
                 followers' times have a part",
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

impl<'a> Followed<'a> {
    /// Opens all sessions, and publishes until all followers hear of it.
    ///
    /// # Errors
    /// As [`Bench::open`]; nobody follows, or not all followers hear of a publish.
    pub async fn open(bench: &mut Bench<'_>, target: &'a Target, side: Side) -> anyhow::Result<Self> {
        let mut fleet = bench.open(target, side).await?.fleet;
        let (key, topic) = (target.api_key.clone(), bench.topic());
        let (key, topic) = key.zip(topic).context("a back end needs an API key")?;
        let place = target.places[0].clone();
        let mut publisher = spawn_blocking(move || Publisher::connect(&place, &key, &topic)).await??;
        if fleet.tally().open == 0 {
            let failures = fleet.seen(0).await?.failures;
            bail!("nobody follows the topic: {}", failures.keys().cloned().collect::<Vec<_>>().join("; "));
        }
        for _ in 0..WARM_UP {
            let version;
            (publisher, version, _) = publish(publisher).await?;
            let until = Instant::now() + HEARD_DEADLINE;
            let heard = fleet.reached(version, until, "warming up", &mut bench.line).await?;
            ensure!(heard, "not all followers heard of a publish within {} s", HEARD_DEADLINE.as_secs());
        }
        Ok(Self { fleet, publisher, target })
    }

    /// Publishes so many a second, whatever comes back. What counts is said with the schedule.
    ///
    /// # Errors
    /// A publish is not taken, a process is gone, or the tool was asked to end.
    pub async fn at_a_rate(
        self,
        (rate, time): (NonZeroU32, Duration),
        counts: impl FnOnce(Schedule) -> Plan,
        bench: &mut Bench<'_>,
    ) -> anyhow::Result<(Self, Phase)> {
        let Self { mut fleet, mut publisher, target } = self;
        let count = (time.as_millis() * u128::from(rate.get()) / 1_000).max(1);
        let schedule = Schedule {
            begin: clock::now() + AHEAD_US,
            count: u64::try_from(count).unwrap_or(u64::MAX),
            per_second: rate.get(),
        };
        let (before, begun) = measured(&mut fleet, counts(schedule), target).await?;
        // Whoever leaves this function, for whatever reason, has the thread leave off.
        let stop = bench.stop.child_token();
        let _guard = stop.clone().drop_guard();
        let mut publishing = spawn_blocking(move || {
            let published = publisher.follow(schedule, &stop)?;
            anyhow::Ok((publisher, published))
        });
        let (publisher, published) = loop {
            // Reports are taken meanwhile, so that nobody waits for the tool.
            match tokio::time::timeout(Duration::from_millis(20), &mut publishing).await {
                Ok(published) => break published??,
                Err(_) => fleet.look("publishing", &mut bench.line).await?,
            }
        };
        let Published { answered, last, answered_at, behind } = published;
        let until = Instant::now() + HEARD_DEADLINE;
        let all_heard = fleet.reached(last, until, "last hints", &mut bench.line).await?;
        let usage = (before, target.meter.read().await?);
        let phase = Phase {
            publishes: schedule.count,
            first: schedule.begin,
            answered_at,
            answered,
            behind,
            all_heard,
            reconnects: publisher.reconnects,
            usage,
            took: begun.elapsed(),
            seen: fleet.seen(last).await?,
        };
        Ok((Self { fleet, publisher, target }, phase))
    }

    /// Publishes the next when all have heard of the last.
    ///
    /// # Errors
    /// As [`Followed::at_a_rate`].
    pub async fn one_by_one(self, time: Duration, bench: &mut Bench<'_>) -> anyhow::Result<(Self, Phase)> {
        let Self { mut fleet, mut publisher, target } = self;
        let (before, begun) = measured(&mut fleet, Plan::Hints, target).await?;
        let (mut publishes, mut answered, mut all_heard) = (0, Spread::default(), true);
        let (mut first, mut last, mut answered_at) = (0, 0, 0);
        while all_heard && begun.elapsed() < time {
            (publisher, last, answered_at) = publish(publisher).await?;
            answered.record(answered_at - last);
            publishes += 1;
            first = if publishes == 1 { last } else { first };
            let heard = Instant::now() + HEARD_DEADLINE;
            all_heard = fleet.reached(last, heard, "publishing", &mut bench.line).await?;
        }
        let usage = (before, target.meter.read().await?);
        let phase = Phase {
            publishes,
            first,
            answered_at,
            reconnects: publisher.reconnects,
            answered,
            behind: Spread::default(),
            all_heard,
            usage,
            took: begun.elapsed(),
            seen: fleet.seen(last).await?,
        };
        Ok((Self { fleet, publisher, target }, phase))
    }

    /// All sessions leave.
    pub async fn leave(self) {
        self.fleet.leave().await;
    }
}

/// From now on it counts; answers what was used before.
async fn measured(
    fleet: &mut Fleet,
    plan: Plan,
    target: &Target,
) -> anyhow::Result<(Option<Usage>, Instant)> {
    fleet.order(Order::Measure(plan)).await?;
    // They answer in the order in which they are told: who has answered this knows that it counts.
    fleet.seen(0).await?;
    Ok((target.meter.read().await?, Instant::now()))
}

/// One publish, on a thread of its own: who asks the tool to end is heard meanwhile. Answers its version, and when its answer was there.
async fn publish(mut publisher: Publisher) -> anyhow::Result<(Publisher, Moment, Moment)> {
    let publishing = move || {
        let version = clock::now();
        publisher.publish(version)?;
        Ok((publisher, version, clock::now()))
    };
    spawn_blocking(publishing).await?
}
