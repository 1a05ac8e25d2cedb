//! Every interleaving of a small world around the real index and the real lists of sessions: when nothing can move any
//! more, whoever follows was told the newest version, the index says what the lists say, and at no time was anybody
//! told of what their list does not name. Leaving one rule out breaks it, so each is needed, and the search would see
//! it.
//!
//! What is real: [`Topics`], fan-outs and stays included, and each session's own list. What is played: the order of
//! the steps of `Gateway::align`, of the fan-out's runner, of the task that reads and looks, and the store.

mod after;
mod world;

use std::hash::Hash;

use doorbell_walk::{breaks, keeps};

use super::*;
use world::{Budget, Cast, Change, Move, Without, World};

const FIRST_FOLLOWS: Change = Change { session: 0, follows: true };
const FIRST_STOPS: Change = Change { session: 0, follows: false };
const SECOND_FOLLOWS: Change = Change { session: 1, follows: true };

/// Two sessions begin to follow while a version is published, which may get lost on its way here.
const FOLLOWING: Budget = Budget {
    before: [false, false],
    changes: &[FIRST_FOLLOWS, SECOND_FOLLOWS],
    versions: 1,
    losses: 1,
    neighbour: false,
};
/// One who follows stops, and another begins: the topic may be followed by nobody in between.
const COMING_AND_GOING: Budget =
    Budget { before: [true, false], changes: &[FIRST_STOPS, SECOND_FOLLOWS], losses: 0, ..FOLLOWING };
/// The list of one who follows changes twice.
const CHANGING: Budget =
    Budget { before: [true, false], changes: &[FIRST_STOPS, FIRST_FOLLOWS], losses: 0, ..FOLLOWING };
/// One follows, and another begins, while two versions are published.
const PUBLISHING: Budget =
    Budget { before: [true, false], changes: &[SECOND_FOLLOWS], versions: 2, ..FOLLOWING };
/// Another topic of the partition is followed all the time, so that looks never begin anew.
const BESIDE_ANOTHER: Budget = Budget { neighbour: true, ..FOLLOWING };

impl Clone for Topics {
    fn clone(&self) -> Self {
        let copy = |count: &AtomicUsize| AtomicUsize::new(count.load(Ordering::SeqCst));
        Self {
            partitions: self.partitions,
            pace: self.pace,
            shards: self.shards.iter().map(|shard| Mutex::new(shard.lock().clone())).collect(),
            followed: self.followed.iter().map(copy).collect(),
            generation: AtomicU64::new(self.generation.load(Ordering::SeqCst)),
        }
    }
}

/// A world with its cast.
struct Scene<'c> {
    cast: &'c Cast,
    world: World,
}

impl<'c> doorbell_walk::World for Scene<'c> {
    type Move = Move;

    fn key(&self) -> impl Eq + Hash + use<'c> {
        self.world.key(self.cast)
    }

    fn moves(&self) -> (Vec<Move>, Vec<Move>) {
        self.world.moves(self.cast)
    }

    fn after(&self, step: Move) -> Self {
        Self { cast: self.cast, world: self.world.after(self.cast, step) }
    }

    fn is_wrong(&self, at_rest: bool) -> bool {
        self.world.is_wrong() || at_rest && self.world.is_wrong_at_rest(self.cast)
    }
}

fn misses_nothing(budget: Budget, worlds_min: usize) {
    let cast = Cast::default();
    keeps(Scene { world: World::new(&cast, Without::Nothing, budget), cast: &cast }, worlds_min);
}

fn goes_wrong(without: Without, budget: Budget) {
    let cast = Cast::default();
    breaks(Scene { world: World::new(&cast, without, budget), cast: &cast }, without);
}

#[test]
fn who_begins_to_follow_in_the_middle_of_publishes_misses_nothing() {
    misses_nothing(FOLLOWING, 500);
}

#[test]
fn who_begins_to_follow_between_publishes_misses_nothing() {
    misses_nothing(PUBLISHING, 500);
}

#[test]
fn who_begins_while_the_last_one_stops_misses_nothing() {
    misses_nothing(COMING_AND_GOING, 500);
}

#[test]
fn whose_list_changes_twice_is_where_the_list_says() {
    misses_nothing(CHANGING, 500);
}

#[test]
fn who_follows_beside_another_topic_misses_nothing() {
    misses_nothing(BESIDE_ANOTHER, 500);
}

macro_rules! each_rule_is_needed {
    ($($name:ident: $without:ident in $budget:ident,)+) => {
        $(#[test] fn $name() { goes_wrong(Without::$without, $budget); })+
    };
}

each_rule_is_needed! {
    a_follower_is_in_the_index_before_it_reads_the_version: IndexBeforeRead in FOLLOWING,
    a_version_is_raised_before_its_fan_out_takes_the_followers: RaiseBeforeSnapshot in FOLLOWING,
    a_first_follow_reads_what_is_stored: FirstFollowReads in FOLLOWING,
    each_follow_after_there_was_none_reads_again: EachFirstFollowReads in COMING_AND_GOING,
    what_a_first_follow_reads_is_told_to_all: AnswerFansOut in FOLLOWING,
    a_look_begins_before_the_first_read: MarkBeforeRead in FOLLOWING,
    what_is_stored_is_looked_at: Look in FOLLOWING,
    a_version_that_comes_during_a_fan_out_goes_out_after_it: NewerGoesOut in FOLLOWING,
    who_changes_the_index_looks_at_the_list_again: LookAgain in CHANGING,
    the_list_is_looked_at_when_it_is_written: ListAtWrite in COMING_AND_GOING,
}
