//! What every measurement does: take the server, or the bare loop, open all sessions, and end all of it again, whatever happens.

use std::collections::BTreeMap;

use anyhow::anyhow;
use tokio_util::sync::CancellationToken;

use super::args::{Asked, Load};
use super::fleet::{Fleet, Interrupted, Together};
use super::line::Line;
use super::orders::Tally;
use super::outcome::{Outcome, Unit};
use super::spread::{Spread, Summary};
use super::target::Target;
use super::usage::{self, Meter, Usage};
use crate::Host;

/// From so many followers on a Doorbell spreads their pulls, and its hints carry a delay.
const PULLS_SPREAD_FROM: u32 = 100;
/// A delay as long as those that it tells.
const PULL_AFTER_MS: u32 = 1_234;
/// Ports of one source address, by the kernel's default: beyond that an address and a port here run out.
const PORTS: u64 = 28_000;

/// What a measurement has at hand.
pub struct Bench<'a> {
    /// The binary around it.
    pub host: &'a Host,
    /// What was asked for.
    pub asked: &'a Asked,
    /// What sessions follow.
    pub topic: Option<String>,
    /// Cancelled where the tool is asked to end.
    pub stop: &'a CancellationToken,
    /// How it goes.
    pub line: Line,
}

/// All sessions are there.
pub struct Opened {
    /// Who holds them.
    pub fleet: Fleet,
    /// What the server had used before the first of them.
    pub before: Option<Usage>,
    /// And after the last.
    pub after: Option<Usage>,
    /// What the kernel held before the first of them, on the whole machine.
    pub kernel_before: u64,
}

/// Which of the two is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The server.
    Doorbell,
    /// The bare loop.
    Bare,
}

/// What both sides came to.
pub struct Pair<T> {
    /// The server.
    pub doorbell: T,
    /// The bare loop, where it was measured.
    pub bare: Option<T>,
}

/// One side, measured and ended.
#[derive(Debug)]
struct Ended<T> {
    measured: T,
    /// How its end went.
    end: anyhow::Result<()>,
    log: Vec<String>,
}

impl<'a> Bench<'a> {
    /// The name of the topic of this run: nobody knows an older version of it.
    pub fn topic_of(host: &Host) -> String {
        format!("bench:{:x}", host.now_ms)
    }

    /// Takes the server. What it can hold is looked at first.
    ///
    /// # Errors
    /// It cannot be had, or not hold so many.
    pub async fn doorbell(&mut self, api_key: Option<&std::path::Path>) -> anyhow::Result<Target> {
        let files = (self.host.files)();
        if self.asked.place.url.is_empty() {
            self.asked.size.check_own(files)?;
        }
        self.line.show(|| "starting".to_owned());
        Target::of(&self.asked.place, api_key, self.host).await
    }

    /// Measures the server, and ends it whatever comes of it. How it ended is told beside the figures, which it takes nothing from.
    ///
    /// # Errors
    /// It cannot be measured; with the last lines of its log, where it is of the tool's own.
    pub async fn alone<T>(
        &mut self,
        target: Target,
        outcome: &mut Outcome,
        one: impl AsyncFnOnce(&mut Bench<'a>, &Target) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let measured = one(self, &target).await;
        let ended = ended(target, measured).await;
        self.line.end();
        let Ended { measured, end, log } = ended?;
        outcome.log = log;
        if let Err(error) = end {
            outcome.wrong.push(format!("the server, when it was to end: {error:#}"));
        }
        Ok(measured)
    }

    /// Measures the server and then, where that is asked for, the bare loop in the same way. What goes wrong with the bare loop is a note:
    /// the figures of the server are what was asked for.
    ///
    /// # Errors
    /// The server cannot be measured, or the tool was asked to end.
    pub async fn paired<T>(
        &mut self,
        target: Target,
        outcome: &mut Outcome,
        one: impl AsyncFn(&mut Bench<'a>, &Target, Side) -> anyhow::Result<T>,
    ) -> anyhow::Result<Pair<T>> {
        let refers = self.refers(&target);
        let doorbell =
            async |bench: &mut Bench<'a>, target: &Target| one(bench, target, Side::Doorbell).await;
        let doorbell = self.alone(target, outcome, doorbell).await?;
        if !refers {
            return Ok(Pair { doorbell, bare: None });
        }
        let bare = match self.bare().await {
            Ok(target) => {
                let bare = one(self, &target, Side::Bare).await;
                ended(target, bare).await
            }
            Err(error) => Err(error),
        };
        self.line.end();
        let bare = match bare {
            Ok(Ended { measured, end, .. }) => {
                outcome.notes.extend(end.err().map(|error| format!("the bare loop, at its end: {error:#}")));
                Some(measured)
            }
            Err(error) if error.is::<Interrupted>() => return Err(error),
            Err(error) => {
                outcome.notes.push(format!("no figures of the bare loop: {error:#}"));
                None
            }
        };
        Ok(Pair { doorbell, bare })
    }

    /// Takes the bare loop.
    ///
    /// # Errors
    /// It cannot hold so many, or does not start.
    async fn bare(&mut self) -> anyhow::Result<Target> {
        let size = &self.asked.size;
        size.check_bare((self.host.files)())?;
        let wait = (size.sessions.get() >= PULLS_SPREAD_FROM).then_some(PULL_AFTER_MS);
        let followed = self.topic.as_deref().map(|topic| (topic, wait));
        Target::bare(self.host, size.encoding, followed).await
    }

    /// Whether the bare loop is measured beside this server: only one on this machine says what this machine can do.
    fn refers(&self, target: &Target) -> bool {
        !self.asked.no_reference && target.is_loopback()
    }

    /// Opens all sessions. The processes have their tokens before anything is measured.
    ///
    /// # Errors
    /// They cannot be started, or it takes too long. Sessions that fail are no error here.
    pub async fn open(&mut self, target: &Target, side: Side) -> anyhow::Result<Opened> {
        // Another network for each side and, as a rule, for each run: no port has to wait for the end of an older connection.
        let network = u8::try_from(self.host.now_ms / 1_000 % 120 * 2 + 2).unwrap_or(2);
        let load = Load {
            places: &target.places,
            credentials: &target.credentials,
            users: format!("bench-{:x}-", self.host.now_ms),
            topic: self.topic.clone(),
            sources: target.is_loopback().then_some(network + u8::from(side == Side::Bare)),
            files: (self.host.files)(),
        };
        let jobs = self.asked.size.jobs(&load)?;
        let each = u64::from(self.asked.size.sessions.get()) / target.places.len() as u64;
        if !target.is_loopback() && each > PORTS {
            self.line.say(&format!(
                "note: {each} connections to one address may be more than this machine has ports (net.ipv4.ip_local_port_range)"
            ));
        }
        let mut fleet = Fleet::start(self.host, &jobs, self.stop, &mut self.line).await?;
        let (before, kernel_before) = (target.meter.read().await?, usage::kernel_bytes()?);
        fleet.open(self.asked.size.deadline, &mut self.line).await?;
        Ok(Opened { before, after: target.meter.read().await?, fleet, kernel_before })
    }

    /// An outcome with everything but its figures.
    pub fn outcome(&self, what: &'static str, target: &Target) -> Outcome {
        let (size, optimised) = (&self.asked.size, !cfg!(debug_assertions));
        let mut parameters = BTreeMap::from([
            ("server", target.name.clone()),
            ("sessions", size.sessions.to_string()),
            ("encoding", format!("{:?}", size.encoding).to_lowercase()),
            ("in flight", size.in_flight.to_string()),
        ]);
        parameters.extend(size.connect_rate.map(|rate| ("connects a second", rate.to_string())));
        parameters.extend(size.processes.map(|count| ("processes", count.to_string())));
        let set =
            self.asked.place.set.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
        parameters.extend((!set.is_empty()).then(|| ("set", set.join(" "))));
        let mut notes = Vec::new();
        if !optimised {
            notes.push("a debug build: its figures say nothing about a release".to_owned());
        }
        if matches!(&target.meter, Meter::Metrics(pages) if !pages.is_empty()) {
            notes.push("CPU of /metrics is counted in whole seconds: let it use some".to_owned());
        }
        Outcome {
            what,
            build: self.host.build.clone(),
            optimised,
            command: self.host.command.clone(),
            started_ms: self.host.now_ms,
            machine: usage::machine().into_iter().collect(),
            parameters,
            figures: Vec::new(),
            spreads: BTreeMap::new(),
            counts: BTreeMap::new(),
            failures: BTreeMap::new(),
            wrong: Vec::new(),
            notes,
            log: Vec::new(),
        }
    }
}

impl Outcome {
    /// What is said of the sessions of the server in every measurement.
    pub fn sessions(&mut self, wanted: u32, seen: &Together) {
        let Tally { open, welcomed, failed, ended, pings, .. } = seen.tally;
        self.counts.extend([
            ("sessions open at the end", open),
            ("welcomed", welcomed),
            ("failed", failed),
            ("ended by the server", ended),
            ("pings answered", pings),
        ]);
        self.failures.extend(seen.failures.clone());
        if open < u64::from(wanted) {
            self.wrong.push(format!("{open} of {wanted} sessions were open at the end"));
        }
    }

    /// What is said of the sockets of the bare loop: that is where its figures are worth little.
    pub fn bare(&mut self, wanted: u32, seen: &Together) {
        let Tally { open, failed, ended, .. } = seen.tally;
        if open < u64::from(wanted) {
            let why = seen.failures.iter().map(|(why, count)| format!("{count} × {why}")).collect::<Vec<_>>();
            self.notes.push(format!(
                "compare nothing with the bare loop: {open} of {wanted} sockets were open at its end ({failed} failed, {ended} ended: {})",
                why.join("; ")
            ));
        }
    }

    /// Cost of the CPU between two looks, for each of so many.
    pub fn cpu(&mut self, name: (&str, &str), (of, reference): (Option<f64>, Option<f64>)) {
        match of {
            Some(micros) => self.figure(name, Unit::Micros, micros, reference),
            None => {
                let note = "no CPU and memory of the server: name its /metrics with --metrics-url".to_owned();
                if !self.notes.contains(&note) {
                    self.notes.push(note);
                }
            }
        }
    }

    /// Three figures of how long something took: what it is called in JSON, and for people.
    pub fn times(&mut self, (key, what): (&str, &str), of: &Spread, reference: Option<&Spread>) {
        let (of, bare) = (of.summary(), reference.map(Spread::summary));
        let names = [("p50", "half"), ("p99", "99 of 100"), ("max", "all")];
        let picks = [|s: &Summary| s.p50_us, |s: &Summary| s.p99_us, |s: &Summary| s.max_us];
        #[expect(clippy::cast_precision_loss, reason = "at most an hour")]
        for ((part, share), pick) in names.into_iter().zip(picks) {
            let (name, what) = (format!("{key}_{part}"), format!("{what}: {share} within"));
            let bare = bare.as_ref().map(|bare| pick(bare) as f64);
            self.figure((&name, &what), Unit::Micros, pick(&of) as f64, bare);
        }
        self.spreads.insert(key.to_owned(), of);
        self.spreads.extend(bare.map(|bare| (format!("bare.{key}"), bare)));
    }
}

/// CPU between two looks in microseconds, for each of so many.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
pub fn cpu_each(before: Option<Usage>, after: Option<Usage>, of: u64) -> Option<f64> {
    let spent = after?.cpu_seconds - before?.cpu_seconds;
    Some(spent * 1e6 / of.max(1) as f64)
}

/// How many there are in a second, of so many within so many microseconds.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
pub fn rate(of: u64, micros: u64) -> f64 {
    of as f64 * 1e6 / micros.max(1) as f64
}

/// Ends a target, whatever came of its measurement.
///
/// # Errors
/// That of the measurement, with the last lines of the target's log.
async fn ended<T>(target: Target, measured: anyhow::Result<T>) -> anyhow::Result<Ended<T>> {
    let name = target.name.clone();
    let (end, log) = target.end().await;
    match measured {
        Ok(measured) => Ok(Ended { measured, end, log }),
        Err(error) if error.is::<Interrupted>() || log.is_empty() => Err(error),
        Err(error) => Err(anyhow!("{error:#}\nthe last lines of the log of {name}:\n{}", log.join("\n"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ends with a status when it is asked to, and has said so in its log.
    async fn ends_with(status: u8) -> Target {
        let ready = "doorbell ready on http://127.0.0.1:1";
        let lines = "for line in $(seq 30); do echo line $line >&2; done";
        let script =
            format!("trap 'exit {status}' TERM; {lines}; echo {ready}; while :; do sleep 0.01; done");
        Target::script(&script).await
    }

    #[tokio::test]
    async fn a_server_that_ends_ill_costs_no_figures() {
        let ended = ended(ends_with(3).await, Ok(5)).await.unwrap();

        assert_eq!(ended.measured, 5);
        let end = ended.end.unwrap_err().to_string();
        assert!(end.contains("exit status: 3"), "{end}");
    }

    #[tokio::test]
    async fn what_cannot_be_measured_is_told_with_the_last_lines_of_the_log() {
        let error = ended::<()>(ends_with(0).await, Err(anyhow!("no reason"))).await.unwrap_err().to_string();

        assert!(error.starts_with("no reason\n") && error.ends_with("\nline 29\nline 30"), "{error}");
        assert!(!error.contains("line 10\n") && error.contains("line 11\n"), "{error}");
        let error = ended::<()>(ends_with(0).await, Err(Interrupted.into())).await.unwrap_err();
        assert!(error.is::<Interrupted>());
    }
}
