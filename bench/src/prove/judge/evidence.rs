//! The events of a history, gathered once in the order in which rules ask for them.

mod gather;

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::prove::history::{Entry, Harmed, Kind, Micros, Moment, Phase, Role, Run};

/// All that is known of one key.
#[derive(Debug)]
pub struct Sending {
    pub user: u32,
    pub conversation: u32,
    pub text: u64,
    pub kind: Kind,
    pub of: Option<u64>,
    /// The first time.
    pub invoked: Micros,
    pub times: u64,
    /// When, version, id: in order.
    pub acked: Vec<(Micros, u64, u64)>,
    pub refused: Option<(Micros, String)>,
    /// Answers that said nothing.
    pub unsure: u64,
    /// The place of the address that it first went to, where the history says it.
    pub target: Option<u32>,
}

/// One pull that was answered with a page.
#[derive(Debug)]
pub struct Pulling<'a> {
    pub session: u32,
    pub conversation: u32,
    pub invoked: Micros,
    pub answered: Micros,
    pub after: u64,
    pub to: Option<u64>,
    pub entries: &'a [Entry],
    pub more: bool,
}

/// One session, from its welcome to its end.
#[derive(Debug)]
pub struct Session {
    pub client: u32,
    pub user: u32,
    pub role: Role,
    /// The place of its address, where the history says it.
    pub target: Option<u32>,
    pub opened: Micros,
    pub closed: Option<Micros>,
    /// Of each conversation: when, and the version.
    pub hints: HashMap<u32, Vec<(Micros, u64)>>,
    /// When it was told that anything may have changed.
    pub wide: Vec<Micros>,
    /// Conversations of which it asked a page.
    pub pulled: HashSet<u32>,
    /// Of each conversation: when an answer showed that it is known up to which version. Of pulls, and of `topics.changes`.
    pub answers: HashMap<u32, Vec<(Micros, u64)>>,
}

/// One stay of a user in a conversation.
#[derive(Clone, Copy, Debug)]
pub struct Stay {
    /// From here on it may be.
    pub adding: Micros,
    /// From here on it is; `None` while the answer is not there.
    pub added: Option<Micros>,
    pub removing: Option<Micros>,
    /// From here on it is not.
    pub removed: Option<Micros>,
}

/// A read mark that was set.
#[derive(Clone, Copy, Debug)]
pub struct Marking {
    pub asked: Micros,
    pub answered: Micros,
    pub user: u32,
    pub conversation: u32,
    /// What was asked for, and what the server answered.
    pub version: u64,
    pub read: u64,
}

/// A fault with its time.
#[derive(Clone, Debug)]
pub struct Window {
    pub begin: Micros,
    /// The end of the history where it has none.
    pub end: Micros,
    pub what: String,
    pub spares_sends: bool,
    pub effective: bool,
    /// What was harmed; histories of before do not say.
    pub harmed: Option<Harmed>,
    /// Whether clients had another address all the while, to which nothing was done.
    pub elsewhere: bool,
    /// By when every hint of before has come: T after its end. Where a gateway is killed and clients have another one, T after its
    /// beginning; where it is asked to end, a fault gives no more time at all.
    pub well: Micros,
    /// From when on nothing is like in a fault any more: T after its end.
    pub calm: Micros,
}

/// Figures of a server at a moment: its address, and values by name.
pub type Gauges<'a> = (Moment, &'a str, HashMap<&'a str, f64>);

/// Everything, ready to be asked.
#[derive(Debug, Default)]
pub struct Evidence<'a> {
    pub run: Run,
    pub end: Micros,
    pub phases: BTreeMap<Phase, Micros>,
    pub sends: BTreeMap<u64, Sending>,
    pub pulls: Vec<Pulling<'a>>,
    pub refused_pulls: Vec<(Micros, u32, u32, &'a str)>,
    pub sessions: BTreeMap<u32, Session>,
    pub stays: HashMap<(u32, u32), Vec<Stay>>,
    pub foreign: Vec<(Micros, u32, &'a str)>,
    pub denied: u64,
    pub marks: Vec<Marking>,
    /// When, client, user, conversation, version.
    pub known: Vec<(Micros, u32, u32, u32, u64)>,
    /// When, user, conversation, read, unread.
    pub unread: Vec<(Micros, u32, u32, u64, i64)>,
    pub faults: Vec<Window>,
    pub probes: Vec<(Micros, &'a str, bool, &'a str)>,
    pub gauges: Vec<Gauges<'a>>,
    /// When, moment, address, why: servers that gave no figures.
    pub silent: Vec<(Micros, Moment, &'a str, &'a str)>,
    /// The final log of each conversation, as the last complete audit shows it.
    pub logs: HashMap<u32, BTreeMap<u64, Entry>>,
    /// User and conversation of each auditor who began to pull a log and never came to its end.
    pub unread_logs: Vec<(u32, u32)>,
    /// When, which process, how: those that ended by themselves or did not end well.
    pub fallen: Vec<(Micros, &'a str, &'a str)>,
    pub reconnects: u64,
}

impl Evidence<'_> {
    /// Whether the run came to its end: all was pulled, tried and read.
    pub fn whole(&self) -> bool {
        self.phases.contains_key(&Phase::Left)
    }

    /// When the wait of T began, or the end of the history.
    pub fn at(&self, phase: Phase) -> Micros {
        self.phases.get(&phase).copied().unwrap_or(self.end)
    }

    /// Until when a thing that began at `from` may take: T from then, or until all is well after each fault that began before it
    /// was over.
    pub fn due(&self, from: Micros) -> Micros {
        let mut due = from.saturating_add(self.run.bounds.settle);
        // By their beginnings: one that begins later cannot bring an earlier one back in.
        for fault in &self.faults {
            if fault.begin <= due {
                due = due.max(fault.well);
            }
        }
        due
    }

    /// Whether a fault was on at that moment, or had ended less than T before.
    pub fn troubled(&self, at: Micros) -> bool {
        self.troubled_between(at, at)
    }

    /// The same of some moment between two.
    pub fn troubled_between(&self, from: Micros, to: Micros) -> bool {
        self.faults.iter().any(|fault| fault.begin <= to && from <= fault.calm)
    }

    /// Whether a user certainly was a member from one moment to another.
    pub fn stayed(&self, user: u32, conversation: u32, from: Micros, to: Micros) -> bool {
        self.stays_of(user, conversation).iter().any(|stay| {
            stay.added.is_some_and(|added| added <= from)
                && stay.removing.is_none_or(|removing| removing > to)
        })
    }

    /// Whether a user may have been a member at some moment between the two.
    pub fn may_have_been(&self, user: u32, conversation: u32, from: Micros, to: Micros) -> bool {
        self.stays_of(user, conversation)
            .iter()
            .any(|stay| stay.adding <= to && stay.removed.is_none_or(|removed| removed >= from))
    }

    /// The conversations of each user who certainly was a member at a moment.
    pub fn members_at(&self, at: Micros) -> HashMap<u32, Vec<u32>> {
        let mut members: HashMap<u32, Vec<u32>> = HashMap::new();
        for (user, conversation) in self.stays.keys() {
            if self.stayed(*user, *conversation, at, at) {
                members.entry(*user).or_default().push(*conversation);
            }
        }
        members.values_mut().for_each(|conversations| conversations.sort_unstable());
        members
    }

    /// The stays of a user in a conversation, in order.
    pub fn stays_of(&self, user: u32, conversation: u32) -> &[Stay] {
        self.stays.get(&(user, conversation)).map_or(&[], Vec::as_slice)
    }

    /// The greatest version of a conversation's final log.
    pub fn head(&self, conversation: u32) -> Option<u64> {
        self.logs.get(&conversation)?.keys().next_back().copied()
    }

    /// A user for people.
    pub fn user(&self, user: u32) -> &str {
        self.run.users.get(user as usize).map_or("an unknown user", String::as_str)
    }

    /// A conversation for people.
    pub fn conversation(&self, conversation: u32) -> String {
        let id = self.run.conversations.get(conversation as usize).map_or("?", |known| &known.id);
        format!("conversation {conversation} ({id})")
    }
}
