//! `doorbell bench fanout`: one topic with many followers; what a delivered hint costs, and how late followers hear of a publish.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::args::{Asked, BackEnd, FanoutArgs};
use super::clock::{self, Moment};
use super::findings::{Findings, Unit, cpu_each, rate};
use super::fleet::{Fleet, Together};
use super::measurement::Measurement;
use super::orders::Order;
use super::publisher::{Published, Publisher};
use super::schedule::Schedule;
use super::spread::Spread;
use super::target::Target;
use super::trial::{Bench, Side};

/// Publishes before anything counts.
const WARM_UP: u32 = 3;
/// How long all followers may take to hear of the last publish; the server looks for lost ones every 2 s.
const HEARD_DEADLINE: Duration = Duration::from_secs(20);
/// From the schedule's making to its first publish: everybody knows of it before.
const AHEAD_US: u64 = 100_000;

/// Of one side.
pub struct FannedOut {
    seen: Together,
    publishes: u64,
    /// When the first was due.
    first: Moment,
    /// The last one's version.
    last: Moment,
    /// When the last answer was there.
    answered_at: Moment,
    answered: Spread,
    /// How late publishes were written; nothing in a closed loop.
    behind: Spread,
    cpu_us: Option<f64>,
    /// Whether all followers heard of the last publish.
    all_heard: bool,
    /// Connections of the publisher after the first.
    reconnects: u64,
}

impl FannedOut {
    /// How long it took, in microseconds: from when the first publish was due to the last hint. Where the last answer came later
    /// still, or no hint at all, to that.
    fn took_us(&self) -> u64 {
        self.seen.last_hint.max(self.answered_at).saturating_sub(self.first)
    }
}

impl Measurement for FanoutArgs {
    type Came = FannedOut;
    const NAME: &'static str = "fanout";
    const FOLLOWS: bool = true;

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

    async fn one(&self, bench: &mut Bench<'_>, target: &Target, side: Side) -> anyhow::Result<FannedOut> {
        one(bench, self, target, side).await
    }

    fn told(&self, findings: &mut Findings, doorbell: &FannedOut, bare: Option<&FannedOut>) {
        told(findings, self.asked.size.sessions.get(), doorbell, bare);
    }
}

async fn one(
    bench: &mut Bench<'_>,
    args: &FanoutArgs,
    target: &Target,
    side: Side,
) -> anyhow::Result<FannedOut> {
    let mut fleet = bench.open(target, side).await?.fleet;
    let (key, topic) = (target.api_key.clone(), bench.topic());
    let (key, topic) = key.zip(topic).context("a back end needs an API key")?;
    let place = target.places[0].clone();
    let publisher = spawn_blocking(move || Publisher::connect(&place, &key, &topic)).await??;
    if fleet.tally().open == 0 {
        let failures = fleet.seen(0).await?.failures;
        bail!("nobody follows the topic: {}", failures.keys().cloned().collect::<Vec<_>>().join("; "));
    }
    let publisher = warm_up(&mut fleet, publisher, bench).await?;
    let begin = clock::now() + AHEAD_US;
    let count = |per_second: u32| (args.duration.as_millis() * u128::from(per_second) / 1_000).max(1);
    let schedule = args.rate.map(|rate| Schedule {
        begin,
        count: u64::try_from(count(rate.get())).unwrap_or(u64::MAX),
        per_second: rate.get(),
    });
    fleet.order(Order::Measure(schedule)).await?;
    // They answer in the order in which they are told: who has answered this knows that it counts.
    fleet.seen(0).await?;
    let before = target.meter.read().await?;
    let mut fanned = match schedule {
        Some(schedule) => open_loop(&mut fleet, publisher, schedule, bench).await?,
        None => {
            let until = Instant::now() + args.duration;
            closed_loop(&mut fleet, publisher, until, bench).await?
        }
    };
    let after = target.meter.read().await?;
    fanned.seen = fleet.seen(fanned.last).await?;
    fanned.cpu_us = cpu_each(before, after, fanned.seen.tally.hints);
    fleet.leave().await;
    Ok(fanned)
}

/// Some publishes, one after the other.
async fn warm_up(
    fleet: &mut Fleet,
    mut publisher: Publisher,
    bench: &mut Bench<'_>,
) -> anyhow::Result<Publisher> {
    for _ in 0..WARM_UP {
        let version;
        (publisher, version, _) = publish(publisher).await?;
        let heard =
            fleet.reached(version, Instant::now() + HEARD_DEADLINE, "warming up", &mut bench.line).await?;
        ensure!(heard, "not all followers heard of a publish within {} s", HEARD_DEADLINE.as_secs());
    }
    Ok(publisher)
}

/// Publishes at a steady rate; who reads is not asked.
async fn open_loop(
    fleet: &mut Fleet,
    mut publisher: Publisher,
    schedule: Schedule,
    bench: &mut Bench<'_>,
) -> anyhow::Result<FannedOut> {
    // Whoever leaves this function, for whatever reason, has the thread leave off.
    let stop = bench.stop.child_token();
    let _guard = stop.clone().drop_guard();
    let mut publishing = spawn_blocking(move || {
        let published = publisher.follow(schedule, &stop)?;
        anyhow::Ok((published, publisher.reconnects))
    });
    let (published, reconnects) = loop {
        // Reports are taken meanwhile, so that nobody waits for the tool.
        match tokio::time::timeout(Duration::from_millis(20), &mut publishing).await {
            Ok(published) => break published??,
            Err(_) => fleet.look("publishing", &mut bench.line).await?,
        }
    };
    let Published { answered, last, answered_at, behind } = published;
    let until = Instant::now() + HEARD_DEADLINE;
    let all_heard = fleet.reached(last, until, "last hints", &mut bench.line).await?;
    Ok(FannedOut {
        publishes: schedule.count,
        first: schedule.begin,
        last,
        answered_at,
        answered,
        behind,
        all_heard,
        reconnects,
        seen: Together::default(),
        cpu_us: None,
    })
}

/// Publishes the next when all have heard of the last.
async fn closed_loop(
    fleet: &mut Fleet,
    mut publisher: Publisher,
    until: Instant,
    bench: &mut Bench<'_>,
) -> anyhow::Result<FannedOut> {
    let (mut publishes, mut answered, mut all_heard) = (0, Spread::default(), true);
    let (mut first, mut last, mut answered_at) = (0, 0, 0);
    while all_heard && Instant::now() < until {
        (publisher, last, answered_at) = publish(publisher).await?;
        answered.record(answered_at - last);
        publishes += 1;
        first = if publishes == 1 { last } else { first };
        let heard = Instant::now() + HEARD_DEADLINE;
        all_heard = fleet.reached(last, heard, "publishing", &mut bench.line).await?;
    }
    Ok(FannedOut {
        publishes,
        first,
        last,
        answered_at,
        reconnects: publisher.reconnects,
        answered,
        behind: Spread::default(),
        all_heard,
        seen: Together::default(),
        cpu_us: None,
    })
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

fn told(findings: &mut Findings, sessions: u32, doorbell: &FannedOut, bare: Option<&FannedOut>) {
    let hints = |of: &FannedOut| rate(of.seen.tally.hints, of.took_us());
    let publishes = |of: &FannedOut| rate(of.publishes, of.took_us());
    let name = ("publishes_per_second", "publishes a second");
    findings.figure(name, Unit::PerSecond, publishes(doorbell), bare.map(publishes));
    findings.figure(
        ("hints_per_second", "hints a second"),
        Unit::PerSecond,
        hints(doorbell),
        bare.map(hints),
    );
    let name = ("cpu_per_hint", "server CPU a delivered hint");
    findings.cpu(name, Unit::Micros, (doorbell.cpu_us, bare.and_then(|bare| bare.cpu_us)));
    let late = ("late", "publish to follower");
    findings.times(late, &doorbell.seen.late, bare.map(|bare| &bare.seen.late));
    // The bare loop answers when it has written to everybody, a Doorbell before: not the same thing.
    findings.times(("answer", "publish to its answer"), &doorbell.answered, None);
    findings.spreads.insert("publisher_behind".to_owned(), doorbell.behind.summary());
    findings.sessions(sessions, &doorbell.seen);
    let (followed, learned) = (doorbell.seen.tally.followed, doorbell.seen.tally.learned);
    let expected = doorbell.publishes * followed;
    findings.counts.extend([
        ("followers", followed),
        ("publishes", doorbell.publishes),
        ("hints delivered", doorbell.seen.tally.hints),
        ("publishes learned of, over all followers", learned),
        ("connections of the publisher after its first", doorbell.reconnects),
    ]);
    if !doorbell.all_heard || learned != expected {
        findings
            .wrong
            .push(format!("followers learned of {learned} publishes, and {expected} were due to them"));
    }
    if let Some(bare) = bare {
        findings.bare(sessions, &bare.seen);
        if !bare.all_heard {
            let note = "compare nothing with the bare loop: not all of its sockets heard of the last publish";
            findings.notes.push(note.to_owned());
        }
    }
}
