//! What was asked on the command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::history::{Bounds, Micros};
use super::keeper::Away;
use super::nemesis::local::Shape;
use super::nemesis::{Given, Pace};
use super::plan::Scale;
use crate::Host;
use crate::spelling::{time, url};

/// T after a process's death: the lease, the sweep, the client's backoff, the look, a margin.
const SETTLE: Duration = Duration::from_secs(15);
/// T after a change of Redis: beside these, everything is registered again, and `resync` is spread.
const SETTLE_WITH_REDIS: Duration = Duration::from_secs(20);

/// How much longer than a hint may come somebody stays out, so that one that must not come has the time to.
const SEEN: Duration = Duration::from_secs(3);

/// `doorbell bench prove`.
#[derive(Clone, Debug, Args)]
pub struct ProveArgs {
    /// Start a Doorbell of its own on the loopback, kill, stop and restart it
    #[arg(long, conflicts_with_all = ["url", "key_file", "token_command"])]
    pub local: bool,
    /// Start a whole installation of its own instead, Redis (`redis-server`) included, and do harm to all of it: so many
    /// gateways, notifiers, channel services, and message services, of which one has the store and the others stand by
    #[arg(
        long,
        value_name = "G,N,C,M",
        num_args = 0..=1,
        default_missing_value = "2,2,2,1",
        conflicts_with_all = ["local", "url", "key_file", "token_command"]
    )]
    pub cluster: Option<Shape>,
    /// An installation, ws://HOST:PORT or wss://HOST; may be repeated: each client takes any of them
    #[arg(long, value_name = "URL", required_unless_present_any = ["local", "cluster", "judge"], value_parser = url)]
    pub url: Vec<String>,
    /// The server's key file: tokens are made as `doorbell token` makes them
    #[arg(long, value_name = "FILE", conflicts_with = "token_command")]
    pub key_file: Option<PathBuf>,
    /// A command that prints a token; {user} is the user's name
    #[arg(long, value_name = "COMMAND")]
    pub token_command: Option<String>,
    /// A server's /metrics, for the rules that need it; may be repeated
    #[arg(long, value_name = "URL")]
    pub metrics_url: Vec<String>,
    /// Judge an old history again and start nothing
    #[arg(long, value_name = "FILE", conflicts_with_all = ["local", "cluster", "url"])]
    pub judge: Option<PathBuf>,
    /// Where the history and the report go [default: ./doorbell-prove-TIME]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// What users, conversations and faults are drawn from [default: the time]
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,
    #[command(flatten)]
    size: Size,
    #[command(flatten)]
    times: Times,
    #[command(flatten)]
    faults: Faults,
    /// What the tool does wrong on purpose.
    #[cfg(feature = "sabotage")]
    #[arg(long, env = "DOORBELL_SABOTAGE", hide = true)]
    sabotage: Option<String>,
}

/// How large the run is.
#[derive(Clone, Debug, Args)]
struct Size {
    /// Readers: 7 of 10 follow hints, 2 poll, 1 is hostile; writers and owners come on top
    #[arg(long, value_name = "COUNT", default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(10..))]
    sessions: u32,
    /// Conversations
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    conversations: u32,
    /// Readers in the first conversation; above 100 it is a large group
    #[arg(long, value_name = "COUNT", default_value_t = 1_000)]
    large_members: u32,
    /// Readers in each other conversation, on average
    #[arg(long, value_name = "COUNT", default_value_t = 12)]
    members: u32,
    /// Sends a second, over all writers
    #[arg(long, value_name = "COUNT", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    /// Fewer acknowledged sends show nothing: exit code 2
    #[arg(long, value_name = "COUNT", default_value_t = 1_000)]
    acked_min: u64,
}

/// How long things take.
#[derive(Clone, Debug, Args)]
struct Times {
    /// How long the load lasts
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = time)]
    duration: Duration,
    /// T: when everything must be well after a fault [default: 15s, and 20s after a fault of Redis or of a way to it]
    #[arg(long, value_name = "TIME", value_parser = time)]
    settle: Option<Duration>,
    /// How late a hint may come after its user was removed
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = time)]
    revoke: Duration,
}

/// What the nemesis does.
#[derive(Clone, Debug, Args)]
struct Faults {
    /// With --local or --cluster: make no faults
    #[arg(long, conflicts_with = "url")]
    no_faults: bool,
    /// From one fault to the next, on average
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = time)]
    fault_every: Duration,
    /// The longest fault
    #[arg(long, value_name = "TIME", default_value = "6s", value_parser = time)]
    fault_longest: Duration,
    /// Faults come for so long, and then for --fault-quiet none [default: all the time]
    #[arg(long, value_name = "TIME", value_parser = time, requires = "fault_quiet")]
    fault_burst: Option<Duration>,
    /// How long there is none between two bursts: above T, or no hint's time is ever over before the end
    #[arg(long, value_name = "TIME", value_parser = time, requires = "fault_burst")]
    fault_quiet: Option<Duration>,
    /// This fault instead of drawn ones; may be repeated. 30s,kill,gateway/10,2s: half a minute after the load began, ten
    /// gateways drawn from the seed are killed, and started 2 s later. Also stop, cut, and end (SIGTERM)
    #[arg(long, value_name = "WHEN,HARM,WHAT,TIME", conflicts_with_all = ["url", "no_faults"])]
    fault: Vec<Given>,
}

impl ProveArgs {
    /// How large the run is.
    pub(super) fn scale(&self) -> Scale {
        let Size { sessions, conversations, large_members, members, rate, .. } = self.size;
        Scale { sessions, conversations, large_members, members, rate, duration: self.times.duration }
    }

    /// The bounds of the rules.
    pub(super) fn bounds(&self) -> Bounds {
        Bounds {
            settle: micros(self.times.settle.unwrap_or(SETTLE)),
            settle_redis: self.cluster.map(|_| micros(self.settle())),
            revoke: micros(self.times.revoke),
            acked_min: self.size.acked_min,
        }
    }

    /// The longest T there may be.
    pub(super) fn settle(&self) -> Duration {
        self.times.settle.unwrap_or(if self.cluster.is_some() { SETTLE_WITH_REDIS } else { SETTLE })
    }

    /// How long who was removed stays out: until a hint that must not come would have been seen.
    pub(super) fn away(&self) -> Away {
        let calm = self.times.revoke + SEEN;
        Away { calm, near_fault: self.settle() + calm, settle: self.settle() }
    }

    /// How dense faults are; `None` where there are none.
    pub(super) fn pace(&self) -> Option<Pace> {
        let longest = self.faults.fault_longest;
        let shortest = Duration::from_millis(500).min(longest);
        ((self.local || self.cluster.is_some()) && !self.faults.no_faults).then_some(Pace {
            every: self.faults.fault_every,
            shortest,
            longest,
            bursts: self.faults.fault_burst.zip(self.faults.fault_quiet),
        })
    }

    /// The faults that somebody wrote down; where there are any, none are drawn.
    pub(super) fn given(&self) -> &[Given] {
        &self.faults.fault
    }

    /// The seed: the time where none was given.
    pub(super) fn seed(&self, host: &Host) -> u64 {
        self.seed.unwrap_or(host.now_ms)
    }

    /// Where the run's files go.
    pub(super) fn folder(&self, host: &Host) -> PathBuf {
        self.out.clone().unwrap_or_else(|| PathBuf::from(format!("doorbell-prove-{}", host.now_ms / 1_000)))
    }

    /// What the tool does wrong on purpose.
    #[cfg(feature = "sabotage")]
    pub(super) fn sabotage(&self) -> Option<&str> {
        self.sabotage.as_deref()
    }

    /// Nothing.
    #[cfg(not(feature = "sabotage"))]
    #[expect(clippy::unused_self, reason = "the same call with the feature and without")]
    pub(super) const fn sabotage(&self) -> Option<&str> {
        None
    }
}

fn micros(duration: Duration) -> Micros {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
