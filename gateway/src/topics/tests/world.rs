//! One topic, two sessions, the store of versions and the stream of publishes. Everything as it stands after some
//! steps, and which steps can come next.

use std::collections::BTreeSet;
use std::num::NonZeroU16;
use std::time::Duration;

use super::*;
use crate::session::Identity;

/// A rule that can be left out, to see that it is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Without {
    Nothing,
    /// A follower reads the topic's version and then enters the index.
    IndexBeforeRead,
    /// A publish takes the followers to tell and then raises the version.
    RaiseBeforeSnapshot,
    /// A first follow reads nothing.
    FirstFollowReads,
    /// Only the first follow of all reads.
    EachFirstFollowReads,
    /// What a first follow reads is told to the session that caused it.
    AnswerFansOut,
    /// Looks begin where the store stood after the first read.
    MarkBeforeRead,
    /// The gateway relies on the stream.
    Look,
    /// What came while a fan-out ran is left where it is.
    NewerGoesOut,
    /// Who changed the index does not look at the list again.
    LookAgain,
    /// Whoever was in the index when a fan-out came by is told.
    ListAtWrite,
}

/// One change of a session's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Change {
    pub session: usize,
    pub follows: bool,
}

/// How much may happen and go wrong.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Who follows at the start.
    pub before: [bool; 2],
    /// Each may happen once, in any order; several of one session at once.
    pub changes: &'static [Change],
    pub versions: u8,
    /// Publishes that get lost on their way from the channel service.
    pub losses: u8,
    /// Somebody else follows another topic of the partition.
    pub neighbour: bool,
}

/// Who and what takes part.
pub struct Cast {
    pub topic: TopicId,
    pub sessions: [(UserId, Arc<Session>); 2],
    pub neighbour: (TopicId, UserId, Arc<Session>),
    pub now: Instant,
}

impl Default for Cast {
    fn default() -> Self {
        let session = |name: &str| {
            let user = UserId::new(name).unwrap();
            (user.clone(), Session::without_socket(Identity { user, device: None }))
        };
        let (other, elsewhere) = session("eve");
        Self {
            topic: TopicId::new("t:1").unwrap(),
            sessions: [session("ada"), session("bob")],
            neighbour: (TopicId::new("t:2").unwrap(), other, elsewhere),
            now: Instant::now(),
        }
    }
}

/// Where a change of a list stands on its way into the index: the steps of `Gateway::align`, and what follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// The list is to change.
    Wanted,
    /// Only where the order is turned round: reads before it is in the index.
    ReadsEarly,
    Acts {
        follows: bool,
    },
    /// The topic has its first follower: what is stored is to be read.
    Notes,
    LooksAgain {
        followed: bool,
    },
    /// Tells the session the version that the index has.
    Reads,
    Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Align {
    pub change: Change,
    pub step: Step,
    /// Only where the order is turned round: what it read.
    pub early: Option<u8>,
}

/// What the task does that reads and looks: one thing at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Task {
    Idle,
    /// The read is under way, for this session.
    Reads(usize),
    /// Its answer is.
    Read {
        cause: usize,
        version: u8,
    },
    Looks {
        since: u8,
    },
    Looked {
        counter: u8,
        shown: Option<u8>,
    },
}

/// A fan-out under way.
#[derive(Clone)]
pub struct Run {
    /// `None` where it took its followers before the version was raised.
    pub stay: Option<Stay>,
    pub begun: Option<Begun>,
    pub version: u8,
    pub next_row: usize,
    /// Sessions of the last row that are yet to be told.
    pub offers: BTreeSet<usize>,
}

/// What can be compared and hashed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Plain {
    /// What each session's own list says.
    pub lists: [bool; 2],
    pub told: [u8; 2],
    pub aligns: Vec<Align>,
    /// The version that the store has, which is also its counter.
    pub stored: u8,
    pub versions_left: u8,
    pub losses_left: u8,
    /// Publishes on their way here.
    pub stream: BTreeSet<u8>,
    /// How far the store was looked at; `None` before the first read.
    pub mark: Option<u8>,
    /// A read is due, because of this session.
    pub unread: Option<usize>,
    pub noted: bool,
    pub task: Task,
    /// Somebody was told of what their list did not name.
    pub unlisted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    Publish,
    Arrive(u8),
    Lose(u8),
    Align(usize),
    /// The task goes on: a read, or what it is about.
    Task,
    Look,
    Begin(usize),
    Row(usize),
    Offer(usize, usize),
}

#[derive(Clone)]
pub struct World {
    pub without: Without,
    pub topics: Topics,
    pub due: Vec<Stay>,
    pub runs: Vec<Run>,
    pub plain: Plain,
}

/// A topic in the index: its version and its followers.
type Held = (u64, Vec<usize>);
/// A fan-out: whether its stay goes on, and what is to come.
type RunKey = (bool, u8, usize, BTreeSet<usize>);
/// What tells two worlds apart.
pub type Key = (Plain, Option<Held>, Vec<bool>, Vec<RunKey>);

impl World {
    /// One version is stored, and whoever follows knows it.
    pub fn new(cast: &Cast, without: Without, budget: Budget) -> Self {
        let pace = Pace { followers_large: usize::MAX, interval: Duration::ZERO };
        let topics = Topics::new(Partitions::new(NonZeroU16::MIN), pace);
        let align = |change| Align { change, step: Step::Wanted, early: None };
        let before = [0, 1].map(|session| Change { session, follows: budget.before[session] });
        let mut world = Self {
            without: Without::Nothing,
            topics,
            due: Vec::new(),
            runs: Vec::new(),
            plain: Plain {
                lists: [false, false],
                told: [0, 0],
                aligns: before.into_iter().filter(|change| change.follows).map(align).collect(),
                stored: 1,
                versions_left: 0,
                losses_left: 0,
                stream: BTreeSet::new(),
                mark: None,
                unread: None,
                noted: false,
                task: Task::Idle,
                unlisted: false,
            },
        };
        if budget.neighbour {
            let (topic, user, session) = &cast.neighbour;
            world.topics.insert(&Hint { topic: topic.clone(), version: Version::ZERO }, user, session);
            world.plain.mark = Some(1);
        }
        while let Some(step) = world.moves(cast).0.into_iter().chain(world.moves(cast).1).next() {
            world = world.after(cast, step);
        }
        world.without = without;
        world.plain.aligns = budget.changes.iter().copied().map(align).collect();
        (world.plain.versions_left, world.plain.losses_left) = (budget.versions, budget.losses);
        world
    }

    pub fn followers(&self, cast: &Cast) -> BTreeSet<usize> {
        self.topics.walk(&cast.topic).map_or_else(BTreeSet::new, |(stay, begun)| {
            (0..begun.rows_count()).flat_map(|row| self.row(cast, &stay, &begun, row)).collect()
        })
    }

    /// The sessions of a row, by their place in the cast.
    pub fn row(&self, cast: &Cast, stay: &Stay, begun: &Begun, row: usize) -> Vec<usize> {
        let mut sessions = Vec::new();
        self.topics.row(stay, begun, row, &mut sessions);
        let place =
            |session: &Arc<Session>| cast.sessions.iter().position(|(_, own)| Arc::ptr_eq(own, session));
        sessions.iter().map(|session| place(session).unwrap()).collect()
    }

    pub fn key(&self, cast: &Cast) -> Key {
        let held = self
            .topics
            .version(&cast.topic)
            .map(|version| (version.get(), self.followers(cast).into_iter().collect()));
        let goes_on = |stay: &Stay| self.topics.with(stay, |_| ()).is_some();
        let due = self.due.iter().map(goes_on).collect();
        let run = |run: &Run| {
            (run.stay.as_ref().is_none_or(goes_on), run.version, run.next_row, run.offers.clone())
        };
        (self.plain.clone(), held, due, self.runs.iter().map(run).collect())
    }

    /// Somebody was told of what is not theirs.
    pub const fn is_wrong(&self) -> bool {
        self.plain.unlisted
    }

    /// Somebody who follows does not know the newest version, or the index does not agree with a list.
    pub fn is_wrong_at_rest(&self, cast: &Cast) -> bool {
        let followers = self.followers(cast);
        let wrong = |session: usize| {
            let listed = self.plain.lists[session];
            listed != followers.contains(&session) || listed && self.plain.told[session] < self.plain.stored
        };
        wrong(0) || wrong(1)
    }

    /// What can happen next: first what the gateway does by itself, then what the world does to it. What changes
    /// nothing for anybody else goes first, alone: any other order comes to the same.
    pub fn moves(&self, cast: &Cast) -> (Vec<Move>, Vec<Move>) {
        let plain = &self.plain;
        if let Some(stale) = self.stale_move() {
            return (vec![stale], Vec::new());
        }
        let mut system: Vec<Move> = plain.stream.iter().map(|version| Move::Arrive(*version)).collect();
        let mut outside = Vec::new();
        for (at, align) in plain.aligns.iter().enumerate() {
            match align.step {
                Step::Wanted => outside.push(Move::Align(at)),
                Step::Done => {}
                _ => system.push(Move::Align(at)),
            }
        }
        if plain.task != Task::Idle || plain.unread.is_some() {
            system.push(Move::Task);
        }
        if plain.task == Task::Idle && self.has_to_look(cast) {
            system.push(Move::Look);
        }
        system.extend(self.fan_out_moves());
        if plain.versions_left > 0 {
            outside.push(Move::Publish);
        }
        if plain.losses_left > 0 {
            outside.extend(plain.stream.iter().map(|version| Move::Lose(*version)));
        }
        (system, outside)
    }

    /// A fan-out of a stay that has ended ends.
    fn stale_move(&self) -> Option<Move> {
        let ended = |stay: &Stay| self.topics.with(stay, |_| ()).is_none();
        let due = self.due.iter().position(ended).map(Move::Begin);
        let of_ended = |run: &Run| run.offers.is_empty() && run.stay.as_ref().is_some_and(ended);
        due.or_else(|| self.runs.iter().position(of_ended).map(Move::Row))
    }

    /// Offers of one row touch a session each: their order does not matter.
    fn fan_out_moves(&self) -> Vec<Move> {
        let begin = (!self.due.is_empty()).then_some(Move::Begin(0));
        let goes_on = |(at, run): (usize, &Run)| match run.offers.first() {
            Some(session) if run.stay.is_some() || run.next_row > 0 => Move::Offer(at, *session),
            _ => Move::Row(at),
        };
        begin.into_iter().chain(self.runs.iter().enumerate().map(goes_on)).collect()
    }

    /// A look that would show nothing changes nothing.
    fn has_to_look(&self, cast: &Cast) -> bool {
        let nobody = self.topics.followed_count(self.topics.partitions().of_topic(&cast.topic)) == 0;
        let news = self.plain.mark.is_some_and(|mark| mark != self.plain.stored);
        self.without != Without::Look && (self.plain.mark.is_some() && nobody || news)
    }
}
