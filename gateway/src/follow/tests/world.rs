//! Everything as it stands after some steps, and which steps can come next.

use std::collections::{BTreeSet, VecDeque};
use std::hash::Hash;
use std::time::Duration;

use doorbell_backplane::ClaimToken;
use doorbell_protocol::{DirtyMap, Timestamp, TopicId, UserId};
use tokio::time::Instant;

use super::super::agenda::{Agenda, Rank, Work as Wanted};
use super::UserState;
use crate::session::follows::Follows;

/// Claims and delays last one millisecond, and one passes only where a move says so.
pub const MOMENT: Duration = Duration::from_millis(1);

/// A rule that can be left out, to see that it is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Without {
    Nothing,
    /// A mark is queued alone.
    HeadWithMark,
    /// The announcer goes by what it knew of the audience at the start.
    FreshReach,
    /// A crossing marks nobody.
    MarkAtCrossing,
    /// Who left a large one is not marked.
    MarkAtLeave,
    /// The end of an ask under way answers a mark that came meanwhile.
    AskAfterMark,
    /// Each mark is asked for at once.
    OneAskAtATime,
    /// A delivery is answered before the ask.
    DeliveredAfterAsk,
    /// An ask that fails is given up.
    AskTriedAgain,
    /// News that come while the user is claimed go with the ack.
    MarkSetApart,
    /// A `resync` is passed on, and that is all.
    ResyncRefollows,
    /// Registering again: the sessions are hinted `resync`, and nobody is asked.
    AskAfterLoss,
    /// The sessions are hinted and asked for as soon as the loss is seen, before they are registered.
    AskAfterConfirmation,
    /// Registering again: the large topics are asked for, and nobody is hinted `resync`.
    ResyncAfterLoss,
}

/// How the user stands to the conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Audience {
    pub member: bool,
    pub large: bool,
}

/// Where it begins, how much happens and how much goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Budget {
    pub start: Audience,
    pub appends: u8,
    /// The user joins or leaves.
    pub moves: u8,
    /// The audience crosses the threshold.
    pub crossings: u8,
    /// Deliveries that are answered `Later`.
    pub late: u8,
    /// Asks that fail.
    pub failures: u8,
    /// Maps that collapse, or cannot be read.
    pub floods: u8,
    /// Queues that are lost, with the entries.
    pub losses: u8,
}

/// What a commit changes, for the announcer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Commit {
    Append(u8),
    /// The user came; whether the audience was large before or after.
    Joined {
        large: bool,
    },
    Left {
        large: bool,
    },
    Crossed,
}

/// What the announcer has read for the first commit, or message-svc for an ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Facts {
    pub audience: Audience,
    pub head: u8,
}

/// What an ask is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Want {
    pub refollow: bool,
    pub reentered: bool,
    /// The claims whose delivery waits for its end.
    pub waiters: BTreeSet<u128>,
}

/// As that of a round: it changes the order among users, and that of one user's asks not at all.
impl Wanted for Want {
    fn rank(&self) -> Rank {
        if self.refollow { Rank::Urgent } else { Rank::Ordinary }
    }
}

#[derive(Clone, Debug)]
pub struct Ask {
    pub user: UserId,
    pub want: Want,
    pub answer: Option<Facts>,
}

/// A claim in the worker's hands.
#[derive(Clone, Debug)]
pub struct Work {
    pub token: u128,
    pub dirty: DirtyMap,
    pub stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    Claimed,
    /// At the gateway; the mark waits for its ask.
    Waits,
    Delivered,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    Append,
    Join,
    Leave,
    Cross,
    /// The announcer reads what it needs for the next commit.
    Read,
    Announce,
    /// So many other topics change that a dirty map collapses.
    Flood,
    /// What is kept of the user cannot be read: it is given up for a `resync`.
    GiveUp,
    Claim,
    Deliver,
    Later,
    EndDelay,
    Settle,
    BeginAsk,
    /// Message-svc reads the answer of an ask.
    Answer(usize),
    EndAsk(usize),
    FailAsk(usize),
    Look,
    Lose,
    Register,
}

pub struct World {
    pub without: Without,
    pub left: Budget,
    pub audience: Audience,
    pub head: u8,
    /// Not announced, in their order.
    pub commits: VecDeque<Commit>,
    pub facts: Option<Facts>,
    /// The version of the channel.
    pub stored: u8,
    pub queue: UserState,
    pub now: Timestamp,
    pub tokens: u128,
    pub work: Option<Work>,
    /// Whether the registry has the user's entry.
    pub entry: bool,
    pub agenda: Agenda<Want>,
    pub began: Instant,
    pub asks: Vec<Ask>,
    pub follows: Follows,
    pub seen: u8,
    /// The head when the user left.
    pub head_at_leave: Option<u8>,
    pub told_too_much: bool,
    /// The queue was lost, and what the user follows was not asked for again since.
    pub heals: bool,
}

impl Clone for World {
    fn clone(&self) -> Self {
        Self {
            commits: self.commits.clone(),
            queue: self.queue.clone(),
            work: self.work.clone(),
            agenda: self.agenda.copy(),
            asks: self.asks.clone(),
            follows: self.follows.clone(),
            ..*self
        }
    }
}

pub fn topic() -> TopicId {
    TopicId::new("conversation:c").unwrap()
}

pub fn inbox() -> TopicId {
    TopicId::new("inbox:u").unwrap()
}

/// The user's large topics.
pub fn own(follows: bool) -> Vec<TopicId> {
    if follows { vec![topic()] } else { Vec::new() }
}

/// What the user's map says of the two topics, and its marks.
fn shown(dirty: &DirtyMap) -> (u64, bool, usize, bool, bool) {
    let version = dirty.topics().get(&topic()).map_or(0, |version| version.get());
    let listed = dirty.topics().contains_key(&inbox());
    (version, listed, dirty.topics().len(), dirty.resync(), dirty.refollow())
}

impl World {
    /// One message is known to all, and whoever should follow does.
    pub fn new(without: Without, budget: Budget) -> Self {
        let Audience { member, large } = budget.start;
        let mut follows = Follows::default();
        follows.set_own(&own(member && large));
        Self {
            without,
            left: budget,
            audience: budget.start,
            head: 1,
            commits: VecDeque::new(),
            facts: None,
            stored: 1,
            queue: UserState::Idle,
            now: Timestamp::default(),
            tokens: 0,
            work: None,
            entry: true,
            agenda: Agenda::default(),
            began: Instant::now(),
            asks: Vec::new(),
            follows,
            seen: u8::from(member),
            head_at_leave: None,
            told_too_much: false,
            heals: false,
        }
    }

    pub fn is_following(&self) -> bool {
        self.follows.contains(&topic())
    }

    /// Somebody was told of what is not theirs any more.
    pub const fn is_wrong(&self) -> bool {
        self.told_too_much
    }

    pub fn is_wrong_at_rest(&self) -> bool {
        let Audience { member, large } = self.audience;
        member && self.seen < self.head || self.is_following() != (member && large)
    }

    /// What makes two worlds the same: not the time, and of a token only whether it is the one at hand.
    pub fn key(&self) -> impl Eq + Hash + use<> {
        let queue = match &self.queue {
            UserState::Idle => (0, None, None),
            UserState::Queued { untold, .. } => (1, Some(shown(&untold.dirty)), None),
            UserState::Delayed { untold, .. } => (2, Some(shown(&untold.dirty)), None),
            UserState::Claimed { aside, fresh, .. } => {
                (3, Some(shown(&aside.dirty)), fresh.as_ref().map(|fresh| shown(&fresh.dirty)))
            }
        };
        let at_hand = self.work.as_ref().map(|work| work.token);
        let want = |want: &Want| {
            (want.refollow, want.reentered, want.waiters.iter().any(|waiter| Some(*waiter) == at_hand))
        };
        let work = self.work.as_ref().map(|work| (shown(&work.dirty), work.stage, self.is_live(work)));
        let asks: Vec<_> = self.asks.iter().map(|ask| (want(&ask.want), ask.answer)).collect();
        let agenda: Vec<_> =
            self.agenda.shown().iter().map(|(_, one, on)| (one.as_ref().map(want), *on)).collect();
        let truth = (self.left, self.audience, self.head, self.commits.clone(), self.facts);
        let gateway = (self.is_following(), self.seen, self.head_at_leave, self.told_too_much, self.heals);
        (truth, self.stored, queue, work, self.entry, agenda, asks, gateway)
    }

    pub fn is_live(&self, work: &Work) -> bool {
        self.queue.lease_of(ClaimToken(work.token)).is_some()
    }

    /// What can happen next: first what the system does by itself, then what the world does to it.
    pub fn moves(&self) -> (Vec<Move>, Vec<Move>) {
        let waits = self.work.as_ref().map(|work| work.stage);
        let queued = matches!(self.queue, UserState::Queued { .. });
        let wanted = self.agenda.shown().iter().any(|(_, wanted, on)| wanted.is_some() && !on);
        let system = [
            (self.facts.is_none() && !self.commits.is_empty(), Move::Read),
            (self.facts.is_some(), Move::Announce),
            (queued && waits.is_none(), Move::Claim),
            (waits == Some(Stage::Claimed), Move::Deliver),
            (waits == Some(Stage::Delivered), Move::Settle),
            (matches!(self.queue, UserState::Delayed { .. }), Move::EndDelay),
            (wanted, Move::BeginAsk),
            (self.is_following() && self.seen < self.stored, Move::Look),
            (!self.entry, Move::Register),
        ];
        let Budget { appends, moves, crossings, late, floods, losses, failures, .. } = self.left;
        let outside = [
            (appends > 0, Move::Append),
            (moves > 0 && !self.audience.member, Move::Join),
            (moves > 0 && self.audience.member, Move::Leave),
            (crossings > 0, Move::Cross),
            (late > 0 && waits == Some(Stage::Waits), Move::Later),
            (floods > 0 && !matches!(self.queue, UserState::Idle), Move::Flood),
            (floods > 0 && queued, Move::GiveUp),
            (losses > 0 && self.entry, Move::Lose),
        ];
        let on = |(is_on, step): (bool, Move)| is_on.then_some(step);
        let mut system: Vec<_> = system.into_iter().filter_map(on).collect();
        let mut outside: Vec<_> = outside.into_iter().filter_map(on).collect();
        for (at, ask) in self.asks.iter().enumerate() {
            system.push(if ask.answer.is_none() { Move::Answer(at) } else { Move::EndAsk(at) });
            if failures > 0 {
                outside.push(Move::FailAsk(at));
            }
        }
        (system, outside)
    }
}
