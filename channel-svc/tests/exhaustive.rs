//! Every interleaving of a small world: when nothing can move any more, every follower knows the newest version and the
//! service knows exactly the gateways that follow. Leaving one rule out loses a version or a subscription, or keeps a
//! ghost, so each is needed, and the search would see it.

#[path = "exhaustive/after.rs"]
mod after;
#[path = "exhaustive/counted.rs"]
mod counted;
#[path = "exhaustive/world.rs"]
mod world;

use std::hash::Hash;

use doorbell_walk::{breaks, keeps};

use world::{Budget, Move, Without, World};

const CALM: Budget = Budget {
    versions: 1,
    followers: 1,
    service_losses: 0,
    send_losses: 0,
    late_words: 0,
    forgettings: 0,
    store_losses: 0,
    views: 0,
};
/// Two followers that come and go while two versions are published, and a service that starts anew.
const FOLLOWING: Budget = Budget { versions: 2, followers: 2, service_losses: 1, ..CALM };
/// Words and sends that are late or lost.
const WORDS: Budget = Budget { followers: 2, service_losses: 1, send_losses: 1, late_words: 1, ..CALM };
/// A store that forgets.
const FORGETTING: Budget = Budget { versions: 2, followers: 2, send_losses: 1, forgettings: 1, ..CALM };
/// A store that loses everything.
const STORE: Budget = Budget { versions: 2, send_losses: 1, store_losses: 1, ..CALM };

/// Publishers with another view of who owns the topic, and a store that loses everything.
const VIEWS: Budget = Budget { versions: 2, store_losses: 1, views: 1, ..CALM };

impl doorbell_walk::World for World {
    type Move = Move;

    fn key(&self) -> impl Eq + Hash + use<> {
        self.clone()
    }

    fn moves(&self) -> (Vec<Move>, Vec<Move>) {
        World::moves(self)
    }

    fn after(&self, step: Move) -> Self {
        World::after(self, step)
    }

    fn is_wrong(&self, at_rest: bool) -> bool {
        at_rest && (self.somebody_waits() || self.is_ghost_or_missing())
    }
}

#[test]
fn following_loses_nothing() {
    keeps(World::new(Without::Nothing, FOLLOWING), 100_000);
}

#[test]
fn late_words_and_lost_sends_lose_nothing() {
    keeps(World::new(Without::Nothing, WORDS), 40_000);
}

#[test]
fn a_store_that_forgets_loses_nothing() {
    keeps(World::new(Without::Nothing, FORGETTING), 200_000);
}

#[test]
fn a_store_that_starts_anew_loses_nothing() {
    keeps(World::new(Without::Nothing, STORE), 20_000);
}

#[test]
fn two_views_of_the_owner_lose_nothing() {
    keeps(World::new(Without::Nothing, VIEWS), 2_000);
}

macro_rules! each_rule_is_needed {
    ($($name:ident: $without:ident in $budget:ident,)+) => {
        $(#[test] fn $name() { breaks(World::new(Without::$without, $budget), Without::$without); })+
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
    a_publish_under_another_view_is_looked_for: Look in VIEWS,
    which_store_answers_is_looked_at_also_unfollowed: LookUnfollowed in STORE,
}
