//! What the tool and the processes that hold its sockets say to each other: one JSON object a line.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::ValueEnum;
use doorbell_protocol::Encoding;
use serde::{Deserialize, Serialize};

use super::clock::Moment;
use super::laps::Laps;
use super::schedule::Schedule;
use super::spread::Counts;
use crate::trust::Trust;

/// The first line to a process: what it holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// Where to connect, one after the other.
    pub places: Vec<Place>,
    /// What sessions speak.
    pub coding: Coding,
    /// The number of its first session among all.
    pub first: u64,
    /// How many it holds.
    pub sessions: u32,
    /// What its users' names begin with.
    pub users: String,
    /// How their tokens are made.
    pub credentials: Credentials,
    /// What sessions are told of.
    pub topic: Option<String>,
    /// Who is rung.
    pub audience: Audience,
    /// What users are told of by their names, where that is another topic.
    pub ring_topic: Option<String>,
    /// From which number on, among all, sessions are none of those whose hints count.
    pub steady: u64,
    /// From which number on, among all, sessions have small buffers on both sides, because they will read nothing for a while.
    pub slow: u64,
    /// How many may be on their way to `welcome` at once.
    pub in_flight: u32,
    /// How many begin in a second; as fast as `in_flight` lets them where there is none.
    pub per_second: Option<f64>,
    /// The second number of the loopback addresses to connect from; the system's choice where there is none.
    pub sources: Option<u8>,
    /// What becomes of a session that is lost.
    pub lost: Lost,
    /// What waits are drawn from.
    pub seed: u64,
}

#[cfg(test)]
impl Job {
    /// One session that does nothing but to be there.
    pub fn of_one(places: Vec<Place>) -> Self {
        Self {
            places,
            coding: Coding::Json,
            first: 0,
            sessions: 1,
            users: String::new(),
            credentials: Credentials::Nobody,
            topic: None,
            audience: Audience::Nobody,
            ring_topic: None,
            steady: u64::MAX,
            slow: u64::MAX,
            in_flight: 1,
            per_second: None,
            sources: None,
            lost: Lost::Gone,
            seed: 1,
        }
    }
}

/// What becomes of a session that is lost, or that the server does not take yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lost {
    /// It is over.
    Gone,
    /// It comes back, as the protocol says that a client must.
    Back,
}

/// Who is rung.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Audience {
    /// Nobody.
    Nobody,
    /// Whoever follows the topic: all sessions do.
    Followers,
    /// Users by their names: nobody follows anything.
    Users,
    /// Both: whoever follows the topic, and users by their names of another one.
    Both,
}

/// An address with the name by which people call it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Where to connect.
    pub address: SocketAddr,
    /// For the header `Host`.
    pub host: String,
    /// What comes before `/v1/`: the path under which a proxy has it, or nothing.
    pub prefix: String,
    /// Whom to trust there, where it speaks TLS; nobody where it does not.
    pub trust: Option<Trust>,
}

impl Place {
    /// At which of so many places the session with that number among all is: they are spread evenly.
    #[expect(clippy::cast_possible_truncation, reason = "it is below the number of places")]
    pub const fn nth(session: u64, places: usize) -> usize {
        (session % places as u64) as usize
    }
}

/// The encoding, as the command line names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Coding {
    /// Text frames.
    Json,
    /// Binary frames.
    Msgpack,
}

/// How users' tokens are made.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Credentials {
    /// With a key file.
    Key(PathBuf),
    /// By a command.
    Command(String),
    /// Not at all: the bare loop looks at none.
    Nobody,
}

/// What a process is told later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// Open all sessions.
    Open,
    /// From now on count how late hints are.
    Measure(Plan),
    /// All users are rung once, with versions from this one on: say when all have heard of theirs.
    Lap(Moment),
    /// All sessions are lost, and come back.
    Lose(Loss),
    /// Who was killed is there again: a connection that nobody takes is a failure from now on.
    Served,
    /// Sessions leave and come back, one after the other.
    Churn(Churn),
    /// Sessions from that number on, among all, read nothing any more.
    Mute(u64),
    /// They read again.
    Unmute,
    /// Say what was seen. The last version that was published: who has not heard of it is late with it; 0 where there was none.
    Report(Moment),
    /// Close all and end.
    Leave,
}

/// The loss of all sessions at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// When.
    pub at: Moment,
    /// How.
    pub how: Losing,
    /// The version of the topic that is published while they are lost: who knows it is current.
    pub version: Moment,
}

/// How sessions are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Losing {
    /// Who holds the sockets cuts them with a reset.
    Cut,
    /// The server dies: whom it ends has been lost, and nobody takes connections until it is told that there is a server again.
    Killed,
}

/// Sessions that leave and come back, in turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Churn {
    /// The first of them, by its number among all.
    pub first: u64,
    /// How many there are, at least one.
    pub sessions: u64,
    /// When one leaves.
    pub schedule: Schedule,
}

/// What of hints counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Plan {
    /// Each hint, from the moment that is its version.
    Hints,
    /// Each publish of a schedule, from when it was due: one that was merged counts as well.
    Publishes(Schedule),
    /// Of all publishes that a hint tells of, the oldest: so long did the follower not know the latest version.
    Oldest(Schedule),
    /// Each ring of a schedule over laps, from when it was due, for the user that it was for.
    Laps(Schedule, Laps),
}

impl Plan {
    /// Its schedule, where it has one.
    pub const fn schedule(&self) -> Option<Schedule> {
        match self {
            Self::Hints => None,
            Self::Publishes(schedule) | Self::Oldest(schedule) | Self::Laps(schedule, _) => Some(*schedule),
        }
    }
}

/// What a process says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Report {
    /// It has its users' tokens.
    Ready,
    /// How far it is, some times a second.
    Progress(Tally),
    /// What a second had, once it is over.
    Second(Box<Second>),
    /// Each session is there or has failed.
    Opened(Tally),
    /// All its followers have heard of this version.
    Head(Moment),
    /// What it has seen since it began, and of hints since it began to measure.
    Seen(Box<Seen>),
    /// It cannot go on.
    Broken(String),
}

/// Counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Sessions open now.
    pub open: u64,
    /// That ever got their `welcome`.
    pub welcomed: u64,
    /// That were told that they follow the topic.
    pub followed: u64,
    /// That did not become what they should.
    pub failed: u64,
    /// That ended after they were open.
    pub ended: u64,
    /// Hint frames of the topic since measuring began.
    pub hints: u64,
    /// Publishes that followers learned of since then: a merged hint tells of several.
    pub learned: u64,
    /// Pings answered.
    pub pings: u64,
    /// Those that were lost and come back.
    pub returns: Returns,
}

/// Sessions that were lost, all at once or in turn, and how they come back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Returns {
    /// That were lost.
    pub lost: u64,
    /// That had their `welcome` again.
    pub back: u64,
    /// That followed again and knew the last version.
    pub current: u64,
    /// Connections begun for it.
    pub tries: u64,
    /// The most for one session.
    pub tries_most: u64,
    /// Connections answered with 503.
    pub turned_away: u64,
    /// Connections that were ended before they were answered.
    pub unanswered: u64,
    /// Connections that failed while there was no server.
    pub unserved: u64,
    /// What else failed.
    pub failures: u64,
    /// Those of whom the server said that they must not come back.
    pub refused: u64,
}

/// What a process saw in one second of the clock that all share. What it saw late, because it was busy, is in the next one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Second {
    /// Which: whole seconds of the clock.
    pub number: u64,
    /// Sessions open at its end.
    pub open: u64,
    /// That got their `welcome` in it.
    pub welcomed: u64,
    /// Hint frames in it that count.
    pub hints: u64,
    /// From the beginning of a connection to its `welcome`, of those, to two digits.
    pub welcome: Counts,
    /// How late followers were that heard in it, to two digits.
    pub late: Counts,
    /// Rings beside those hints that users learned of in it.
    pub rings: u64,
    /// How late those were, to two digits.
    pub late_ring: Counts,
}

/// What a process has seen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// Counts.
    pub tally: Tally,
    /// When the first connection began; 0 where none did.
    pub began: Moment,
    /// When the last `welcome` came.
    pub last_welcome: Moment,
    /// From the beginning of a connection to the end of its TLS handshake; nothing without TLS.
    pub secured: Counts,
    /// From the beginning of a connection to the answer to its upgrade.
    pub upgrade: Counts,
    /// From the beginning of a connection to its `welcome`.
    pub welcome: Counts,
    /// How late followers were; what some did not hear of, with its age.
    pub late: Counts,
    /// When the last hint came since measuring began; 0 where none did.
    pub last_hint: Moment,
    /// Rings of users by their names, where they are told of another topic.
    pub rings: RingsHeard,
    /// Sessions that are open and have not heard of the last version.
    pub behind: u64,
    /// From the loss to the next `welcome`; of whom has none, up to now.
    pub back: Counts,
    /// From the loss to when it is current; of who is not, up to now.
    pub current: Counts,
    /// Why sessions failed or ended, with how many.
    pub failures: BTreeMap<String, u64>,
    /// The heartbeat that `welcome` told, in milliseconds.
    pub heartbeat_ms: u32,
}

/// What users heard of who are rung by their names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RingsHeard {
    /// Hint frames since measuring began.
    pub hints: u64,
    /// Rings that they told of.
    pub learned: u64,
    /// How late those were; what some did not hear of, with its age.
    pub late: Counts,
    /// When the last came; 0 where none did.
    pub last_hint: Moment,
}

impl From<Coding> for Encoding {
    fn from(coding: Coding) -> Self {
        match coding {
            Coding::Json => Self::Json,
            Coding::Msgpack => Self::MsgPack,
        }
    }
}

impl Tally {
    /// The counts of both.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            open: self.open + other.open,
            welcomed: self.welcomed + other.welcomed,
            followed: self.followed + other.followed,
            failed: self.failed + other.failed,
            ended: self.ended + other.ended,
            hints: self.hints + other.hints,
            learned: self.learned + other.learned,
            pings: self.pings + other.pings,
            returns: self.returns.plus(other.returns),
        }
    }
}

impl Returns {
    const fn plus(self, other: Self) -> Self {
        Self {
            lost: self.lost + other.lost,
            back: self.back + other.back,
            current: self.current + other.current,
            tries: self.tries + other.tries,
            tries_most: if self.tries_most > other.tries_most { self.tries_most } else { other.tries_most },
            turned_away: self.turned_away + other.turned_away,
            unanswered: self.unanswered + other.unanswered,
            unserved: self.unserved + other.unserved,
            failures: self.failures + other.failures,
            refused: self.refused + other.refused,
        }
    }
}
