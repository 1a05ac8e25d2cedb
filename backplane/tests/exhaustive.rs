//! Every interleaving of a small world: when nothing can move any more, every welcomed session knows the newest
//! version. Leaving one rule out loses a version, so each is needed, and the search would see a loss.

#[path = "exhaustive/world.rs"]
mod world;

use std::collections::{HashSet, VecDeque};

use world::{Budget, Move, Without, World};

const CALM: Budget =
    Budget { versions: 1, lapses: 0, expiries: 0, kills: 0, misses: 0, restarts: 0, sessions: 1, workers: 1 };
/// Two workers, one of them slow or dead; one session comes and goes.
const QUEUE: Budget = Budget { versions: 2, expiries: 1, kills: 1, misses: 1, workers: 2, ..CALM };
/// Two sessions, a lapse, late and repeated messages.
const REGISTRY: Budget = Budget { lapses: 1, sessions: 2, ..CALM };
/// The gateway dies and comes back under its name.
const RESTART: Budget = Budget { restarts: 1, sessions: 2, ..CALM };
/// A little of everything.
const BOTH: Budget = Budget { versions: 2, lapses: 1, kills: 1, misses: 1, ..CALM };

/// The shortest way to a world in which nothing moves and somebody waits, and how many worlds were seen.
fn search(without: Without, budget: Budget) -> (Option<Vec<Move>>, usize) {
    let start = World::new(without, budget);
    let mut seen = HashSet::from([start.key()]);
    let mut ways: Vec<(Option<Move>, usize)> = vec![(None, 0)];
    let mut open = VecDeque::from([(start, 0)]);
    while let Some((world, at)) = open.pop_front() {
        let (system, outside) = world.moves();
        if system.is_empty() && world.somebody_waits() {
            return (Some(way(&ways, at)), seen.len());
        }
        for step in system.into_iter().chain(outside) {
            let next = world.after(step);
            if seen.insert(next.key()) {
                ways.push((Some(step), at));
                open.push_back((next, ways.len() - 1));
            }
        }
    }
    (None, seen.len())
}

fn way(ways: &[(Option<Move>, usize)], mut at: usize) -> Vec<Move> {
    let mut way = Vec::new();
    while let (Some(step), before) = ways[at] {
        way.push(step);
        at = before;
    }
    way.reverse();
    way
}

fn loses_nothing(budget: Budget, worlds_min: usize) {
    let (lost, worlds) = search(Without::Nothing, budget);
    assert!(lost.is_none(), "lost after {lost:#?}");
    assert!(worlds >= worlds_min, "only {worlds} worlds: the search was too small to mean anything");
}

/// `--nocapture` shows how.
fn loses(without: Without, budget: Budget) {
    let (lost, worlds) = search(without, budget);
    println!("without {without:?}, lost after {lost:?}");
    assert!(lost.is_some(), "nothing was lost in {worlds} worlds without {without:?}");
}

#[test]
fn the_queue_loses_nothing() {
    loses_nothing(QUEUE, 20_000);
}

#[test]
fn the_registry_loses_nothing() {
    loses_nothing(REGISTRY, 10_000);
}

#[test]
fn a_gateway_that_comes_back_loses_nothing() {
    loses_nothing(RESTART, 2_000);
}

#[test]
fn queue_and_registry_together_lose_nothing() {
    loses_nothing(BOTH, 15_000);
}

macro_rules! each_rule_is_needed {
    ($($name:ident: $without:ident in $budget:ident,)+) => {
        $(#[test] fn $name() { loses(Without::$without, $budget); })+
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
}
