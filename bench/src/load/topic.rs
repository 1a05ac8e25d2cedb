//! One topic that all sessions follow, and somebody who publishes to it: what `fanout`, `hot`, `storm` and `mixed` do alike.

use std::num::NonZeroU32;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tokio_util::sync::CancellationToken;

use super::clock::{self, Moment};
use super::fleet::Fleet;
use super::line::Line;
use super::orders::Plan;
use super::phase::{Phase, Whom, measured};
use super::publisher::{BACK_END, Published, Publisher};
use super::schedule::{AHEAD_US, Schedule};
use super::spread::Spread;
use super::target::Target;
use super::trial::{Side, Trial};

/// Publishes before anything counts.
const WARM_UP: u32 = 3;
/// What goes on until then.
const WARMING_UP: &str = "warming up";
/// Whom a topic's publishes are for.
pub const WHOM: Whom = Whom { who: "followers", what: "publishes" };

/// All sessions follow the topic.
pub struct Followed<'a> {
    /// Who holds them.
    pub fleet: Fleet,
    /// Who publishes.
    pub publisher: Publisher,
    target: &'a Target,
}

impl<'a> Followed<'a> {
    /// Opens all sessions, and publishes until all followers hear of it.
    ///
    /// # Errors
    /// As [`Trial::open`]; nobody follows, or not all followers hear of a publish.
    pub async fn open(trial: &mut Trial<'_>, target: &'a Target, side: Side) -> anyhow::Result<Self> {
        let mut fleet = trial.open(target, side).await?.fleet;
        let (key, topic) = (target.api_key.clone(), trial.topic());
        let (key, topic) = key.zip(topic).context("a back end needs an API key")?;
        let places = target.call_at().next().context("a server has an address")?.to_vec();
        let connecting = move |stop: &CancellationToken| Publisher::connect(&places, &key, &topic, stop);
        let deadline = trial.asked.size.deadline;
        let mut publisher = fleet.within((BACK_END, deadline), connecting, &mut trial.line).await??;
        if fleet.tally().open == 0 {
            let failures = fleet.seen(0).await?.failures;
            bail!("nobody follows the topic: {}", failures.keys().cloned().collect::<Vec<_>>().join("; "));
        }
        for _ in 0..WARM_UP {
            let version;
            (publisher, version, _) = publish(publisher, (&mut fleet, WARMING_UP), &mut trial.line).await?;
            let until = fleet.heard_by();
            let heard = fleet.reached(version, until, WARMING_UP, &mut trial.line).await?;
            ensure!(heard, "not all followers heard of a publish within {} s", fleet.patience().as_secs());
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
        trial: &mut Trial<'_>,
    ) -> anyhow::Result<(Self, Phase)> {
        let Self { mut fleet, mut publisher, target } = self;
        let what = format!("publishing {rate}/s");
        let schedule = Schedule::lasting(clock::now() + AHEAD_US, rate, time);
        let begun = measured((&mut fleet, &what), counts(schedule), target, &mut trial.line).await?;
        let publishing = move |stop: &CancellationToken| {
            let published = publisher.follow(schedule, stop)?;
            anyhow::Ok((publisher, published))
        };
        let (publisher, published) = fleet.blocking(&what, publishing, &mut trial.line).await??;
        let Published { answered, last, answered_at, behind } = published;
        let until = fleet.heard_by();
        let all_heard = fleet.reached(last, until, "last hints", &mut trial.line).await?;
        let used = begun.used(target, publisher.reconnects()).await?;
        let seen = fleet.seen(last).await?;
        let phase = Phase {
            publishes: schedule.count,
            expected: schedule.count * seen.tally.followed,
            first: schedule.begin,
            answered_at,
            answered,
            behind,
            all_heard,
            used,
            seen,
        };
        Ok((Self { fleet, publisher, target }, phase))
    }

    /// Publishes the next when all have heard of the last.
    ///
    /// # Errors
    /// As [`Followed::at_a_rate`].
    pub async fn one_by_one(self, time: Duration, trial: &mut Trial<'_>) -> anyhow::Result<(Self, Phase)> {
        let Self { mut fleet, mut publisher, target } = self;
        let begun = measured((&mut fleet, "publishing"), Plan::Hints, target, &mut trial.line).await?;
        fleet.lasts(time);
        let (mut publishes, mut answered, mut all_heard) = (0, Spread::default(), true);
        let (mut first, mut last, mut answered_at) = (0, 0, 0);
        // However short the time is, one is tried.
        while all_heard && (publishes == 0 || begun.elapsed() < time) {
            (publisher, last, answered_at) =
                publish(publisher, (&mut fleet, "publishing"), &mut trial.line).await?;
            answered.record(answered_at - last);
            publishes += 1;
            first = if publishes == 1 { last } else { first };
            let heard = fleet.heard_by();
            all_heard = fleet.reached(last, heard, "publishing", &mut trial.line).await?;
        }
        let used = begun.used(target, publisher.reconnects()).await?;
        let seen = fleet.seen(last).await?;
        let phase = Phase {
            publishes,
            expected: publishes * seen.tally.followed,
            first,
            answered_at,
            answered,
            behind: Spread::default(),
            all_heard,
            used,
            seen,
        };
        Ok((Self { fleet, publisher, target }, phase))
    }

    /// All sessions leave.
    pub async fn leave(self) {
        self.fleet.leave().await;
    }
}

/// One publish, on a thread of its own: who asks the tool to end is heard meanwhile. Answers its version, and when its answer was there.
///
/// # Errors
/// It is not taken, a process is gone, or the tool was asked to end.
pub async fn publish(
    publisher: Publisher,
    whom: (&mut Fleet, &str),
    line: &mut Line,
) -> anyhow::Result<(Publisher, Moment, Moment)> {
    let (publisher, version, answered) = try_publish(publisher, whom, line).await?;
    Ok((publisher, version, answered?))
}

/// As [`publish`], for who goes on without it: answers why it was not taken.
///
/// # Errors
/// A process is gone, or the tool was asked to end.
pub async fn try_publish(
    mut publisher: Publisher,
    (fleet, what): (&mut Fleet, &str),
    line: &mut Line,
) -> anyhow::Result<(Publisher, Moment, anyhow::Result<Moment>)> {
    let publishing = move |_: &CancellationToken| {
        let version = clock::now();
        let answered = publisher.publish(version).map(|()| clock::now());
        (publisher, version, answered)
    };
    fleet.blocking(what, publishing, line).await
}
