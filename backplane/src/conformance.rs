//! What every back-end must show, through the traits alone.
//!
//! A back-end's test implements [`Harness`] and writes `doorbell_backplane::conformance_tests!(ItsHarness);`, which
//! makes one test a case; where a back-end is dear to start, one test runs all [`CASES`]. The model-based test runs over
//! the same harness.

mod buckets;
mod discovery;
mod driver;
mod lifecycle;
mod queue;
mod registry;
mod settlement;
mod versions;

use std::num::NonZeroU32;
use std::time::Duration;

use async_trait::async_trait;
use doorbell_protocol::{DirtyMap, Timestamp, UserId};

use crate::queue::entry::UserState;
use crate::{Buckets, Discovery, HintQueue, Registry, Versions};

/// How many channels a partition of the back-end under test keeps: few, so that some are forgotten.
pub const CHANNEL_TOPICS_MAX: NonZeroU32 = NonZeroU32::new(4).expect("4 is not zero");

/// How many buckets a partition of the back-end under test keeps.
pub const THROTTLE_BUCKETS_MAX: NonZeroU32 = NonZeroU32::new(4).expect("4 is not zero");

/// What a back-end's test lends to the suite.
#[async_trait]
pub trait Harness: Send + Sync + Sized {
    /// What is tested.
    type Backend: HintQueue + Registry + Versions + Discovery + Buckets;

    /// An empty back-end that shares nothing with any other, of [`CHANNEL_TOPICS_MAX`] channels and
    /// [`THROTTLE_BUCKETS_MAX`] buckets a partition.
    async fn fresh() -> Self;

    /// The back-end.
    fn backend(&self) -> &Self::Backend;

    /// The back-end's time. It moves only by [`Harness::advance`].
    async fn now(&self) -> Timestamp;

    /// Moves the back-end's time.
    async fn advance(&self, by: Duration);

    /// A user's state in the queue.
    async fn user(&self, user: &UserId) -> UserView;
}

/// Where a user stands in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Nothing is kept.
    Idle,
    /// In the ready list.
    Queued,
    /// Under a claim that no later claim has ended.
    Claimed,
    /// Waiting out a delay.
    Delayed,
}

/// What can be seen of one user in the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserView {
    /// Where they stand.
    pub place: Place,
    /// What a worker has in hand; empty where nobody has.
    pub aside: DirtyMap,
    /// What else the user has not been told.
    pub fresh: DirtyMap,
    /// Claims that ended with their worker since the last settlement.
    pub expiries: u32,
}

impl From<UserState> for UserView {
    fn from(state: UserState) -> Self {
        let (place, aside, fresh, expiries) = match state {
            UserState::Idle => (Place::Idle, None, None, 0),
            UserState::Queued { untold, expiries } => (Place::Queued, None, Some(untold), expiries),
            UserState::Delayed { untold, expiries, .. } => (Place::Delayed, None, Some(untold), expiries),
            UserState::Claimed { aside, fresh, expiries, .. } => {
                (Place::Claimed, Some(aside), fresh, expiries)
            }
        };
        let map = |untold: Option<crate::queue::entry::Untold>| {
            untold.map(|untold| untold.dirty).unwrap_or_default()
        };
        Self { place, aside: map(aside), fresh: map(fresh), expiries }
    }
}

/// Names the cases once, for [`run`] and for `conformance_tests!`. A case that is not named here is dead code.
macro_rules! cases {
    ($d:tt $($module:ident: $($case:ident,)+;)+) => {
        /// Runs the case of that name over a fresh back-end.
        ///
        /// # Panics
        /// Where the back-end does not show what the name says.
        pub async fn run<H: Harness>(case: &str) {
            match case {
                $($(stringify!($case) => Box::pin($module::$case(driver::Driver::<H>::fresh().await)).await,)+)+
                other => panic!("there is no case {other}"),
            }
        }

        /// The names of all cases.
        pub const CASES: &[&str] = &[$($(stringify!($case),)+)+];

        /// Makes a test of each case, over the harness named.
        #[macro_export]
        macro_rules! conformance_tests {
            ($d harness:ty) => {
                $($(
                    #[tokio::test]
                    async fn $case() {
                        $crate::conformance::run::<$d harness>(stringify!($case)).await;
                    }
                )+)+
            };
        }
    };
}

cases! { $
    queue:
        news_for_a_user_without_an_entry_are_stored_nowhere,
        news_for_a_user_whose_entries_are_all_dead_are_queued,
        news_merge_into_what_waits,
        a_map_past_its_cap_collapses_and_keeps_the_refollow_mark,
        users_are_claimed_in_the_order_in_which_they_became_ready,
        a_claim_takes_no_more_users_than_asked,
        a_claimed_user_is_not_offered_again,
        a_claim_carries_the_entries_and_the_time_of_the_oldest_news,
        a_user_whose_entries_left_is_claimed_and_settled_as_offline,
        every_claim_has_a_token_of_its_own,
        partitions_do_not_share_users,
        the_depth_counts_users_by_state_and_the_oldest_news,
        the_bell_names_a_partition_with_ready_users,
    ;
    settlement:
        an_ack_forgets_what_was_told,
        newer_news_queue_the_user_again_at_the_ack,
        a_second_settlement_is_stale,
        settlements_of_one_call_are_answered_in_order,
        an_absent_gateway_loses_entries_up_to_its_stamp,
        a_gateway_out_of_reach_delays_its_users,
        news_wait_with_a_delayed_user,
        a_gateway_whose_lease_ended_is_skipped_and_its_entry_left,
        liveness_is_judged_at_the_settlement,
        an_entry_of_an_earlier_epoch_delays_nobody,
        absent_entries_go_before_liveness_is_judged,
        a_user_is_online_while_an_entry_is_live,
    ;
    lifecycle:
        a_released_user_is_ready_at_once_with_everything,
        a_released_user_waits_out_the_delay,
        an_ended_lease_offers_everything_again,
        what_ended_comes_after_who_is_ready_soonest_first,
        one_call_ends_no_more_leases_and_delays_than_it_may_claim,
        a_lease_that_is_over_settles_until_a_claim_ends_it,
        a_late_token_changes_nothing,
        a_refollow_mark_survives_expiry_and_delay,
        the_last_expiry_gives_the_map_up_for_a_resync,
        a_given_up_map_blocks_nobody_and_its_resync_is_never_lost,
        a_settlement_forgets_expiries_and_a_release_does_not,
    ;
    registry:
        an_epoch_is_greater_than_every_earlier_one_and_not_below_the_time,
        a_new_lease_ends_the_one_before,
        a_renewal_counts_from_now,
        a_lapsed_lease_is_never_revived,
        ending_a_lease_takes_its_own_epoch,
        leases_are_of_one_partition,
        the_identity_is_that_of_the_store,
        an_enter_without_a_live_lease_is_refused,
        a_confirmed_enter_is_seen_by_the_next_hint,
        a_greater_stamp_replaces_an_entry_and_a_smaller_changes_nothing,
        a_leave_removes_only_what_is_not_newer,
        gateways_do_not_touch_each_others_entries,
        answers_stand_in_the_order_asked,
        a_user_is_online_by_an_entry_under_a_live_lease,
        entries_lapse_with_their_lease,
        a_canary_is_entered_rung_and_swept_like_anybody,
        an_entry_of_an_earlier_epoch_has_lapsed,
        the_sweep_takes_as_many_as_asked_until_none_is_left,
    ;
    versions:
        a_raise_answers_and_stores_the_greatest_version,
        a_topic_that_nobody_raised_reads_as_nothing,
        the_next_version_goes_by_the_time_of_the_store_and_never_back,
        a_look_without_a_counter_shows_nothing_and_where_to_begin,
        a_look_shows_each_changed_topic_once_in_the_order_of_its_last_change,
        a_raise_that_changes_nothing_is_shown_to_nobody,
        a_look_that_was_cut_goes_on_where_it_ended,
        looks_at_several_partitions_are_answered_in_order,
        the_longest_unchanged_topic_is_forgotten,
        a_look_from_before_what_was_forgotten_is_a_gap,
        a_counter_that_was_not_reached_is_a_gap,
        channels_and_leases_share_the_identity_of_their_partition,
    ;
    discovery:
        who_announces_is_heard_of_as_it_described_itself,
        the_last_word_of_a_name_holds,
        a_word_ends_with_its_time_and_counts_from_the_last,
        a_word_taken_back_is_gone_at_once,
        the_list_has_the_identity_of_the_first_partition,
        the_first_store_is_that_of_the_installation,
    ;
    buckets:
        a_bucket_is_recalled_with_the_time_that_is_left,
        the_last_level_of_a_bucket_holds,
        a_full_bucket_is_not_recalled,
        buckets_are_recalled_in_steps_those_first_that_take_longest,
        beyond_the_most_those_that_are_full_soonest_are_forgotten,
        full_buckets_make_room_first,
        a_bucket_takes_up_to_a_millisecond_longer_and_never_less,
    ;
}
