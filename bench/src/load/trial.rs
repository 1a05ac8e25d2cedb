//! What every measurement does: take the server, or the bare loop, open all sessions, and end all of it again, whatever happens.

use std::collections::BTreeMap;
use std::num::{NonZeroU16, NonZeroU32};

use anyhow::anyhow;
use humantime_serde::re::humantime::parse_duration;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::args::{Asked, BackEnd, Load, Where};
use super::bare::Tells;
use super::fleet::{Fleet, Interrupted};
use super::line::Line;
use super::measurement::Measurement;
use super::orders::{Audience, Lost};
use super::target::{Door, Target};
use super::usage::{self, Usage};
use crate::Host;
use crate::cpus::Cpus;

/// From so many followers on a Doorbell spreads their pulls, and its hints carry a delay.
const PULLS_SPREAD_FROM: u32 = 100;
/// One of as many digits as a Doorbell tells, so that hints are as long.
const PULL_AFTER_MS: u32 = 1_234;
/// By default a Doorbell tells a topic of more followers than these once in so long.
const LARGE: u64 = 1_000;
const LARGE_EVERY_MS: u64 = 100;
/// Ports of one source address to one server, by the kernel's default (`net.ipv4.ip_local_port_range`).
const PORTS: u64 = 28_000;

/// What a measurement has at hand.
pub struct Trial<'a> {
    /// The binary around it.
    pub host: &'a Host,
    /// What was asked for.
    pub asked: &'a Asked,
    /// Cancelled where the tool is asked to end.
    pub stop: &'a CancellationToken,
    /// How it goes.
    pub line: Line,
    /// Which round it is, from 0.
    pub round: usize,
    /// Who is rung.
    pub audience: Audience,
    /// What becomes of a session that is lost.
    lost: Lost,
    /// What is drawn is drawn from this.
    seed: u64,
    /// From which session on hints do not count.
    steady: u64,
    /// From which session on buffers are small.
    slow: u64,
    /// Whether the bare loop is measured beside the server: known once the server is.
    pub has_bare_loop: bool,
    /// How many bare loops there were; none before they were started.
    bare_loops: Option<NonZeroU32>,
    /// What of the machine stands beside its figures.
    pub machine: Vec<(&'static str, String)>,
    /// The CPUs of servers and of the bare loop, where they are not those of the tool.
    servers: Option<Cpus>,
    /// What turned out on the way that whoever reads the figures should know.
    noted: Vec<String>,
}

/// What this machine is, before anything is measured on it.
pub struct Machine {
    /// What stands beside figures.
    pub figures: Vec<(&'static str, String)>,
    /// The CPUs of servers and of the bare loop, where they are not those of the tool.
    pub servers: Option<Cpus>,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The server.
    Doorbell,
    /// The bare loop.
    Bare,
}

/// One side, measured and ended.
#[derive(Debug)]
pub struct Ended<T> {
    /// What came of it.
    pub measured: T,
    /// How its end went.
    pub end: anyhow::Result<()>,
    /// The last lines of its log.
    pub log: Vec<String>,
}

/// From one fan-out of a topic to the next at a Doorbell with these settings, where each place has its share of the followers. Of an
/// installation's settings nobody tells: they are as by default.
fn interval_ms(place: &Where, sessions: u32) -> u64 {
    let set = |name| place.set.iter().rev().find(|(set, _)| set == name).map(|(_, value)| value);
    let large = set("DOORBELL_GATEWAY__FANOUT_FOLLOWERS_LARGE").and_then(|value| value.parse().ok());
    let interval = set("DOORBELL_GATEWAY__FANOUT_INTERVAL").and_then(|value| parse_duration(value).ok());
    let places = place.gateways.map_or(place.url.len(), |count| count.get().into());
    let each = u64::from(sessions) / places.max(1) as u64;
    if each <= large.unwrap_or(LARGE) {
        return 0;
    }
    interval.map_or(LARGE_EVERY_MS, |interval| u64::try_from(interval.as_millis()).unwrap_or(u64::MAX))
}

impl<'a> Trial<'a> {
    /// Nothing is measured yet.
    pub fn new<M: Measurement>(
        what: &'a M,
        host: &'a Host,
        stop: &'a CancellationToken,
        of: Machine,
    ) -> Self {
        let Machine { figures: machine, servers } = of;
        Self {
            host,
            asked: what.asked(),
            stop,
            line: Line::new(),
            round: 0,
            audience: M::AUDIENCE,
            lost: M::LOST,
            seed: what.seed(),
            steady: what.steady(),
            slow: what.slow(),
            has_bare_loop: false,
            bare_loops: None,
            machine,
            servers,
            noted: Vec::new(),
        }
    }

    /// The name of this round's topic: nobody knows an older version of it.
    pub fn topic(&self) -> Option<String> {
        (self.audience != Audience::Nobody).then(|| format!("bench:{:x}-{}", self.host.now_ms, self.round))
    }

    /// The name of the topic of which users are rung by their names, where sessions follow another one.
    pub fn ring_topic(&self) -> Option<String> {
        self.topic().filter(|_| self.audience == Audience::Both).map(|topic| format!("{topic}-rung"))
    }

    /// What the names of this round's users begin with; a number follows.
    pub fn users(&self) -> String {
        format!("bench-{:x}-{}-", self.host.now_ms, self.round)
    }

    /// Takes the server. What it can hold is looked at first.
    ///
    /// # Errors
    /// It cannot be had, or not hold so many.
    pub async fn doorbell(&mut self, back_end: Option<&BackEnd>) -> anyhow::Result<Target> {
        let files = (self.host.files)();
        if self.asked.place.url.is_empty() {
            let gateways = self.asked.place.gateways.map_or(1, NonZeroU16::get);
            self.asked.size.check_own(gateways, files)?;
            self.line.pulse.starts();
        }
        self.line.show(|| "starting".to_owned());
        let api_key = back_end.and_then(|back_end| back_end.api_key_file.as_deref());
        let door = if self.lost == Lost::Back { Door::AsByDefault } else { Door::WideOpen };
        let starting = Target::of((&self.asked.place, door), api_key, self.host, self.servers.as_ref());
        self.unless_stopped(starting).await
    }

    /// Starts something; where the tool is asked to end, what was started ends with this.
    async fn unless_stopped<T>(
        &self,
        starting: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        self.stop.run_until_cancelled(starting).await.unwrap_or_else(|| Err(Interrupted.into()))
    }

    /// Whether as many bare loops as were asked for can hold the sessions: known before anything is measured.
    ///
    /// # Errors
    /// They are measured, and cannot hold so many.
    pub fn check_bare_loops(&self) -> anyhow::Result<()> {
        let asked = self.asked.bare_loops.filter(|_| self.has_bare_loop);
        asked.map_or(Ok(()), |loops| self.asked.size.bare_loops(Some(loops), (self.host.files)()).map(drop))
    }

    /// Takes the bare loop: as many of it as hold the sessions.
    ///
    /// # Errors
    /// They cannot hold so many, or do not start.
    pub async fn bare(&mut self) -> anyhow::Result<Target> {
        let size = &self.asked.size;
        let loops = size.bare_loops(self.asked.bare_loops, (self.host.files)())?;
        let sessions = size.sessions.get();
        // Pulls of users who are rung one by one are not spread.
        let is_spread = self.audience == Audience::Followers && sessions >= PULLS_SPREAD_FROM;
        let tells = Tells {
            encoding: size.encoding,
            topic: self.topic(),
            pull_after_ms: is_spread.then_some(PULL_AFTER_MS),
            interval_ms: interval_ms(&self.asked.place, sessions),
            users: self.audience == Audience::Users,
        };
        self.line.pulse.starts();
        let starting = Target::bare(self.host, &tells, loops, self.servers.as_ref());
        let target = self.unless_stopped(starting).await?;
        self.bare_loops = Some(loops);
        Ok(target)
    }

    /// Opens all sessions. The processes have their tokens before anything is measured.
    ///
    /// # Errors
    /// They cannot be started, or it takes too long. Sessions that fail are no error here.
    pub async fn open(&mut self, target: &Target, side: Side) -> anyhow::Result<Opened> {
        // Another network for each side, each round and, as a rule, each run: no port has to wait for the end of an older connection.
        let run = self.host.now_ms / 1_000 + self.round as u64;
        let network = u8::try_from(run % 120 * 2 + 2).unwrap_or(2);
        let load = Load {
            places: &target.places,
            credentials: &target.credentials,
            users: self.users(),
            topic: self.topic(),
            audience: self.audience,
            ring_topic: self.ring_topic(),
            steady: self.steady,
            slow: self.slow,
            sources: target.is_loopback().then_some(network + u8::from(side == Side::Bare)),
            files: (self.host.files)(),
            lost: self.lost,
            seed: self.seed,
        };
        let jobs = self.asked.size.jobs(&load)?;
        let each = u64::from(self.asked.size.sessions.get()) / target.places.len() as u64;
        if let Some(note) = ports(each).filter(|_| !target.is_loopback()) {
            self.line.say(&format!("note: {note}"));
            self.note(note);
        }
        let mut fleet = Fleet::start(self.host, (&jobs, target.rank()), self.stop, &mut self.line).await?;
        let (before, kernel_before) = (target.meter.read().await?, usage::kernel_bytes()?);
        fleet.open((target, side), self.asked.size.deadline, &mut self.line).await?;
        Ok(Opened { before, after: target.meter.read().await?, fleet, kernel_before })
    }

    /// What was asked for, in every measurement.
    pub fn parameters(&self) -> BTreeMap<&'static str, String> {
        let Asked { place, size, cpus, .. } = self.asked;
        let mut parameters = BTreeMap::from([
            ("server", place.name()),
            ("sessions", size.sessions.to_string()),
            ("encoding", format!("{:?}", size.encoding).to_lowercase()),
            ("in flight", size.in_flight.to_string()),
        ]);
        parameters.extend(size.connect_rate.map(|rate| ("connects a second", rate.to_string())));
        let tls = place.is_secure().then(|| ("TLS", "1.3, whole handshakes".to_owned()));
        parameters.extend(tls);
        parameters.extend(size.processes.map(|count| ("processes", count.to_string())));
        let loops = self.bare_loops.filter(|loops| loops.get() > 1);
        parameters.extend(loops.map(|loops| ("bare loops", loops.to_string())));
        let set = place.set.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
        parameters.extend((!set.is_empty()).then(|| ("set", set.join(" "))));
        let servers = if place.url.is_empty() { "server's CPUs" } else { "bare loop's CPUs" };
        parameters.extend(cpus.server_cpus.as_ref().map(|cpus| (servers, cpus.to_string())));
        parameters.extend(cpus.tool_cpus.as_ref().map(|cpus| ("tool's CPUs", cpus.to_string())));
        parameters
    }

    /// One more thing that whoever reads the figures should know; said once, whatever the round.
    pub fn note(&mut self, note: String) {
        if !self.noted.contains(&note) {
            self.noted.push(note);
        }
    }

    /// What whoever reads the figures should know of how they came to be.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if cfg!(debug_assertions) {
            notes.push("a debug build: its figures say nothing about a release".to_owned());
        }
        if !self.asked.place.metrics_url.is_empty() {
            notes.push("CPU of /metrics is counted in whole seconds: let it use some".to_owned());
        }
        if self.asked.place.gateways.is_some() {
            notes.push(
                "CPU and memory are those of the gateways alone: other roles and Redis are not in them"
                    .to_owned(),
            );
        }
        notes.extend(self.noted.iter().cloned());
        notes
    }
}

/// A warning where so many connections to one address, which is not of the loopback, may be more than this machine has ports.
fn ports(each: u64) -> Option<String> {
    (each > PORTS).then(|| {
        format!(
            "{each} connections to one address may be more than this machine has ports: only on the IPv4 loopback are there several \
             addresses to connect from; spread sessions over more gateways (--url), or widen net.ipv4.ip_local_port_range"
        )
    })
}

/// Ends a target, whatever came of its measurement.
///
/// # Errors
/// That of the measurement, with how the target's end went where that was ill, and the last lines of its log.
pub async fn ended<T>(target: Target, measured: anyhow::Result<T>) -> anyhow::Result<Ended<T>> {
    let (end, log) = target.end().await;
    match measured {
        Ok(measured) => Ok(Ended { measured, end, log }),
        Err(error) if error.is::<Interrupted>() => Err(error),
        Err(error) => {
            let mut why = format!("{error:#}");
            if let Err(end) = end {
                why.push_str(&format!("\nwhen it was to end: {end:#}"));
            }
            if !log.is_empty() {
                why.push_str(&format!("\nthe last lines of its log:\n{}", log.join("\n")));
            }
            Err(anyhow!(why))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    /// Nothing here takes longer.
    const DEADLINE: Duration = Duration::from_secs(60);

    /// Ends with a status when it is asked to, and has said so in its log.
    async fn ends_with(status: u8) -> Target {
        let ready = "doorbell ready on http://127.0.0.1:1";
        let lines = "for line in $(seq 30); do echo line $line >&2; done";
        let script =
            format!("trap 'exit {status}' TERM; {lines}; echo {ready}; while :; do sleep 0.01; done");
        Target::script(&script).await
    }

    #[test]
    fn the_bare_loop_merges_as_a_doorbell_with_these_settings() {
        let set = |name: &str, value: &str| (format!("DOORBELL_GATEWAY__{name}"), value.to_owned());
        let mut place = Where {
            url: vec![],
            gateways: None,
            ca: None,
            tls: false,
            key_file: None,
            token_command: None,
            metrics_url: vec![],
            set: vec![],
        };
        assert_eq!([1_000, 1_001].map(|sessions| interval_ms(&place, sessions)), [0, 100]);
        place.set = vec![set("FANOUT_FOLLOWERS_LARGE", "10"), set("FANOUT_INTERVAL", "2s")];
        assert_eq!([10, 11].map(|sessions| interval_ms(&place, sessions)), [0, 2_000]);
        place.set.push(set("FANOUT_INTERVAL", "10ms"));
        place.url = vec!["ws://a".to_owned(), "ws://b".to_owned()];
        assert_eq!([21, 22].map(|sessions| interval_ms(&place, sessions)), [0, 10]);
    }

    #[test]
    fn more_sessions_of_an_address_than_there_are_ports_are_warned_of() {
        assert_eq!(ports(PORTS), None);
        let note = ports(PORTS + 1).unwrap();
        assert!(note.starts_with("28001 connections") && note.contains("IPv4 loopback"), "{note}");
    }

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: super::super::ConnectArgs,
    }

    #[tokio::test]
    async fn who_ends_the_tool_is_heard_while_its_own_server_is_being_made() {
        use std::os::unix::fs::PermissionsExt;

        // In place of a `doorbell`: it makes no key, however long one waits.
        let scratch = tempfile::tempdir().unwrap();
        let (binary, number) = (scratch.path().join("doorbell"), scratch.path().join("number"));
        let script =
            format!("#!/bin/sh\necho $$ > {}.new\nmv {0}.new {0}\nexec sleep 600\n", number.display());
        std::fs::write(&binary, script).unwrap();
        std::fs::set_permissions(&binary, std::fs::Permissions::from_mode(0o755)).unwrap();
        let host = Host {
            build: String::new(),
            binary,
            command: String::new(),
            now_ms: 1,
            files: || 20_000,
            mint: |_, _| unreachable!("no token is made"),
        };
        let (stop, args) = (CancellationToken::new(), <Line as clap::Parser>::parse_from(["connect"]).args);
        let mut trial = Trial::new(&args, &host, &stop, Machine { figures: Vec::new(), servers: None });

        let started = async {
            while !number.exists() {
                tokio::task::yield_now().await;
            }
            stop.cancel();
        };
        let both = async { tokio::join!(trial.doorbell(None), started) };
        let (target, ()) = timeout(DEADLINE, both).await.expect("it is heard");

        assert!(target.err().unwrap().is::<Interrupted>());
        let number = std::fs::read_to_string(number).unwrap().trim().parse().unwrap();
        let gone = async {
            while crate::process::is_there(number) {
                tokio::task::yield_now().await;
            }
        };
        timeout(DEADLINE, gone).await.expect("it ends with the tool");
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
        let error = ended::<()>(ends_with(3).await, Err(anyhow!("no reason"))).await.unwrap_err().to_string();
        assert!(error.starts_with("no reason\nwhen it was to end: did not end well"), "{error}");
        let error = ended::<()>(ends_with(0).await, Err(Interrupted.into())).await.unwrap_err();
        assert!(error.is::<Interrupted>());
    }
}
