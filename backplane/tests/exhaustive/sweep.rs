//! One user whose gateway's lease has ended, sweeps that may die, and the gateway that comes back: when nothing can move
//! any more, whoever watches the user sees what is so, and a user with a session has an entry.
//!
//! The entries and the leases are the real rules; the sweep and the gateway are played as the design has them.

use std::hash::Hash;
use std::time::Duration;

use doorbell_backplane::Entry;
use doorbell_backplane::registry::entries::Entries;
use doorbell_backplane::registry::lease::HeldLease;
use doorbell_protocol::{Epoch, GatewayId, Generation, Stamp, Timestamp};
use doorbell_walk::{breaks, keeps};

const TTL: Duration = Duration::from_secs(3_600);

/// A rule that can be left out, to see that it is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Without {
    Nothing,
    /// The entry is removed first, and told after.
    TellBeforeRemove,
    /// A removal takes whatever entry is there.
    StampInRemove,
    /// What is told is what the sweep found, and not what the registry shows when the watcher asks.
    PullAfterTold,
    /// Who comes back is entered before the new lease is taken.
    LeaseBeforeEnter,
    /// Who is entered again is told to nobody.
    ComesAfterEnter,
}

/// How much may happen and go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Budget {
    crashes: u8,
    returns: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Sweep {
    Found(Stamp),
    Told(Stamp),
    /// Only where the order is turned round.
    Removed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Gateway {
    Gone,
    /// Back under its name, with a session of the user.
    Back,
    /// Only where the order is turned round: the enter was refused or made, and the lease is yet to be taken.
    LeaseMissing,
    Entered,
    Rests,
}

#[derive(Clone, Copy, Debug)]
enum Move {
    Look(usize),
    Tell(usize),
    Remove(usize),
    Crash(usize),
    Return,
    Enter,
    TakeLease,
    TellCame,
}

#[derive(Clone, Debug)]
struct World {
    without: Without,
    left: Budget,
    entries: Entries,
    lease: HeldLease,
    sweeps: [Option<Sweep>; 2],
    gateway: Gateway,
    /// What the watcher saw last.
    seen_online: bool,
}

fn gateway() -> GatewayId {
    GatewayId::new("g").expect("valid")
}

fn ended(epoch: u64) -> HeldLease {
    HeldLease::take(Some(Epoch(epoch - 1)), Duration::ZERO, Timestamp::default())
}

impl World {
    fn new(without: Without, budget: Budget) -> Self {
        let lease = ended(1_000);
        let mut entries = Entries::default();
        let stamp = Stamp { epoch: lease.epoch(), generation: Generation(1) };
        entries.place(Entry { gateway: gateway(), stamp });
        let (sweeps, gateway) = ([None; 2], Gateway::Gone);
        Self { without, left: budget, entries, lease, sweeps, gateway, seen_online: true }
    }

    fn stamp(&self) -> Option<Stamp> {
        self.entries.as_slice().first().map(|entry| entry.stamp)
    }

    fn is_online(&self) -> bool {
        self.stamp().is_some_and(|stamp| self.lease.covers(stamp.epoch, Timestamp::default()))
    }

    fn take_lease(&mut self) {
        self.lease = HeldLease::take(Some(self.lease.epoch()), TTL, Timestamp::default());
    }

    fn remove(&mut self, found: Stamp) {
        let any = Stamp { epoch: Epoch(u64::MAX), generation: Generation(u64::MAX) };
        let up_to = if self.without == Without::StampInRemove { any } else { found };
        self.entries.remove(&gateway(), up_to);
    }

    /// The watcher is hinted, and asks.
    fn tell(&mut self, found_online: bool) {
        self.seen_online =
            if self.without == Without::PullAfterTold { found_online } else { self.is_online() };
    }
}

impl doorbell_walk::World for World {
    type Move = Move;

    fn key(&self) -> impl Eq + Hash + use<> {
        (
            self.left,
            self.stamp(),
            self.lease.epoch(),
            self.is_online(),
            self.sweeps,
            self.gateway,
            self.seen_online,
        )
    }

    fn moves(&self) -> (Vec<Move>, Vec<Move>) {
        let (mut system, mut outside) = (Vec::new(), Vec::new());
        let turned = self.without == Without::TellBeforeRemove;
        for (at, sweep) in self.sweeps.iter().enumerate() {
            match sweep {
                None if self.stamp().is_some() && !self.is_online() => system.push(Move::Look(at)),
                None => continue,
                Some(Sweep::Found(_)) if turned => system.push(Move::Remove(at)),
                Some(Sweep::Found(_) | Sweep::Removed) => system.push(Move::Tell(at)),
                Some(Sweep::Told(_)) => system.push(Move::Remove(at)),
            }
            if sweep.is_some() && self.left.crashes > 0 {
                outside.push(Move::Crash(at));
            }
        }
        match self.gateway {
            Gateway::Gone if self.left.returns > 0 => outside.push(Move::Return),
            Gateway::Gone | Gateway::Rests => {}
            Gateway::Back => system.push(Move::Enter),
            Gateway::LeaseMissing => system.push(Move::TakeLease),
            Gateway::Entered => system.push(Move::TellCame),
        }
        (system, outside)
    }

    fn after(&self, step: Move) -> Self {
        let mut next = self.clone();
        match step {
            Move::Look(at) => next.sweeps[at] = Some(Sweep::Found(next.stamp().expect("it is there"))),
            Move::Tell(at) => {
                next.sweeps[at] = match next.sweeps[at] {
                    Some(Sweep::Found(stamp)) => Some(Sweep::Told(stamp)),
                    _ => None,
                };
                next.tell(false);
            }
            Move::Remove(at) => match next.sweeps[at].take() {
                Some(Sweep::Found(stamp)) => {
                    next.remove(stamp);
                    next.sweeps[at] = Some(Sweep::Removed);
                }
                Some(Sweep::Told(stamp)) => next.remove(stamp),
                other => unreachable!("{other:?}"),
            },
            Move::Crash(at) => {
                next.left.crashes -= 1;
                next.sweeps[at] = None;
            }
            Move::Return => {
                next.left.returns -= 1;
                next.gateway = Gateway::Back;
            }
            Move::Enter => {
                let early = next.without == Without::LeaseBeforeEnter;
                if !early {
                    next.take_lease();
                }
                let epoch = next.lease.epoch();
                let stamp = Stamp { epoch, generation: Generation(2) };
                next.entries.place(Entry { gateway: gateway(), stamp });
                next.gateway = if early { Gateway::LeaseMissing } else { Gateway::Entered };
            }
            Move::TakeLease => {
                next.take_lease();
                next.gateway = Gateway::Entered;
            }
            Move::TellCame => {
                if next.without != Without::ComesAfterEnter {
                    next.tell(true);
                }
                next.gateway = Gateway::Rests;
            }
        }
        next
    }

    fn is_wrong(&self, at_rest: bool) -> bool {
        let has_session = self.gateway == Gateway::Rests;
        at_rest && (self.seen_online != self.is_online() || has_session != self.is_online())
    }
}

const DYING: Budget = Budget { crashes: 2, returns: 1 };

#[test]
fn whoever_watches_sees_what_is_so() {
    keeps(World::new(Without::Nothing, DYING), 100);
}

macro_rules! each_rule_is_needed {
    ($($name:ident: $without:ident,)+) => {
        $(#[test] fn $name() { breaks(World::new(Without::$without, DYING), Without::$without); })+
    };
}

each_rule_is_needed! {
    a_sweep_tells_before_it_removes: TellBeforeRemove,
    a_sweep_removes_by_stamp: StampInRemove,
    what_is_told_is_read_from_the_registry: PullAfterTold,
    a_lease_is_taken_before_its_enters: LeaseBeforeEnter,
    who_comes_is_told_after_the_enter: ComesAfterEnter,
}
