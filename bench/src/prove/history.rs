//! What happened in a run: events with the tool's own monotonic time, one JSON array a line.
//!
//! Users, conversations, clients, sessions and keys are numbers; the first line, [`Run`], says what they stand for. A history
//! needs nothing else to be judged, so that a rule of the judge can be mended without another run.

mod file;
mod harmed;
mod recorder;

use serde::{Deserialize, Serialize};

pub use file::read;
pub use harmed::{Deed, Harmed, Part};
pub use recorder::{Recorder, recorder};

/// Microseconds since the run began.
pub type Micros = u64;

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event(pub Micros, pub What);

/// How a run was set up.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Everything that is drawn comes from it.
    pub seed: u64,
    /// The version of the tool.
    pub build: String,
    /// As it was started, without secrets.
    pub command: String,
    /// When, in milliseconds since the epoch.
    pub started_ms: u64,
    /// Where clients connect.
    pub targets: Vec<String>,
    /// Names by number.
    pub users: Vec<String>,
    /// By number.
    pub conversations: Vec<Conversation>,
    /// The bounds that the rules use.
    pub bounds: Bounds,
    /// Whether the tool made faults.
    pub nemesis: bool,
    /// Where metrics are read: whoever is missing from them at the end is missed.
    #[serde(default)]
    pub metrics: Vec<String>,
}

/// One conversation of the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Conversation {
    /// Its id at the server.
    pub id: String,
    /// Who is in it at the beginning, by number.
    pub members: Vec<u32>,
}

/// Times that the rules allow.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bounds {
    /// T: how long after the last fault everything must be well.
    pub settle: Micros,
    /// The same after a fault of Redis, or of a way to it. Histories of before do not have it: T is the same for all faults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settle_redis: Option<Micros>,
    /// How late a hint may come after its user was removed.
    pub revoke: Micros,
    /// Fewer acknowledged sends prove nothing.
    pub acked_min: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { settle: 15_000_000, settle_redis: None, revoke: 5_000_000, acked_min: 1_000 }
    }
}

/// The parts of a run, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Everybody connects.
    WarmUp,
    /// Sends, and faults where there is a nemesis.
    Load,
    /// Faults are over; what is unsure is asked until it is known.
    Heal,
    /// Nothing is done for T.
    Settle,
    /// What each reader knows is written down; then fresh connections pull everything.
    Final,
    /// All clients have left.
    Left,
}

/// What a client is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Pulls after a hint, and at its start: proves the hints.
    Hinted,
    /// Pulls by the clock, whatever it is told: a control.
    Polling,
    /// Asks for what is not its own, reads nothing, breaks frames.
    Hostile,
    /// Sends.
    Writer,
    /// Adds, removes and reads for others.
    Keeper,
    /// Pulls everything at the end, by a connection of its own.
    Auditor,
}

/// What a send makes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A message.
    #[default]
    Message,
    /// Other text for one.
    Edit,
    /// A message's content is taken away.
    Delete,
    /// None of ours: a new title, or what this tool does not know.
    Other,
}

/// One entry of a log as a pull showed it. Text and id are kept as fingerprints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its version.
    #[serde(rename = "v")]
    pub version: u64,
    /// Fingerprint of its id.
    pub id: u64,
    /// Who sent it; absent where it is no user of the run.
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    pub user: Option<u32>,
    /// The key that stands in its text; absent where none does.
    #[serde(rename = "k", default, skip_serializing_if = "Option::is_none")]
    pub key: Option<u64>,
    /// Fingerprint of its text.
    #[serde(rename = "t")]
    pub text: u64,
    /// What it is.
    #[serde(rename = "n", default, skip_serializing_if = "is_message")]
    pub kind: Kind,
    /// Which version it changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<u64>,
    /// Its content has been taken away.
    #[serde(rename = "x", default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_message(kind: &Kind) -> bool {
    *kind == Kind::Message
}

/// When the server's metrics were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Moment {
    /// Before the first client.
    Before,
    /// With all clients, before the load.
    Warm,
    /// After T.
    Settled,
    /// After the last client.
    Left,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// The first line.
    Run(Box<Run>),
    /// A part of the run begins.
    Phase(Phase),
    /// A send goes out, for the first time or again, to an address: its place in [`Run::targets`]. Histories of before do not say it.
    Send {
        key: u64,
        user: u32,
        conversation: u32,
        text: u64,
        kind: Kind,
        of: Option<u64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        target: Option<u32>,
    },
    /// It was acknowledged.
    Sent { key: u64, version: u64, id: u64 },
    /// It was refused for good.
    Refused { key: u64, code: String },
    /// Nobody knows: no answer, or one that says so.
    Unsure { key: u64 },
    /// A session has its `welcome`, from an address as [`What::Send`] has it.
    Open {
        session: u32,
        client: u32,
        user: u32,
        role: Role,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        target: Option<u32>,
    },
    /// A session is over.
    Close { session: u32, code: Option<u16> },
    /// A hint came. `wide`: it says that anything may have changed.
    Hint { session: u32, topics: Vec<(u32, u64)>, wide: bool },
    /// A session was told what it must not know.
    Foreign { session: u32, what: String },
    /// `topics.changes` goes out.
    Ask { session: u32 },
    /// It was answered: what it names.
    Asked { session: u32, topics: Vec<(u32, u64)> },
    /// A pull goes out.
    Pull { session: u32, pull: u32, conversation: u32, after: u64, to: Option<u64> },
    /// Its page came.
    Pulled { session: u32, pull: u32, entries: Vec<Entry>, more: bool },
    /// It was refused, or no answer came.
    PullRefused { session: u32, pull: u32, code: String },
    /// Somebody who is no member asked to follow or to pull, and was refused as if there were no such conversation.
    Denied { session: u32, conversation: u32 },
    /// Somebody is being added.
    Adding { user: u32, conversation: u32 },
    /// Somebody was added.
    Added { user: u32, conversation: u32 },
    /// Somebody is being removed.
    Removing { user: u32, conversation: u32 },
    /// Somebody was removed.
    Removed { user: u32, conversation: u32 },
    /// A read mark was set, and the mark that the server answered. `asked`: when it went out.
    Marked { user: u32, conversation: u32, version: u64, read: u64, asked: Micros },
    /// What a reader knows at the end, without a pull of its own for it.
    Knows { client: u32, user: u32, conversation: u32, version: u64 },
    /// The read mark and the count that the server tells a user at the end.
    Unread { user: u32, conversation: u32, read: u64, unread: i64 },
    /// A fault begins. `spares_sends`: whoever answers sends is not touched. Histories of before do not say what is `harmed`: T
    /// counts from the fault's end.
    FaultBegin {
        fault: u32,
        what: String,
        spares_sends: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        harmed: Option<Harmed>,
    },
    /// It is over. `effective`: it was seen to have happened.
    FaultEnd { fault: u32, effective: bool },
    /// Something that must work again at the end.
    Probe { what: String, ok: bool, said: String },
    /// Figures of one server.
    Gauges { target: String, moment: Moment, values: Vec<(String, f64)> },
    /// A server gave no figures.
    NoGauges { target: String, moment: Moment, why: String },
    /// A process of the tool's own installation ended by itself, did not start again, or did not end well when it was asked to.
    Fell { process: String, how: String },
}

/// A fingerprint, the same in every run.
#[must_use]
pub fn fingerprint(text: &str) -> u64 {
    // 53 bits, so that other programs read it from JSON as it is.
    xxhash_rust::xxh3::xxh3_64(text.as_bytes()) >> 11
}
