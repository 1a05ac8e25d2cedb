//! Every interleaving of a small world: when nothing can move any more, every follower knows the newest version and the
//! service knows exactly the gateways that follow. Leaving one rule out loses a version or a subscription, or keeps a
//! ghost, so each is needed, and the search would see it.

#[path = "exhaustive/after.rs"]
mod after;
#[path = "exhaustive/world.rs"]
mod world;

use std::collections::{HashSet, VecDeque};

use world::{Budget, Move, Without, World};

const CALM: Budget = Budget {
    versions: 1,
    followers: 1,
    service_losses: 0,
    send_losses: 0,
    late_words: 0,
    forgettings: 0,
    store_losses: 0,
};
/// Two followers that come and go while two versions are published, and a service that starts anew.
const FOLLOWING: Budget = Budget { versions: 2, followers: 2, service_losses: 1, ..CALM };
/// Words and sends that are late or lost.
const WORDS: Budget = Budget { followers: 2, service_losses: 1, send_losses: 1, late_words: 1, ..CALM };
/// A store that forgets.
const FORGETTING: Budget = Budget { versions: 2, followers: 2, send_losses: 1, forgettings: 1, ..CALM };
/// A store that loses everything.
const STORE: Budget = Budget { versions: 2, send_losses: 1, store_losses: 1, ..CALM };

/// The shortest way to a world in which nothing moves and something is wrong, and how many worlds were seen.
fn search(without: Without, budget: Budget) -> (Option<Vec<Move>>, usize) {
    let start = World::new(without, budget);
    let mut seen = HashSet::from([start.clone()]);
    let mut ways: Vec<(Option<Move>, usize)> = vec![(None, 0)];
    let mut open = VecDeque::from([(start, 0)]);
    while let Some((world, at)) = open.pop_front() {
        let (system, outside) = world.moves();
        if system.is_empty() && (world.somebody_waits() || world.is_ghost_or_missing()) {
            return (Some(way(&ways, at)), seen.len());
        }
        for step in system.into_iter().chain(outside) {
            let next = world.after(step);
            if seen.insert(next.clone()) {
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
    assert!(lost.is_none(), "wrong after {lost:#?}");
    assert!(worlds >= worlds_min, "only {worlds} worlds: the search was too small to mean anything");
}

/// `--nocapture` shows how.
fn goes_wrong(without: Without, budget: Budget) {
    let (lost, worlds) = search(without, budget);
    println!("without {without:?}, wrong after {lost:?}");
    assert!(lost.is_some(), "nothing went wrong in {worlds} worlds without {without:?}");
}

#[test]
fn following_loses_nothing() {
    loses_nothing(FOLLOWING, 100_000);
}

#[test]
fn late_words_and_lost_sends_lose_nothing() {
    loses_nothing(WORDS, 40_000);
}

#[test]
fn a_store_that_forgets_loses_nothing() {
    loses_nothing(FORGETTING, 200_000);
}

#[test]
fn a_store_that_starts_anew_loses_nothing() {
    loses_nothing(STORE, 20_000);
}

macro_rules! each_rule_is_needed {
    ($($name:ident: $without:ident in $budget:ident,)+) => {
        $(#[test] fn $name() { goes_wrong(Without::$without, $budget); })+
    };
}

each_rule_is_needed! {
    a_publish_is_stored_before_it_is_acknowledged: StoreBeforeAck in FOLLOWING,
    gateways_look_at_what_is_stored: Look in WORDS,
    a_look_shows_all_that_changed: LookShowsAll in FOLLOWING,
    a_follower_enters_the_index_before_it_reads: IndexBeforeRead in FOLLOWING,
    a_first_follow_reads_what_is_stored: FirstFollowReadsStore in FOLLOWING,
    what_a_first_follow_reads_is_told_to_all: AnswerFansOut in FOLLOWING,
    a_word_is_compared_by_generation: GenerationInWord in WORDS,
    an_end_is_remembered: EndRemembered in WORDS,
    unfollowed_is_compared_by_generation: GenerationInUnfollowed in WORDS,
    another_life_is_told_everything_again: Life in WORDS,
    a_look_that_cannot_tell_says_so: Gap in FORGETTING,
    a_gap_means_those_who_are_about_to_follow: GapInBetween in STORE,
    a_look_tells_which_store_answered: Identity in STORE,
}
