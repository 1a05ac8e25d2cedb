//! A tiny Doorbell that keeps every promise, and the history of a run against it.

use std::collections::{BTreeMap, BTreeSet};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::prove::history::{
    Bounds, Conversation, Deed, Entry, Event, Harmed, Kind, Micros, Moment, Part, Phase, Role, Run, What,
    fingerprint,
};
use crate::prove::metrics::{BEGUN, DEAD_LETTERS, FILES, HELD, OLDEST, QUEUE, RESIDENT};

/// T in these runs.
pub const SETTLE: Micros = 1_000_000;
/// How late a hint may come here.
const LATE_MAX: Micros = 400_000;
const USERS: u32 = 8;
const CONVERSATIONS: u32 = 3;
/// The users who write; each other one has a session.
pub const WRITERS: u32 = 2;

struct Session {
    number: u32,
    client: u32,
    user: u32,
    role: Role,
    known: BTreeMap<u32, u64>,
    /// Conversations to be hinted, and since when.
    waiting: BTreeMap<u32, Micros>,
    pulls: u32,
}

/// The whole of it.
pub struct Simulator {
    rng: StdRng,
    now: Micros,
    events: Vec<Event>,
    logs: Vec<Vec<Entry>>,
    members: BTreeSet<(u32, u32)>,
    sessions: Vec<Session>,
    next_session: u32,
    next_key: u64,
    marks: BTreeMap<(u32, u32), u64>,
    /// Whether a process is killed now and then.
    faults: bool,
    /// When all that was killed runs again.
    healed: Micros,
}

/// A history of a run without a fault of the server's.
pub fn history(seed: u64, steps: u32, faults: bool) -> Vec<Event> {
    let mut all = Simulator {
        rng: StdRng::seed_from_u64(seed),
        now: 0,
        events: Vec::new(),
        logs: vec![Vec::new(); CONVERSATIONS as usize],
        members: BTreeSet::new(),
        sessions: Vec::new(),
        next_session: 1,
        next_key: 1,
        marks: BTreeMap::new(),
        faults,
        healed: 0,
    };
    all.begin();
    for step in 0..steps {
        all.step(step);
    }
    all.end();
    all.events.sort_by_key(|event| event.0);
    all.events
}

impl Simulator {
    fn say(&mut self, what: What) {
        self.now += 50;
        self.events.push(Event(self.now, what));
    }

    fn begin(&mut self) {
        let mut conversations = Vec::new();
        for conversation in 0..CONVERSATIONS {
            // The last user is in none: it is there to be told nothing.
            let members: Vec<u32> =
                (0..USERS - 1).filter(|user| *user < WRITERS || self.rng.random_ratio(2, 3)).collect();
            self.members.extend(members.iter().map(|user| (*user, conversation)));
            conversations.push(Conversation { id: format!("c{conversation}"), members });
        }
        let bounds = Bounds { settle: SETTLE, settle_redis: None, revoke: 300_000, acked_min: 1 };
        let targets = vec!["a".to_owned(), "b".to_owned()];
        let users = (0..USERS).map(|user| format!("u{user}")).collect();
        let run = Run { users, conversations, bounds, nemesis: self.faults, targets, ..Run::default() };
        self.events.push(Event(0, What::Run(Box::new(run))));
        self.gauges(Moment::Before);
        self.say(What::Phase(Phase::WarmUp));
        for (client, user) in (WRITERS..USERS).enumerate() {
            let role = if user == WRITERS { Role::Polling } else { Role::Hinted };
            self.open(u32::try_from(client).unwrap(), user, role, BTreeMap::new());
        }
        self.gauges(Moment::Warm);
        self.say(What::Phase(Phase::Load));
    }

    fn open(&mut self, client: u32, user: u32, role: Role, known: BTreeMap<u32, u64>) {
        let number = self.next_session;
        self.next_session += 1;
        self.say(What::Open { session: number, client, user, role, target: None });
        self.say(What::Ask { session: number });
        self.sessions.push(Session { number, client, user, role, known, waiting: BTreeMap::new(), pulls: 0 });
        let index = self.sessions.len() - 1;
        for conversation in 0..CONVERSATIONS {
            if self.members.contains(&(user, conversation)) {
                self.pull(index, conversation);
            }
        }
    }

    fn step(&mut self, step: u32) {
        self.now += self.rng.random_range(1_000..20_000);
        match self.rng.random_range(0..20) {
            0..=9 => self.send(),
            10 | 11 => self.poll(),
            12 => self.reconnect(),
            13 => self.leave_and_join(),
            14 => self.mark(),
            15 if self.faults && step.is_multiple_of(3) => self.fault(),
            16 if self.faults && step.is_multiple_of(3) => self.gateway_dies(),
            _ => {}
        }
        self.hint(false);
    }

    fn send(&mut self) {
        let conversation = self.rng.random_range(0..CONVERSATIONS);
        let user = self.rng.random_range(0..WRITERS);
        let key = self.next_key;
        self.next_key += 1;
        let log = &self.logs[conversation as usize];
        let own: Vec<u64> = log
            .iter()
            .filter(|entry| entry.user == Some(user) && entry.kind == Kind::Message && !entry.deleted)
            .map(|entry| entry.version)
            .collect();
        let draw = self.rng.random_range(0..10);
        let of = (draw < 2 && !own.is_empty()).then(|| own[self.rng.random_range(0..own.len())]);
        let kind = match (of, draw) {
            (Some(_), 0) => Kind::Delete,
            (Some(_), _) => Kind::Edit,
            _ => Kind::Message,
        };
        let text = if kind == Kind::Delete { fingerprint("") } else { fingerprint(&format!("text {key}")) };
        let what = What::Send { key, user, conversation, text, kind, of, target: None };
        self.say(what.clone());
        // Once in a while nobody knows: it is sent again, and there once.
        if self.rng.random_ratio(1, 10) {
            self.say(What::Unsure { key });
            self.now += self.rng.random_range(100..5_000);
            self.say(what);
        }
        let (version, id) = self.append(
            conversation,
            Entry {
                user: Some(user),
                key: (kind != Kind::Delete).then_some(key),
                text,
                kind,
                of,
                ..Entry::default()
            },
        );
        self.say(What::Sent { key, version, id });
        if self.rng.random_ratio(1, 10) {
            self.say(What::Sent { key, version, id });
        }
        let now = self.now;
        for session in &mut self.sessions {
            if self.members.contains(&(session.user, conversation)) {
                session.waiting.entry(conversation).or_insert(now);
            }
        }
    }

    fn append(&mut self, conversation: u32, mut entry: Entry) -> (u64, u64) {
        let log = &mut self.logs[conversation as usize];
        entry.version = log.len() as u64 + 1;
        entry.id = fingerprint(&format!("id {conversation} {}", entry.version));
        if entry.kind == Kind::Delete {
            let of = entry.of;
            for gone in log
                .iter_mut()
                .filter(|other| Some(other.version) == of || (other.kind == Kind::Edit && other.of == of))
            {
                (gone.deleted, gone.key, gone.text) = (true, None, fingerprint(""));
            }
        }
        log.push(entry);
        (entry.version, entry.id)
    }

    /// Hints who waits: some at once, all in time.
    fn hint(&mut self, all: bool) {
        for index in 0..self.sessions.len() {
            let waiting: Vec<(u32, Micros)> = self.sessions[index]
                .waiting
                .iter()
                .map(|(conversation, since)| (*conversation, *since))
                .collect();
            for (conversation, since) in waiting {
                if !all && self.now - since < LATE_MAX && self.rng.random_ratio(1, 2) {
                    continue;
                }
                self.sessions[index].waiting.remove(&conversation);
                let (session, version) =
                    (self.sessions[index].number, self.logs[conversation as usize].len() as u64);
                self.say(What::Hint { session, topics: vec![(conversation, version)], wide: false });
                if self.sessions[index].role == Role::Hinted {
                    self.pull(index, conversation);
                }
            }
        }
    }

    fn pull(&mut self, index: usize, conversation: u32) {
        let session = &mut self.sessions[index];
        session.pulls += 1;
        let (number, pull) = (session.number, session.pulls);
        let after = session.known.get(&conversation).copied().unwrap_or(0);
        let log = &self.logs[conversation as usize];
        let entries = log[usize::try_from(after).unwrap()..].to_vec();
        session.known.insert(conversation, log.len() as u64);
        self.say(What::Pull { session: number, pull, conversation, after, to: None });
        self.say(What::Pulled { session: number, pull, entries, more: false });
    }

    fn poll(&mut self) {
        for index in 0..self.sessions.len() {
            if self.sessions[index].role == Role::Polling {
                for conversation in 0..CONVERSATIONS {
                    if self.members.contains(&(self.sessions[index].user, conversation)) {
                        self.pull(index, conversation);
                    }
                }
            }
        }
    }

    fn reconnect(&mut self) {
        let index = self.rng.random_range(0..self.sessions.len());
        let Session { number, client, user, role, known, .. } = self.sessions.remove(index);
        self.say(What::Close { session: number, code: None });
        self.now += self.rng.random_range(1_000..50_000);
        self.open(client, user, role, known);
    }

    fn leave_and_join(&mut self) {
        let (user, conversation) =
            (self.rng.random_range(WRITERS..USERS - 1), self.rng.random_range(0..CONVERSATIONS));
        if self.members.remove(&(user, conversation)) {
            self.say(What::Removing { user, conversation });
            self.say(What::Removed { user, conversation });
            for session in self.sessions.iter_mut().filter(|session| session.user == user) {
                session.waiting.remove(&conversation);
                session.known.remove(&conversation);
            }
            return;
        }
        self.say(What::Adding { user, conversation });
        self.members.insert((user, conversation));
        self.say(What::Added { user, conversation });
        let head = self.logs[conversation as usize].len() as u64;
        let mark = self.marks.entry((user, conversation)).or_default();
        *mark = (*mark).max(head);
        for index in 0..self.sessions.len() {
            if self.sessions[index].user == user {
                self.pull(index, conversation);
            }
        }
    }

    fn mark(&mut self) {
        let session = &self.sessions[self.rng.random_range(0..self.sessions.len())];
        let user = session.user;
        let known: Vec<(u32, u64)> = session.known.iter().map(|(of, version)| (*of, *version)).collect();
        let Some((conversation, version)) = known.first().copied() else { return };
        if self.members.contains(&(user, conversation)) {
            let mark = self.marks.entry((user, conversation)).or_default();
            *mark = (*mark).max(version);
            let read = *mark;
            let asked = self.now;
            self.say(What::Marked { user, conversation, version, read, asked });
        }
    }

    /// Everything is killed and comes back.
    fn fault(&mut self) {
        let fault = u32::try_from(self.events.len()).unwrap();
        let what = "kill".to_owned();
        self.say(What::FaultBegin { fault, what, spares_sends: false, harmed: None });
        let closed: Vec<Session> = self.sessions.drain(..).collect();
        for session in &closed {
            self.say(What::Close { session: session.number, code: None });
        }
        self.now += self.rng.random_range(1_000..300_000);
        self.say(What::FaultEnd { fault, effective: true });
        for Session { client, user, role, known, .. } in closed {
            self.open(client, user, role, known);
        }
    }

    /// One of two gateways is killed and stays away for long: its clients come back at once, to the other one.
    fn gateway_dies(&mut self) {
        let fault = u32::try_from(self.events.len()).unwrap();
        let (what, dead) = ("kill gateway".to_owned(), self.rng.random_range(0..2));
        let harmed = Harmed { deed: Deed::Kill, parts: vec![Part::Gateway], targets: vec![dead] };
        self.say(What::FaultBegin { fault, what, spares_sends: false, harmed: Some(harmed) });
        let ends = self.now + self.rng.random_range(0..3 * SETTLE);
        self.healed = self.healed.max(ends);
        self.events.push(Event(ends, What::FaultEnd { fault, effective: true }));
        let all = std::mem::take(&mut self.sessions).into_iter();
        let (closed, kept): (Vec<Session>, _) = all.partition(|session| session.client % 2 == dead);
        self.sessions = kept;
        for session in &closed {
            self.say(What::Close { session: session.number, code: None });
        }
        self.now += self.rng.random_range(1_000..300_000);
        for Session { client, user, role, known, .. } in closed {
            self.open(client, user, role, known);
        }
    }

    fn gauges(&mut self, moment: Moment) {
        let empty = HELD.iter().chain(&QUEUE).chain(&[OLDEST, DEAD_LETTERS]);
        let values = empty.map(|name| ((*name).to_owned(), 0.0));
        let values = values.chain([FILES, RESIDENT, BEGUN].map(|name| (name.to_owned(), 50.0)));
        self.say(What::Gauges { target: "m".to_owned(), moment, values: values.collect() });
    }

    fn end(&mut self) {
        self.hint(true);
        self.poll();
        self.now = self.now.max(self.healed);
        self.say(What::Phase(Phase::Heal));
        self.say(What::Phase(Phase::Settle));
        self.now += SETTLE + 10_000;
        self.say(What::Phase(Phase::Final));
        for index in 0..self.sessions.len() {
            let Session { client, user, role, .. } = self.sessions[index];
            let known = self.sessions[index].known.clone();
            for (conversation, version) in known.into_iter().filter(|_| role == Role::Hinted) {
                self.say(What::Knows { client, user, conversation, version });
            }
        }
        for user in 0..WRITERS {
            self.open(100 + user, user, Role::Auditor, BTreeMap::new());
        }
        for (user, conversation) in self.members.clone() {
            let read = self.marks.get(&(user, conversation)).copied().unwrap_or(0);
            let log = &self.logs[conversation as usize][usize::try_from(read).unwrap()..];
            let unread =
                log.iter().filter(|entry| entry.kind == Kind::Message && entry.user != Some(user)).count();
            self.say(What::Unread { user, conversation, read, unread: i64::try_from(unread).unwrap() });
        }
        self.say(What::Probe { what: "a new send".to_owned(), ok: true, said: String::new() });
        self.gauges(Moment::Settled);
        for session in std::mem::take(&mut self.sessions) {
            self.say(What::Close { session: session.number, code: Some(1000) });
        }
        self.say(What::Phase(Phase::Left));
        self.gauges(Moment::Left);
    }
}
