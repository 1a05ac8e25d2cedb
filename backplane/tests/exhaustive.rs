//! Every interleaving of a small world: when nothing can move any more, every welcomed session knows the newest
//! version. Leaving one rule out loses a version, so each is needed, and the search would see a loss.

#[path = "exhaustive/sweep.rs"]
mod sweep;
#[path = "exhaustive/world.rs"]
mod world;

use std::hash::Hash;

use doorbell_walk::{breaks, keeps};

use world::{Budget, Move, Without, World};

const CALM: Budget =
    Budget { versions: 1, lapses: 0, expiries: 0, kills: 0, misses: 0, restarts: 0, sessions: 1, workers: 1 };
/// Two workers, one of them slow or dead; one session comes and goes.
const QUEUE: Budget = Budget { versions: 2, expiries: 1, kills: 1, misses: 1, workers: 2, ..CALM };
/// Two sessions, a lapse, late and repeated messages.
const REGISTRY: Budget = Budget { lapses: 1, sessions: 2, ..CALM };
/// The gateway dies and comes back under its name.
const RESTART: Budget = Budget { restarts: 1, sessions: 2, ..CALM };
/// A session follows another, and news come to a gateway where nobody is.
const RETURN: Budget = Budget { versions: 2, sessions: 2, ..CALM };
/// A little of everything.
const BOTH: Budget = Budget { versions: 2, lapses: 1, kills: 1, misses: 1, ..CALM };

impl doorbell_walk::World for World {
    type Move = Move;

    fn key(&self) -> impl Eq + Hash + use<> {
        World::key(self)
    }

    fn moves(&self) -> (Vec<Move>, Vec<Move>) {
        World::moves(self)
    }

    fn after(&self, step: Move) -> Self {
        World::after(self, step)
    }

    fn is_wrong(&self, at_rest: bool) -> bool {
        at_rest && self.somebody_waits()
    }
}

#[test]
fn the_queue_loses_nothing() {
    keeps(World::new(Without::Nothing, QUEUE), 20_000);
}

#[test]
fn the_registry_loses_nothing() {
    keeps(World::new(Without::Nothing, REGISTRY), 10_000);
}

#[test]
fn a_gateway_that_comes_back_loses_nothing() {
    keeps(World::new(Without::Nothing, RESTART), 2_000);
}

#[test]
fn who_comes_back_misses_nothing() {
    keeps(World::new(Without::Nothing, RETURN), 1_000);
}

#[test]
fn queue_and_registry_together_lose_nothing() {
    keeps(World::new(Without::Nothing, BOTH), 15_000);
}

macro_rules! each_rule_is_needed {
    ($($name:ident: $without:ident in $budget:ident,)+) => {
        $(#[test] fn $name() { breaks(World::new(Without::$without, $budget), Without::$without); })+
    };
}

each_rule_is_needed! {
    news_while_claimed_are_set_apart: SetAside in QUEUE,
    an_ack_carries_its_token: Token in QUEUE,
    delivery_comes_before_the_ack: DeliveryBeforeAck in QUEUE,
    a_claim_ends_with_its_lease: Expiry in QUEUE,
    a_remove_compares_stamps: StampInRemove in REGISTRY,
    a_stamp_begins_with_the_epoch: EpochInStamp in RESTART,
    an_enter_compares_stamps: StampInEnter in REGISTRY,
    an_enter_needs_a_live_lease: LeaseInEnter in REGISTRY,
    a_lapsed_lease_is_not_renewed: NewEpochAfterLapse in REGISTRY,
    a_resync_follows_the_confirmation: ConfirmationBeforeResync in REGISTRY,
    generations_never_begin_anew: CounterOfTheProcess in REGISTRY,
    a_session_is_in_the_index_before_its_enter: IndexBeforeEnter in BOTH,
    absent_is_found_and_stamped_in_one_step: AbsentInOneStep in RETURN,
    a_leave_has_the_stamp_of_its_close: StampOfTheClose in REGISTRY,
}
