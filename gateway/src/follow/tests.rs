//! Every interleaving of a small world: one user, one conversation that is small or large, what the announcer says of
//! it, the queue, and the asks of the gateway. When nothing can move any more, a member knows the newest version, and
//! follows exactly where the conversation is large; and nobody is told, as a follower, of what came after they had left
//! and the mark was settled (or, where it was lost with the queue, made good). Leaving one rule out breaks it, so each is needed, and the search would see it.
//!
//! What is real: the queue's rules for one user with the dirty map, collapse included ([`UserState`]), the agenda of asks,
//! and a session's list of what it follows. What is played: message-svc with its announcer, the order of the steps of a
//! delivery, of an ask and of a registration, and the stored version, which a follower reaches by the look.

mod after;
mod world;

use std::hash::Hash;

use doorbell_backplane::queue::entry::UserState;
use doorbell_walk::{breaks, keeps};

use world::{Audience, Budget, Move, Without, World};

const SMALL: Audience = Audience { member: true, large: false };
const LARGE: Audience = Audience { member: true, large: true };
const STRANGER: Audience = Audience { member: false, large: true };

const CALM: Budget =
    Budget { start: LARGE, appends: 1, moves: 0, crossings: 0, late: 0, failures: 0, floods: 0, losses: 0 };
/// The conversation crosses the threshold, there and back, while it goes on.
const CROSSING: Budget = Budget { start: SMALL, appends: 2, crossings: 2, ..CALM };
/// The same from above, with an ask that fails.
const CROSSING_BACK: Budget = Budget { crossings: 1, appends: 2, failures: 1, ..CALM };
/// A user joins and leaves a large one; a gateway that is not done in time is asked again.
const JOINING: Budget = Budget { start: STRANGER, moves: 3, late: 1, ..CALM };
/// A member leaves, and the others go on.
const LEAVING: Budget = Budget { moves: 1, appends: 2, late: 1, failures: 1, ..CALM };
/// So much happens elsewhere that the map collapses, or it cannot be read any more.
const COLLAPSE: Budget = Budget { start: STRANGER, moves: 2, floods: 2, late: 1, ..CALM };
/// The queue and the entries are lost.
const LOSS: Budget = Budget { start: STRANGER, moves: 2, losses: 1, appends: 2, ..CALM };

/// The same where the members of a small one are rung one by one.
const LOSS_OF_HINTS: Budget = Budget { start: SMALL, appends: 2, losses: 1, ..CALM };

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
        World::is_wrong(self) || at_rest && self.is_wrong_at_rest()
    }
}

macro_rules! nothing_is_missed {
    ($($name:ident: $budget:ident with $worlds_min:literal,)+) => {
        $(#[test] fn $name() { keeps(World::new(Without::Nothing, $budget), $worlds_min); })+
    };
}

macro_rules! each_rule_is_needed {
    ($($name:ident: $without:ident in $budget:ident,)+) => {
        $(#[test] fn $name() { breaks(World::new(Without::$without, $budget), Without::$without); })+
    };
}

nothing_is_missed! {
    a_conversation_that_crosses_there_and_back_is_missed_by_nobody: CROSSING with 1_000,
    a_large_conversation_that_becomes_small_is_missed_by_nobody: CROSSING_BACK with 500,
    who_joins_and_leaves_hears_what_is_theirs: JOINING with 1_000,
    who_leaves_hears_nothing_more: LEAVING with 500,
    a_mark_in_a_map_that_collapses_is_kept: COLLAPSE with 1_000,
    a_mark_that_is_lost_with_the_queue_is_made_good: LOSS with 1_000,
    a_hint_that_is_lost_with_the_queue_is_made_good: LOSS_OF_HINTS with 100,
}

each_rule_is_needed! {
    a_mark_comes_with_the_head: HeadWithMark in CROSSING_BACK,
    the_audience_is_read_after_the_commit: FreshReach in CROSSING_BACK,
    a_crossing_marks_the_members: MarkAtCrossing in CROSSING,
    a_leave_marks_who_left: MarkAtLeave in LEAVING,
    a_mark_is_answered_by_an_ask_that_began_after_it: AskAfterMark in JOINING,
    a_user_is_asked_for_one_ask_at_a_time: OneAskAtATime in JOINING,
    delivered_is_said_after_the_ask: DeliveredAfterAsk in LEAVING,
    an_ask_that_fails_is_tried_again: AskTriedAgain in LEAVING,
    a_mark_that_comes_while_the_user_is_claimed_is_set_apart: MarkSetApart in JOINING,
    a_resync_is_a_refollow: ResyncRefollows in COLLAPSE,
    a_registration_after_a_loss_asks_again: AskAfterLoss in LOSS,
    resync_and_ask_follow_the_confirmation: AskAfterConfirmation in LOSS,
    a_loss_is_followed_by_resync: ResyncAfterLoss in LOSS_OF_HINTS,
}
