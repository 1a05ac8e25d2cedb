//! What was asked on the command line.

use std::num::{NonZeroU8, NonZeroU16, NonZeroU32};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Args;

use super::orders::{Audience, Coding, Credentials, Job, Lost, Place};
use super::place;
use crate::cpus::Cpus;
use crate::spelling::{load_url, time};
use crate::trust::Trust;

/// Files of a process that are no sessions: its own, epoll, pipes.
const OTHER_FILES: u64 = 64;
/// Files of a server that are no sessions: its store, its log, the publisher.
const SERVER_FILES: u64 = 256;

/// Where, how many, and what becomes of the result.
#[derive(Clone, Debug, Args)]
pub struct Asked {
    #[command(flatten)]
    pub(super) place: Where,
    #[command(flatten)]
    pub(super) size: Size,
    #[command(flatten)]
    pub(super) cpus: Pinned,
    /// Measure this many times. Figures are medians, ratios are medians of each round's own ratio; every other round begins with the
    /// bare loop
    #[arg(long, value_name = "COUNT", default_value = "1", value_parser = rounds)]
    pub(super) rounds: NonZeroU8,
    /// Do not measure the bare epoll loop as well
    #[arg(long)]
    pub(super) no_reference: bool,
    /// Bare loops that share the sessions, one thread each [default: as few as the file limit lets]
    #[arg(long, value_name = "COUNT", conflicts_with_all = ["no_reference", "tls"], value_parser = bare_loops)]
    pub(super) bare_loops: Option<NonZeroU32>,
    /// Write the result as JSON, too
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
    /// Write the result as a page with plots, too: one file that needs nothing else
    #[arg(long, value_name = "FILE")]
    pub(super) html: Option<PathBuf>,
}

/// The server that is measured.
#[derive(Clone, Debug, Args)]
pub struct Where {
    /// An installation, ws://HOST:PORT or wss://HOST, with /PATH where a proxy has it under one; may be repeated: sessions are spread
    /// over all [default: a Doorbell of its own on the loopback]
    #[arg(long, value_name = "URL", value_parser = load_url)]
    pub(super) url: Vec<String>,
    /// With wss:// and https://: the file in PEM with the certificates of the authorities to trust [default: those of the system]
    #[arg(long, value_name = "FILE", requires = "url")]
    pub(super) ca: Option<PathBuf>,
    /// In TLS, with a certificate that the tool makes for its own Doorbell: TLS 1.3, each handshake a whole one. The bare loop speaks
    /// none, so there is nothing to compare with
    #[arg(long, conflicts_with = "url")]
    pub(super) tls: bool,
    /// The server's key file: tokens are made as `doorbell token` makes them
    #[arg(long, value_name = "FILE", conflicts_with = "token_command", requires = "url")]
    pub(super) key_file: Option<PathBuf>,
    /// A command that prints a token; {user} is the user's name
    #[arg(long, value_name = "COMMAND", requires = "url")]
    pub(super) token_command: Option<String>,
    /// A server's /metrics, for its CPU and memory; may be repeated
    #[arg(long, value_name = "URL", requires = "url")]
    pub(super) metrics_url: Vec<String>,
    /// A Doorbell of the tool's own with so many gateways, the other roles and a Redis each processes of their own; CPU and memory
    /// are those of the gateways [default: one process with all roles]
    #[arg(long, value_name = "COUNT", conflicts_with = "url", value_parser = gateways)]
    pub(super) gateways: Option<NonZeroU16>,
    /// A setting of the tool's own Doorbell, as its environment variable: DOORBELL_GATEWAY__HEARTBEAT=5s; may be repeated
    #[arg(long, value_name = "NAME=VALUE", conflicts_with = "url", value_parser = setting)]
    pub(super) set: Vec<(String, String)>,
}

/// Which CPUs both sides have.
#[derive(Clone, Debug, Args)]
pub struct Pinned {
    /// CPUs of the tool's own Doorbell and of bare loops, such as 0 or 1-3,6 [default: all]
    #[arg(long, value_name = "LIST")]
    pub(super) server_cpus: Option<Cpus>,
    /// CPUs of the tool and its processes with the sockets [default: all]
    #[arg(long, value_name = "LIST")]
    pub(super) tool_cpus: Option<Cpus>,
}

/// Who publishes.
#[derive(Clone, Debug, Args)]
pub struct BackEnd {
    /// With --url: the file with an API key that may ring users
    #[arg(long, value_name = "FILE", requires = "url")]
    pub(super) api_key_file: Option<PathBuf>,
}

/// How many sessions, and how they come.
#[derive(Clone, Debug, Args)]
pub struct Size {
    /// Sessions, each of a user of its own
    #[arg(long, value_name = "COUNT", default_value = "10000")]
    pub(super) sessions: NonZeroU32,
    /// Processes that hold them, one thread each [default: as few as the file limit lets]
    #[arg(long, value_name = "COUNT", value_parser = processes)]
    pub(super) processes: Option<NonZeroU32>,
    /// What they speak
    #[arg(long, value_name = "ENCODING", default_value = "json")]
    pub(super) encoding: Coding,
    /// Sessions on their way to `welcome` at once
    #[arg(long, value_name = "COUNT", default_value = "256")]
    pub(super) in_flight: NonZeroU32,
    /// Connections begun in a second, whatever comes back; times count from when each was due [default: as fast as --in-flight
    /// lets them]
    #[arg(long, value_name = "COUNT")]
    pub(super) connect_rate: Option<NonZeroU32>,
    /// How long connecting may take: of all sessions, and then of the back end as long again
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = time)]
    pub(super) deadline: Duration,
}

/// `doorbell bench connect`.
#[derive(Clone, Debug, Args)]
pub struct ConnectArgs {
    #[command(flatten)]
    pub(super) asked: Asked,
}

/// `doorbell bench idle`.
#[derive(Clone, Debug, Args)]
pub struct IdleArgs {
    #[command(flatten)]
    pub(super) asked: Asked,
    /// How long CPU at rest is measured: some heartbeats
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = time)]
    pub(super) duration: Duration,
    /// How long nothing is measured after the last session is there
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = time)]
    pub(super) settle: Duration,
}

/// `doorbell bench fanout`.
#[derive(Clone, Debug, Args)]
pub struct FanoutArgs {
    #[command(flatten)]
    pub(super) asked: Asked,
    /// How long publishes go on
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time)]
    pub(super) duration: Duration,
    /// Publishes a second, whatever comes back; lateness counts from when each was due [default: the next when all have heard of
    /// the last]
    #[arg(long, value_name = "COUNT", value_parser = per_second)]
    pub(super) rate: Option<NonZeroU32>,
    /// How late a follower may be; one that is later is told, with exit code 1
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(super) within: Option<Duration>,
    #[command(flatten)]
    pub(super) back_end: BackEnd,
}

/// `doorbell bench hot`.
#[derive(Clone, Debug, Args)]
pub struct HotArgs {
    #[command(flatten)]
    pub(super) asked: Asked,
    /// How long publishes go on, at each rate
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time)]
    pub(super) duration: Duration,
    /// Publishes a second, whatever comes back
    #[arg(long, value_name = "COUNT", default_value = "1000", value_parser = per_second)]
    pub(super) rate: NonZeroU32,
    /// Another rate, in the same run and for as long: what CPU is compared with
    #[arg(long, value_name = "COUNT", value_parser = per_second)]
    pub(super) against: Option<NonZeroU32>,
    /// How long a follower may not know the latest version; one that does not for longer is told, with exit code 1
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(super) within: Option<Duration>,
    #[command(flatten)]
    pub(super) back_end: BackEnd,
}

/// `doorbell bench unicast`.
#[derive(Clone, Debug, Args)]
pub struct UnicastArgs {
    #[command(flatten)]
    pub(super) asked: Asked,
    /// How long users are rung
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time)]
    pub(super) duration: Duration,
    /// Users rung in a second, whatever comes back; lateness counts from when each was due [default: each user once, and all
    /// once more when all have heard of it]
    #[arg(long, value_name = "COUNT", value_parser = per_second)]
    pub(super) rate: Option<NonZeroU32>,
    /// Connections of the back end, one call at a time each
    #[arg(long, value_name = "COUNT", default_value = "4", value_parser = connections)]
    pub(super) connections: NonZeroU32,
    /// Users of one call at most; at a rate, a connection that is free takes all that is due up to so many
    #[arg(long, value_name = "COUNT", default_value = "100", value_parser = batch)]
    pub(super) batch: NonZeroU32,
    /// What the order of users is drawn from
    #[arg(long, value_name = "NUMBER", default_value = "1")]
    pub(super) seed: u64,
    /// How late a user may be; one that is later is told, with exit code 1
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(super) within: Option<Duration>,
    #[command(flatten)]
    pub(super) back_end: BackEnd,
}

/// `doorbell bench storm`.
#[derive(Clone, Debug, Args)]
pub struct StormArgs {
    #[command(flatten)]
    pub(super) asked: Asked,
    /// Kill the tool's own server (with --gateways: all gateways) and start it again [default: the tool cuts all sockets itself]
    #[arg(long, conflicts_with = "url")]
    pub(super) kill: bool,
    /// How long nothing happens before: the door's burst fills meanwhile
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = time)]
    pub(super) settle: Duration,
    /// What clients' waits are drawn from
    #[arg(long, value_name = "NUMBER", default_value = "1")]
    pub(super) seed: u64,
    /// When all must be back and current; a session that takes longer is told, with exit code 1
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(super) within: Option<Duration>,
    #[command(flatten)]
    pub(super) back_end: BackEnd,
}

/// `doorbell bench mixed`.
#[derive(Clone, Debug, Args)]
pub struct MixedArgs {
    #[command(flatten)]
    pub(super) asked: Asked,
    /// How long all goes on at once, and once more with --slow
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = time)]
    pub(super) duration: Duration,
    /// How long users are rung before that, and nothing else goes on
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time)]
    pub(super) alone: Duration,
    /// Users rung in a second, whatever comes back
    #[arg(long, value_name = "COUNT", default_value = "1000", value_parser = per_second)]
    pub(super) ring_rate: NonZeroU32,
    /// The next publish to the topic so long after the last, and not before all have heard of that [default: without a pause]
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(super) publish_every: Option<Duration>,
    /// Sessions that leave and come back in a second, in turn: a tenth of all does, and is not rung
    #[arg(long, value_name = "COUNT", value_parser = per_second)]
    pub(super) churn_rate: Option<NonZeroU32>,
    /// Followers that read nothing for the second half; they are not rung
    #[arg(long, value_name = "COUNT")]
    pub(super) slow: Option<NonZeroU32>,
    /// Connections of the back end that rings users, one call at a time each
    #[arg(long, value_name = "COUNT", default_value = "4", value_parser = connections)]
    pub(super) connections: NonZeroU32,
    /// Users of one call at most
    #[arg(long, value_name = "COUNT", default_value = "100", value_parser = batch)]
    pub(super) batch: NonZeroU32,
    /// What the order of users and clients' waits are drawn from
    #[arg(long, value_name = "NUMBER", default_value = "1")]
    pub(super) seed: u64,
    #[command(flatten)]
    pub(super) back_end: BackEnd,
}

/// What all sessions have in common.
pub struct Load<'a> {
    /// Where to connect.
    pub places: &'a [Place],
    /// How tokens are made.
    pub credentials: &'a Credentials,
    /// What users' names begin with.
    pub users: String,
    /// What they are told of.
    pub topic: Option<String>,
    /// Who is rung.
    pub audience: Audience,
    /// What users are told of by their names, where that is another topic.
    pub ring_topic: Option<String>,
    /// From which session on hints do not count.
    pub steady: u64,
    /// From which session on buffers are small.
    pub slow: u64,
    /// The second number of the loopback addresses to connect from.
    pub sources: Option<u8>,
    /// Files that one process may have.
    pub files: u64,
    /// What becomes of a session that is lost.
    pub lost: Lost,
    /// What waits are drawn from.
    pub seed: u64,
}

impl Where {
    /// Whether sessions speak TLS.
    pub fn is_secure(&self) -> bool {
        self.tls || self.url.iter().any(|url| place::is_secure(url))
    }

    /// Whom to trust in an installation.
    ///
    /// # Errors
    /// A file is named and nothing speaks TLS.
    pub fn trust(&self) -> anyhow::Result<Trust> {
        let is_needed = self.is_secure() || self.metrics_url.iter().any(|url| url.starts_with("https://"));
        ensure!(
            self.ca.is_none() || is_needed,
            "--ca: neither --url is wss:// nor --metrics-url https://: leave it out"
        );
        Ok(self.ca.clone().map_or(Trust::System, Trust::File))
    }

    /// What people call it.
    pub fn name(&self) -> String {
        match self.gateways {
            Some(count) => format!("a Doorbell of its own with {count} gateways"),
            None if self.url.is_empty() => "a Doorbell of its own".to_owned(),
            None => self.url.join(", "),
        }
    }
}

impl Size {
    /// Whether a Doorbell of the tool's own with so many gateways can hold them.
    ///
    /// # Errors
    /// The file limit is too small for so few.
    pub fn check_own(&self, gateways: u16, files: u64) -> anyhow::Result<()> {
        let most = most(files) * u64::from(gateways);
        ensure!(
            u64::from(self.sessions.get()) <= most,
            "{} sessions are more than {gateways} gateway{} on this machine can hold: the file limit is {files} a process, so \
             {most} at most. Raise it (ulimit -Hn), take more gateways (--gateways), or name some that are there with --url",
            self.sessions,
            if gateways == 1 { "" } else { "s" }
        );
        Ok(())
    }

    /// How many bare loops hold them, each of them a process: as many as were asked for, or as the file limit asks for.
    ///
    /// # Errors
    /// The file limit is too small for so few, or for one session, or they need too many.
    pub fn bare_loops(&self, asked: Option<NonZeroU32>, files: u64) -> anyhow::Result<NonZeroU32> {
        let (sessions, most) = (self.sessions, most(files));
        ensure!(
            most > 0,
            "the file limit is {files} a process, of which a bare loop needs {SERVER_FILES} for itself: raise it (ulimit -Hn), or \
             leave the loop out (--no-reference)"
        );
        let needed = u64::from(sessions.get()).div_ceil(most);
        let loops = asked.map_or(needed, |asked| u64::from(asked.min(sessions).get()));
        ensure!(
            loops >= needed,
            "--bare-loops {loops} cannot hold {sessions} sessions: the file limit is {files} a process, so {needed} are needed. Leave \
             --bare-loops out, or raise the limit (ulimit -Hn)"
        );
        ensure!(
            loops <= BARE_LOOPS_MAX.into(),
            "{sessions} sessions need {needed} bare loops, of {most} each by the file limit, and more than {BARE_LOOPS_MAX} are not \
             started: take fewer (--sessions), raise the limit (ulimit -Hn), or leave them out (--no-reference)"
        );
        let loops = u32::try_from(loops).ok().and_then(NonZeroU32::new);
        loops.context("there is a session")
    }

    /// What each process holds.
    ///
    /// # Errors
    /// So few processes cannot hold so many.
    pub fn jobs(&self, load: &Load<'_>) -> anyhow::Result<Vec<Job>> {
        let (sessions, most) =
            (u64::from(self.sessions.get()), load.files.saturating_sub(OTHER_FILES).max(1));
        let needed = sessions.div_ceil(most);
        let processes = self.processes.map_or(needed, |asked| u64::from(asked.get()).min(sessions));
        ensure!(
            processes >= needed,
            "--processes {processes} cannot hold {sessions} sessions: the file limit is {} a process, so {needed} are needed. \
             Leave --processes out, or raise the limit (ulimit -Hn)",
            load.files
        );
        ensure!(
            processes <= PROCESSES_MAX.into(),
            "{sessions} sessions need {needed} processes to hold them, of {most} each by the file limit, and more than {PROCESSES_MAX} \
             are not started: take fewer (--sessions), or raise the limit (ulimit -Hn)"
        );
        let share = |total: u64, nth: u64| total * (nth + 1) / processes - total * nth / processes;
        let jobs = (0..processes).map(|nth| Job {
            places: load.places.to_vec(),
            coding: self.encoding,
            first: sessions * nth / processes,
            sessions: u32::try_from(share(sessions, nth)).unwrap_or(u32::MAX),
            users: load.users.clone(),
            credentials: load.credentials.clone(),
            topic: load.topic.clone(),
            audience: load.audience,
            ring_topic: load.ring_topic.clone(),
            steady: load.steady,
            slow: load.slow,
            in_flight: u32::try_from(share(self.in_flight.get().into(), nth)).unwrap_or(u32::MAX).max(1),
            #[expect(clippy::cast_precision_loss, reason = "a number of processes")]
            per_second: self.connect_rate.map(|rate| f64::from(rate.get()) / processes as f64),
            sources: load.sources,
            lost: load.lost,
            seed: load.seed,
        });
        Ok(jobs.collect())
    }
}

/// How many sessions a server can hold that may have so many files.
const fn most(files: u64) -> u64 {
    files.saturating_sub(SERVER_FILES)
}

/// A million sessions need some fifty.
const PROCESSES_MAX: u32 = 256;
/// Each is a process: a million sessions need some fifty.
const GATEWAYS_MAX: u16 = 200;

/// As many as gateways.
const BARE_LOOPS_MAX: u32 = 200;

fn gateways(text: &str) -> Result<NonZeroU16, String> {
    let count = text.parse::<NonZeroU16>().ok().filter(|count| count.get() <= GATEWAYS_MAX);
    count.ok_or_else(|| format!("must be 1 to {GATEWAYS_MAX}"))
}

/// More do not make a median better.
const ROUNDS_MAX: u8 = 99;
/// Each has a moment of its own, and moments are microseconds.
const PER_SECOND_MAX: u32 = 1_000_000;
/// As many calls as a server has under way, over all keys.
const CONNECTIONS_MAX: u32 = 32;
/// As many users as a server takes with one hint.
const BATCH_MAX: u32 = 10_000;

fn at_most(text: &str, most: u32) -> Result<NonZeroU32, String> {
    let number = text.parse::<NonZeroU32>().ok().filter(|number| number.get() <= most);
    number.ok_or_else(|| format!("must be 1 to {most}"))
}

fn per_second(text: &str) -> Result<NonZeroU32, String> {
    at_most(text, PER_SECOND_MAX)
}

fn bare_loops(text: &str) -> Result<NonZeroU32, String> {
    at_most(text, BARE_LOOPS_MAX)
}

fn processes(text: &str) -> Result<NonZeroU32, String> {
    at_most(text, PROCESSES_MAX)
}

fn connections(text: &str) -> Result<NonZeroU32, String> {
    at_most(text, CONNECTIONS_MAX)
}

fn batch(text: &str) -> Result<NonZeroU32, String> {
    at_most(text, BATCH_MAX)
}

fn rounds(text: &str) -> Result<NonZeroU8, String> {
    let rounds = text.parse::<NonZeroU8>().ok().filter(|rounds| rounds.get() <= ROUNDS_MAX);
    rounds.ok_or_else(|| format!("must be 1 to {ROUNDS_MAX}"))
}

fn setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if name.starts_with("DOORBELL_") => Ok((name.to_owned(), value.to_owned())),
        _ => Err("must be DOORBELL_…=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests;
