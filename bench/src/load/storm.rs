//! `doorbell bench storm`: all sessions are lost at once and come back as clients do: the time until all of them are back, and current.

use std::time::Duration;

use anyhow::Context;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::args::{Asked, BackEnd, StormArgs};
use super::clock::{self, Moment};
use super::findings::{Findings, Unit, cpu_each, rate};
use super::fleet::{Fleet, Interrupted, Together};
use super::measurement::Measurement;
use super::metrics::turned_away;
use super::orders::{Audience, Losing, Loss, Lost, Order, Returns};
use super::publisher::Publisher;
use super::schedule::{AHEAD_US, READ_US};
use super::target::Target;
use super::tool::Measured;
use super::topic::{self, Followed};
use super::trial::{Side, Trial};
use super::usage::{Meter, Usage};
use crate::words::length;

/// From one try of a publish to the next, while a server that was killed comes back.
const PUBLISH_PAUSE: Duration = Duration::from_millis(50);

/// Of one side.
pub struct Stormed {
    seen: Together,
    /// How many sessions were lost.
    sessions: u64,
    /// When.
    at: Moment,
    /// When there was a server again, where it was killed.
    ready: Option<Moment>,
    /// When the publish was answered that makes sessions current.
    published: Moment,
    usage: (Option<Usage>, Option<Usage>),
    /// How many connections the server turned away, where it tells.
    turned_away: Option<u64>,
}

impl Measurement for StormArgs {
    type Came = Stormed;
    const NAME: &'static str = "storm";
    const AUDIENCE: Audience = Audience::Followers;
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

    fn parameters(&self) -> Vec<(&'static str, String)> {
        let how = if self.kill { "their server is killed" } else { "their sockets are cut" };
        vec![("lost as", how.to_owned()), ("seed", self.seed.to_string())]
    }

    async fn one(&self, trial: &mut Trial<'_>, target: &Target, side: Side) -> anyhow::Result<Stormed> {
        let Followed { mut fleet, publisher, .. } = Followed::open(trial, target, side).await?;
        fleet.rest("settling", self.settle, &mut trial.line).await?;
        // Once more, so that the back end's connection is a fresh one and need not stand in the crowd.
        let (publisher, version, _) =
            topic::publish(publisher, (&mut fleet, "settling"), &mut trial.line).await?;
        let soon = fleet.heard_by();
        fleet.reached(version, soon, "settling", &mut trial.line).await?;
        let turned_before = turned_away(target).await?;
        let sessions = fleet.seen(0).await?.tally.open;
        let at = clock::now() + AHEAD_US;
        let how = if self.kill { Losing::Killed } else { Losing::Cut };
        fleet.order(Order::Lose(Loss { at, how, version: at })).await?;
        // They answer in the order in which they are told: who has answered this knows of the loss.
        fleet.seen(0).await?;
        until(at - READ_US).await;
        fleet.mark(Measured::Returns);
        let before = target.meter.read().await?;
        until(at).await;
        let mut stormed = Stormed {
            seen: Together::default(),
            sessions,
            at,
            ready: None,
            published: 0,
            usage: (before, None),
            turned_away: None,
        };
        let mut meter = target.meter.clone();
        if self.kill {
            trial.line.pulse.kills();
            meter = fleet.meanwhile("killed", killed(target), &mut trial.line).await??;
            trial.line.pulse.started_again(&meter);
            fleet.order(Order::Served).await?;
            stormed.ready = Some(clock::now());
            // What comes back is another process, which has used nothing before.
            stormed.usage.0 = Some(Usage::default());
        }
        stormed.published = publish(publisher, at, &mut fleet, trial).await?;
        let deadline = Instant::now() + self.asked.size.deadline;
        fleet.returned(sessions, deadline, &mut trial.line).await?;
        stormed.usage.1 = meter.read().await.unwrap_or(None);
        stormed.seen = fleet.seen(0).await?;
        // What was killed took its count with it.
        let before = if self.kill { turned_before.map(|_| 0) } else { turned_before };
        // A crowd that still stands before the door must not take the verdict with it.
        let after = turned_away(target).await.unwrap_or(None);
        stormed.turned_away = after.zip(before).map(|(after, before)| after.saturating_sub(before));
        fleet.leave().await;
        Ok(stormed)
    }

    fn told(&self, findings: &mut Findings, doorbell: &Stormed, bare: Option<&Stormed>) {
        let wanted = self.asked.size.sessions.get();
        let back = ("back", "loss to welcome");
        findings.times(back, &doorbell.seen.back, bare.map(|bare| &bare.seen.back));
        let current = ("current", "loss to current");
        findings.times(current, &doorbell.seen.current, bare.map(|bare| &bare.seen.current));
        let a_second = |of: &Stormed| rate(of.seen.tally.returns.back, of.seen.back.summary().max_us);
        let name = ("sessions_per_second", "sessions a second, from the loss to all");
        findings.figure(name, Unit::PerSecond, a_second(doorbell), bare.map(a_second));
        let name = ("tries_per_session", "connections a session, in the middle");
        findings.figure(name, Unit::Count, tries(doorbell), bare.map(tries));
        #[expect(clippy::cast_precision_loss, reason = "at most 255")]
        let most = |of: &Stormed| of.seen.tally.returns.tries_most as f64;
        let name = ("tries_most", "connections a session, the most");
        findings.figure(name, Unit::Count, most(doorbell), bare.map(most));
        let cpu = |of: &Stormed| cpu_each(of.usage.0, of.usage.1, of.seen.tally.returns.back);
        let cpu = (cpu(doorbell), bare.and_then(cpu));
        findings.cpu(("cpu_per_session", "server CPU a session that came back"), Unit::Micros, cpu);
        #[expect(clippy::cast_precision_loss, reason = "minutes at most")]
        let since = |moment: Moment, of: &Stormed| moment.saturating_sub(of.at) as f64;
        if let Some(ready) = doorbell.ready {
            let bare = bare.and_then(|bare| Some(since(bare.ready?, bare)));
            let name = ("ready", "loss to a server that is ready again");
            findings.figure(name, Unit::Micros, since(ready, doorbell), bare);
        }
        let bare_published = bare.map(|bare| since(bare.published, bare));
        let name = ("published", "loss to the answer of the publish");
        findings.figure(name, Unit::Micros, since(doorbell.published, doorbell), bare_published);
        findings.sessions(wanted, &doorbell.seen);
        counted(findings, doorbell);
        self.judged(findings, doorbell);
        if let Some(bare) = bare {
            findings.bare(wanted, &bare.seen);
            let Returns { current, .. } = bare.seen.tally.returns;
            if current < bare.sessions {
                let of = bare.sessions;
                findings
                    .note(format!("compare nothing with the bare loop: {current} of {of} sockets came back"));
            }
        }
    }
}

impl StormArgs {
    /// Says what is not as it should be.
    fn judged(&self, findings: &mut Findings, of: &Stormed) {
        let (Returns { lost, back, current, failures, .. }, sessions) = (of.seen.tally.returns, of.sessions);
        if lost != sessions {
            findings.wrong.push(format!("{lost} of {sessions} sessions were lost: the storm was another"));
        }
        if current < sessions {
            findings.wrong.push(format!(
                "of {sessions} sessions that were lost {back} came back, and {current} were current"
            ));
        }
        if failures > 0 {
            findings.wrong.push(format!(
                "{failures} connections of sessions that came back failed, and not at the door: why stands above"
            ));
        }
        let Returns { turned_away, unanswered, .. } = of.seen.tally.returns;
        // A server that is starting turns away as well, and does not count that: of what it said last we may hear after it is ready.
        let refused = if of.ready.is_some() { unanswered } else { turned_away + unanswered };
        match of.turned_away {
            Some(told) if refused > told => findings.wrong.push(format!(
                "{turned_away} connections were turned away and {unanswered} ended before an answer, and the server says that \
                 it turned away {told}"
            )),
            None if unanswered > 0 => findings.note(format!(
                "{unanswered} connections were ended before an answer: whether the door turned them away, /metrics would tell \
                 (--metrics-url)"
            )),
            _ => {}
        }
        let latest = of.seen.current.summary().max_us.max(of.seen.back.summary().max_us);
        if let Some(within) = self.within
            && u128::from(latest) > within.as_micros()
        {
            let within = humantime_serde::re::humantime::format_duration(within);
            let latest = length(latest);
            findings.wrong.push(format!(
                "a session was back and current {latest} after the loss, and --within is {within}"
            ));
        }
    }
}

fn counted(findings: &mut Findings, of: &Stormed) {
    let Returns { lost, back, current, tries, turned_away, unanswered, unserved, failures, .. } =
        of.seen.tally.returns;
    findings.counts.extend([
        ("lost", lost),
        ("back", back),
        ("current again", current),
        ("connections of those who came back", tries),
        ("turned away by the door (503)", turned_away),
        ("ended before an answer", unanswered),
        ("without a server to take them", unserved),
        ("failed otherwise", failures),
    ]);
    findings.counts.extend(of.turned_away.map(|told| ("turned away, as the server counts", told)));
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn tries(of: &Stormed) -> f64 {
    let Returns { lost, tries, .. } = of.seen.tally.returns;
    tries as f64 / lost.max(1) as f64
}

/// Waits for a moment.
async fn until(at: Moment) {
    sleep(Duration::from_micros(at.saturating_sub(clock::now()))).await;
}

/// Kills whom sessions are connected to, and starts them again.
async fn killed(target: &Target) -> anyhow::Result<Meter> {
    target.kill().await.context("killing the server")?;
    target.restart().await.context("starting the server again")
}

/// Publishes the version that sessions must know; answers when that was answered.
async fn publish(
    publisher: Publisher,
    version: Moment,
    fleet: &mut Fleet,
    trial: &mut Trial<'_>,
) -> anyhow::Result<Moment> {
    let until = fleet.heard_by();
    let publishing = move |stop: &CancellationToken| published(publisher, (version, until), stop);
    fleet.blocking("publishing", publishing, &mut trial.line).await?
}

/// A server that has just come back, or has a crowd before its door, may not take it at once.
fn published(
    mut publisher: Publisher,
    (version, until): (Moment, Instant),
    stop: &CancellationToken,
) -> anyhow::Result<Moment> {
    loop {
        match publisher.publish(version) {
            Ok(()) => return Ok(clock::now()),
            Err(_) if stop.is_cancelled() => return Err(Interrupted.into()),
            Err(error) if Instant::now() > until => return Err(error),
            Err(_) => std::thread::park_timeout(PUBLISH_PAUSE),
        }
    }
}
