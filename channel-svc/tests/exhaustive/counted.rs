//! A topic that the store itself counts (`presence:<user>`), one gateway with a follower, one channel service, and a store
//! that is lost and begins anew behind the time: when nothing can move any more, the follower has heard of the last
//! change.
//!
//! A version that is not greater than the last one is no news: for the gateway, and for the client as well. So what
//! counts is that a version is greater than all that were told. (Where the service loses its memory together with the
//! store, only the time makes it so: the hosts' clocks must agree.)

use std::hash::Hash;

use doorbell_backplane::versions::raised;
use doorbell_protocol::{Raise, Timestamp, Version};
use doorbell_walk::{breaks, keeps};

/// The time of the first store; that of each later one is a little behind.
const TIME_MS: u64 = 10;

/// A rule that can be left out, to see that it is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Without {
    Nothing,
    /// What a store answers is told, however small it is.
    RaiseBeyondKnown,
    /// A gateway relies on being told.
    Look,
    /// The service forgets what it told with each call.
    Known,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Budget {
    changes: u8,
    store_losses: u8,
    send_losses: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Store {
    identity: u8,
    version: Version,
}

#[derive(Clone, Copy, Debug)]
enum Move {
    Change,
    Publish,
    Arrive,
    Lose,
    LoseSend,
    LookAsks,
    LookEnds,
    Restore,
}

#[derive(Clone, Debug)]
struct World {
    without: Without,
    left: Budget,
    changes: u8,
    unpublished: u8,
    store: Store,
    /// What the service knows, and which store has it.
    known: Version,
    known_in: u8,
    sent: Option<Version>,
    /// The gateway's version, the store that it looked at, and a look's answer under way.
    gateway: Version,
    looked_at: u8,
    looking: Option<Store>,
    /// Changes that the follower has asked for.
    seen: u8,
}

impl World {
    fn new(without: Without, budget: Budget) -> Self {
        let version = Version::ZERO;
        Self {
            without,
            left: budget,
            changes: 0,
            unpublished: 0,
            store: Store { identity: 0, version },
            known: version,
            known_in: 0,
            sent: None,
            gateway: version,
            looked_at: 0,
            looking: None,
            seen: 0,
        }
    }

    fn raise(&mut self, raise: Raise) -> Version {
        let now = Timestamp::from_millis(TIME_MS - u64::from(self.store.identity) * 3);
        self.store.version = raised(self.store.version, raise, now);
        self.store.version
    }

    /// As `store_and_tell`.
    fn publish(&mut self) {
        self.unpublished -= 1;
        let mut version = self.raise(Raise::Next);
        if version < self.known && self.without != Without::RaiseBeyondKnown {
            self.raise(Raise::To(self.known));
            version = self.raise(Raise::Next);
        }
        if version > self.known {
            self.sent = Some(version);
            self.known = if self.without == Without::Known { Version::ZERO } else { version };
        }
    }

    /// The gateway's rule: what is not greater is known.
    fn fan_out(&mut self, version: Version) {
        if version > self.gateway {
            (self.gateway, self.seen) = (version, self.changes);
        }
    }
}

impl doorbell_walk::World for World {
    type Move = Move;

    fn key(&self) -> impl Eq + Hash + use<> {
        let truth = (self.left, self.changes, self.unpublished, self.store);
        let service = (self.known, self.known_in, self.sent);
        (truth, service, self.gateway, self.looked_at, self.looking, self.seen)
    }

    fn moves(&self) -> (Vec<Move>, Vec<Move>) {
        let news = self.store.identity != self.looked_at || self.store.version > self.gateway;
        let system = [
            (self.unpublished > 0 && self.sent.is_none(), Move::Publish),
            (self.sent.is_some(), Move::Arrive),
            (news && self.looking.is_none() && self.without != Without::Look, Move::LookAsks),
            (self.looking.is_some(), Move::LookEnds),
            (self.known_in != self.store.identity, Move::Restore),
        ];
        let outside = [
            (self.left.changes > 0, Move::Change),
            (self.left.store_losses > 0, Move::Lose),
            (self.left.send_losses > 0 && self.sent.is_some(), Move::LoseSend),
        ];
        let on = |(is_on, step): (bool, Move)| is_on.then_some(step);
        (system.into_iter().filter_map(on).collect(), outside.into_iter().filter_map(on).collect())
    }

    fn after(&self, step: Move) -> Self {
        let mut next = self.clone();
        match step {
            Move::Change => {
                next.left.changes -= 1;
                next.changes += 1;
                next.unpublished += 1;
            }
            Move::Publish => next.publish(),
            Move::Arrive => {
                let version = next.sent.take().expect("it was sent");
                next.fan_out(version);
            }
            Move::Lose => {
                next.left.store_losses -= 1;
                next.store = Store { identity: self.store.identity + 1, version: Version::ZERO };
            }
            Move::LoseSend => {
                next.left.send_losses -= 1;
                next.sent = None;
            }
            Move::LookAsks => next.looking = Some(next.store),
            Move::LookEnds => {
                let shown = next.looking.take().expect("it was asked");
                let another = shown.identity != next.looked_at;
                next.looked_at = shown.identity;
                next.fan_out(shown.version);
                if another {
                    next.seen = next.changes;
                }
            }
            Move::Restore => {
                next.raise(Raise::To(next.known));
                next.known_in = next.store.identity;
            }
        }
        next
    }

    fn is_wrong(&self, at_rest: bool) -> bool {
        at_rest && self.seen < self.changes
    }
}

const LOSSES: Budget = Budget { changes: 4, store_losses: 2, send_losses: 1 };

#[test]
fn a_topic_counted_by_a_store_that_is_lost_is_heard_of_all_the_same() {
    keeps(World::new(Without::Nothing, LOSSES), 1_000);
}

macro_rules! each_rule_is_needed {
    ($($name:ident: $without:ident,)+) => {
        $(#[test] fn $name() { breaks(World::new(Without::$without, LOSSES), Without::$without); })+
    };
}

each_rule_is_needed! {
    what_is_known_is_raised_before_it_is_counted_on: RaiseBeyondKnown,
    what_was_sent_in_vain_is_looked_for: Look,
    what_was_told_is_remembered: Known,
}
