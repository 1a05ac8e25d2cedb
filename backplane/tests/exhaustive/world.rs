//! One user, one gateway with two possible sessions, two workers, and messages that arrive in any order.
//! The queue and the registry are the real rules; the gateway and the workers are played as the design has them.

mod after;

use std::collections::BTreeSet;
use std::time::Duration;

use doorbell_backplane::ClaimToken;
use doorbell_backplane::queue::entry::UserState;
use doorbell_backplane::registry::entries::Entries;
use doorbell_backplane::registry::lease::HeldLease;
use doorbell_protocol::{DirtyMap, Epoch, GatewayId, Stamp, Timestamp};

/// Claims and delays last one millisecond, and one passes only where a move says so.
const MOMENT: Duration = Duration::from_millis(1);
const TTL: Duration = Duration::from_secs(3_600);
/// Epochs begin far above the time, so that they do not depend on it.
const EPOCH_BEFORE: Epoch = Epoch(1_000);

/// A rule that can be left out, to see that it is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Without {
    Nothing,
    /// News that come while the user is claimed go with the ack.
    SetAside,
    /// An ack settles whichever claim is live.
    Token,
    /// The worker acks before it delivers.
    DeliveryBeforeAck,
    /// A claim lasts for ever.
    Expiry,
    /// A leave or an absent removes whatever entry is there.
    StampInRemove,
    /// Stamps are compared by generation alone.
    EpochInStamp,
    /// An enter replaces any entry.
    StampInEnter,
    /// An enter is taken whether its lease is live or not, so that gateways may enter first and take the lease after.
    LeaseInEnter,
    /// A lapsed lease can be renewed.
    NewEpochAfterLapse,
    /// Registering again: the sessions are hinted `resync` before it is confirmed.
    ConfirmationBeforeResync,
    /// A user's generations begin anew after their last session.
    CounterOfTheProcess,
    /// A session's enter is sent first, and the session put into the index when it is confirmed.
    IndexBeforeEnter,
    /// A gateway that finds nobody reads its counter a moment later.
    AbsentInOneStep,
    /// A leave is sent with the counter as it stands then.
    StampOfTheClose,
}

/// How much may go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Budget {
    pub versions: u8,
    pub lapses: u8,
    /// Leases that end although the worker lives.
    pub expiries: u8,
    pub kills: u8,
    /// Deliveries that fail although the gateway lives.
    pub misses: u8,
    /// Gateways that die and come back under the same name.
    pub restarts: u8,
    pub sessions: u8,
    pub workers: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Message {
    /// Enters for a session.
    Enter(Stamp, usize),
    /// A copy of an enter that was answered long ago.
    LateEnter(Stamp),
    Leave(Stamp),
    /// Enters for all sessions, after a lapse.
    Register(Stamp),
    /// Only where leases are taken after their enters.
    TakeLease(Epoch),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Session {
    None,
    /// In the gateway's index; its enter is under way.
    Indexed {
        seen: u64,
    },
    Welcomed {
        seen: u64,
    },
    /// Only where the order is turned round: its enter is under way, or answered, and it is not in the index.
    Outside {
        answered: bool,
    },
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Answer {
    Delivered,
    /// Only where it takes two steps: nobody is there.
    Nobody,
    Absent(Stamp),
    Unreachable(Stamp),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Work {
    token: u128,
    version: u64,
    entry: Option<Stamp>,
    answer: Option<Answer>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    Append,
    Announce(u64),
    Claim(usize),
    /// Time passes, and a claim or a delay that is over ends.
    EndAndClaim(usize),
    Deliver(usize),
    Miss(usize),
    /// Only where it takes two steps: the gateway reads its counter.
    Count(usize),
    Settle(usize),
    Kill(usize),
    Open(usize),
    /// Only where the order is turned round.
    Index(usize),
    Close(usize),
    Execute(Message),
    /// It is executed, and a copy of it is still under way.
    ExecuteAndRepeat(Message),
    Lapse,
    Renew,
    Restart,
    Sweep,
}

#[derive(Clone, Debug)]
pub struct World {
    without: Without,
    left: Budget,
    version: u64,
    unannounced: BTreeSet<u64>,
    user: UserState,
    entries: Entries,
    lease: HeldLease,
    now: Timestamp,
    tokens: u128,
    workers: Vec<Option<Work>>,
    sessions: Vec<Session>,
    /// What the gateway believes to be its epoch.
    epoch: Epoch,
    generation: u64,
    net: BTreeSet<Message>,
}

fn gateway() -> GatewayId {
    GatewayId::new("g").expect("valid")
}

fn version_of(dirty: &DirtyMap) -> u64 {
    dirty.topics().values().next().map_or(0, |version| version.get())
}

impl Session {
    fn is_open(self) -> bool {
        matches!(self, Self::Indexed { .. } | Self::Welcomed { .. })
    }

    fn see(&mut self, version: u64) {
        if let Self::Indexed { seen } | Self::Welcomed { seen } = self {
            *seen = version.max(*seen);
        }
    }
}

impl World {
    pub fn new(without: Without, budget: Budget) -> Self {
        let now = Timestamp::default();
        let lease = HeldLease::take(Some(EPOCH_BEFORE), TTL, now);
        Self {
            without,
            left: budget,
            version: 0,
            unannounced: BTreeSet::new(),
            user: UserState::Idle,
            entries: Entries::default(),
            lease,
            now,
            tokens: 0,
            workers: vec![None; budget.workers.into()],
            sessions: vec![Session::None; budget.sessions.into()],
            epoch: lease.epoch(),
            generation: 0,
            net: BTreeSet::new(),
        }
    }

    /// Whether a session that was welcomed does not know the newest version.
    pub fn somebody_waits(&self) -> bool {
        let waits = |session: &Session| matches!(session, Session::Welcomed { seen } if *seen < self.version);
        self.sessions.iter().any(waits)
    }

    /// What makes two worlds the same: not the time, and of a token only whether it is live.
    pub fn key(&self) -> impl Eq + std::hash::Hash + use<> {
        let map = |dirty: Option<&DirtyMap>| dirty.map_or(0, version_of);
        let user = match &self.user {
            UserState::Idle => (0, 0, 0, 0),
            UserState::Queued { untold, expiries } => (1, map(Some(&untold.dirty)), 0, *expiries),
            UserState::Delayed { untold, expiries, .. } => (2, map(Some(&untold.dirty)), 0, *expiries),
            UserState::Claimed { aside, fresh, expiries, .. } => {
                (3, map(Some(&aside.dirty)), map(fresh.as_ref().map(|fresh| &fresh.dirty)), *expiries)
            }
        };
        let work =
            |work: &Option<Work>| work.map(|work| Work { token: u128::from(self.is_live(&work)), ..work });
        let workers: Vec<Option<Work>> = self.workers.iter().map(work).collect();
        let lease = (self.lease.epoch(), self.lease.covers(self.lease.epoch(), self.now));
        let gateway = (self.epoch, self.generation, self.net.clone(), self.sessions.clone());
        (self.left, self.version, self.unannounced.clone(), user, self.entry(), lease, workers, gateway)
    }

    /// What can happen next: first what the system does by itself, then what the world does to it.
    pub fn moves(&self) -> (Vec<Move>, Vec<Move>) {
        let (mut system, mut outside) = (Vec::new(), Vec::new());
        system.extend(self.unannounced.iter().map(|version| Move::Announce(*version)));
        for at in 0..self.workers.len() {
            self.worker_moves(at, &mut system, &mut outside);
        }
        for message in &self.net {
            if self.is_due(message) {
                system.push(Move::Execute(*message));
                let copied = self.net.iter().any(|other| matches!(other, Message::LateEnter(_)));
                if matches!(message, Message::Enter(..)) && !copied {
                    system.push(Move::ExecuteAndRepeat(*message));
                }
            }
        }
        let is_taken = self.net.iter().any(|message| matches!(message, Message::TakeLease(_)));
        if !self.lease.covers(self.epoch, self.now) && !is_taken {
            system.push(Move::Renew);
        }
        if self.entry().is_some_and(|stamp| !self.lease.covers(stamp.epoch, self.now)) {
            system.push(Move::Sweep);
        }
        if self.left.versions > 0 {
            outside.push(Move::Append);
        }
        if self.left.lapses > 0 && self.lease.covers(self.epoch, self.now) {
            outside.push(Move::Lapse);
        }
        if self.left.restarts > 0 {
            outside.push(Move::Restart);
        }
        for (at, session) in self.sessions.iter().enumerate() {
            match session {
                Session::None if at == 0 || self.sessions[at - 1] != Session::None => {
                    outside.push(Move::Open(at))
                }
                Session::Outside { answered: true } => system.push(Move::Index(at)),
                session if session.is_open() => outside.push(Move::Close(at)),
                _ => {}
            }
        }
        (system, outside)
    }

    fn worker_moves(&self, at: usize, system: &mut Vec<Move>, outside: &mut Vec<Move>) {
        let Some(work) = self.workers[at] else {
            match self.user {
                UserState::Idle => {}
                UserState::Queued { .. } => system.push(Move::Claim(at)),
                UserState::Delayed { .. } => system.push(Move::EndAndClaim(at)),
                UserState::Claimed { .. } if self.without == Without::Expiry => {}
                UserState::Claimed { .. } if !self.has_owner() => system.push(Move::EndAndClaim(at)),
                UserState::Claimed { .. } if self.left.expiries > 0 => outside.push(Move::EndAndClaim(at)),
                UserState::Claimed { .. } => {}
            }
            return;
        };
        if self.left.kills > 0 {
            outside.push(Move::Kill(at));
        }
        let settles_first = self.without == Without::DeliveryBeforeAck;
        match work.answer {
            Some(Answer::Nobody) => system.push(Move::Count(at)),
            Some(_) => system.push(Move::Settle(at)),
            None if settles_first && self.is_live(&work) => system.push(Move::Settle(at)),
            None => {
                system.push(Move::Deliver(at));
                match work.entry {
                    Some(stamp) if !self.lease.covers(stamp.epoch, self.now) => system.push(Move::Miss(at)),
                    Some(_) if self.left.misses > 0 => outside.push(Move::Miss(at)),
                    _ => {}
                }
            }
        }
    }

    /// A refused enter of an open session waits for the gateway to notice the lapse.
    fn is_due(&self, message: &Message) -> bool {
        let Message::Enter(stamp, session) = message else { return true };
        let refused = self.without != Without::LeaseInEnter && !self.lease.covers(stamp.epoch, self.now);
        !(refused && self.sessions[*session].is_open() && stamp.epoch == self.epoch)
    }

    fn entry(&self) -> Option<Stamp> {
        self.entries.as_slice().first().map(|entry| entry.stamp)
    }

    fn is_live(&self, work: &Work) -> bool {
        self.user.lease_of(ClaimToken(work.token)).is_some()
    }

    fn has_owner(&self) -> bool {
        self.workers.iter().flatten().any(|work| self.is_live(work))
    }
}
