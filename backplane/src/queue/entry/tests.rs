use std::time::Duration;

use doorbell_protocol::{Hint, TopicId, Version};

use super::*;

const LEASE: Duration = Duration::from_millis(5_000);
const MINE: ClaimToken = ClaimToken(1);
const OTHER: ClaimToken = ClaimToken(2);

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn news(topic: &str, version: u64) -> News {
    News::Hint(Hint { topic: TopicId::new(topic).unwrap(), version: Version::new(version).unwrap() })
}

fn untold(news: impl IntoIterator<Item = News>, since: u64) -> Untold {
    let mut untold = Untold { dirty: DirtyMap::default(), since: at(since) };
    news.into_iter().for_each(|news| untold.add(news));
    untold
}

fn queued(version: u64, since: u64) -> UserState {
    UserState::Queued { untold: untold([news("t:a", version)], since), expiries: 3 }
}

fn claimed(fresh: Option<Untold>) -> UserState {
    UserState::Claimed {
        aside: untold([news("t:a", 1)], 0),
        token: MINE,
        until: at(5_000),
        fresh,
        expiries: 3,
    }
}

fn newer() -> Option<Untold> {
    Some(untold([news("t:b", 2)], 10))
}

fn both() -> Untold {
    untold([news("t:a", 1), news("t:b", 2)], 0)
}

fn delayed(until: u64) -> UserState {
    UserState::Delayed { untold: untold([news("t:a", 1)], 0), until: at(until), expiries: 3 }
}

#[test]
fn news_queue_an_idle_user_and_merge_otherwise() {
    let merged = untold([news("t:a", 2)], 0);
    let cases = [
        (
            UserState::Idle,
            Hinted::Queued,
            UserState::Queued { untold: untold([news("t:a", 2)], 20), expiries: 0 },
        ),
        (queued(1, 0), Hinted::Merged, UserState::Queued { untold: merged.clone(), expiries: 3 }),
        (claimed(None), Hinted::Merged, claimed(Some(untold([news("t:a", 2)], 20)))),
        (claimed(newer()), Hinted::Merged, claimed(Some(untold([news("t:a", 2), news("t:b", 2)], 10)))),
        (delayed(9), Hinted::Merged, UserState::Delayed { untold: merged, until: at(9), expiries: 3 }),
    ];
    for (mut state, answer, expected) in cases {
        assert_eq!((state.hint(news("t:a", 2), at(20)), state), (answer, expected));
    }
}

#[test]
fn only_a_queued_user_is_claimed() {
    let mut state = queued(1, 7);
    assert_eq!(state.claim(MINE, at(7).plus(LEASE)), Some(untold([news("t:a", 1)], 7)));
    assert_eq!((state.lease_of(MINE), state.lease_of(OTHER)), (Some(at(5_007)), None));

    for before in [UserState::Idle, claimed(None), claimed(newer()), delayed(9)] {
        let mut state = before.clone();
        assert_eq!(state.claim(OTHER, at(9_999)), None);
        assert_eq!(state, before);
    }
}

#[test]
fn an_ack_drops_what_was_set_aside_and_nothing_else() {
    let cases = [
        (claimed(None), Acked::Idle, UserState::Idle),
        (claimed(newer()), Acked::Requeued, UserState::Queued { untold: newer().unwrap(), expiries: 0 }),
    ];
    for (mut state, answer, expected) in cases {
        assert_eq!((state.ack(MINE), state), (Some(answer), expected));
    }
}

#[test]
fn a_foreign_token_changes_nothing() {
    for before in [UserState::Idle, queued(1, 0), claimed(None), claimed(newer()), delayed(9)] {
        let mut state = before.clone();
        assert_eq!(state.ack(OTHER), None);
        assert_eq!(state.delay(OTHER, at(9), at(1)), None);
        assert_eq!(state.release(OTHER, at(9), at(1)), None);
        assert_eq!(state, before);
    }
}

#[test]
fn a_delay_merges_back_and_forgets_expiries_and_a_release_keeps_them() {
    let waits = |expiries| UserState::Delayed { untold: both(), until: at(9), expiries };
    let ready = |expiries| UserState::Queued { untold: both(), expiries };

    for (until, put_back) in [(9, PutBack::Delayed(at(9))), (8, PutBack::Queued), (7, PutBack::Queued)] {
        let after = |expiries| if put_back == PutBack::Queued { ready(expiries) } else { waits(expiries) };
        let mut state = claimed(newer());
        assert_eq!((state.delay(MINE, at(until), at(8)), state), (Some(put_back), after(0)));
        let mut state = claimed(newer());
        assert_eq!((state.release(MINE, at(until), at(8)), state), (Some(put_back), after(3)));
    }
}

#[test]
fn a_lease_ends_at_its_end_and_not_before() {
    let mut state = claimed(newer());
    assert_eq!((state.end_lease(at(4_999)), &state), (None, &claimed(newer())));
    assert_eq!(state.end_lease(at(5_000)), Some(LeaseEnded::OfferedAgain));
    assert_eq!(state, UserState::Queued { untold: both(), expiries: 4 });

    for before in [UserState::Idle, queued(1, 0), delayed(9)] {
        let mut state = before.clone();
        assert_eq!((state.end_lease(at(9_999)), state), (None, before));
    }
}

#[test]
fn a_map_that_outlives_too_many_workers_is_given_up_for_a_resync() {
    let mut state = UserState::Idle;
    state.hint(news("t:a", 1), at(1));
    state.hint(News::Refollow, at(1));

    let ends: Vec<LeaseEnded> = (0..EXPIRIES_MAX)
        .map(|n| {
            state.claim(ClaimToken(n.into()), at(2)).unwrap();
            state.hint(news("t:b", 2), at(2));
            state.end_lease(at(2)).unwrap()
        })
        .collect();

    let (last, others) = ends.split_last().unwrap();
    assert!(others.iter().all(|end| *end == LeaseEnded::OfferedAgain));
    let given_up = untold([news("t:a", 1), News::Refollow, news("t:b", 2)], 1).dirty;
    assert_eq!(*last, LeaseEnded::GivenUp(given_up));
    let resync = untold([News::Refollow, News::Resync], 1);
    assert_eq!(state, UserState::Queued { untold: resync, expiries: 0 });
}

#[test]
fn a_delay_is_over_at_its_end_and_not_before() {
    let mut state = delayed(9);
    assert_eq!((state.end_delay(at(8)), &state), (None, &delayed(9)));
    assert_eq!((state.end_delay(at(9)), state), (Some(()), queued(1, 0)));

    for before in [UserState::Idle, queued(1, 0), claimed(newer())] {
        let mut state = before.clone();
        assert_eq!((state.end_delay(at(9_999)), state), (None, before));
    }
}

#[test]
fn since_is_the_oldest_news_set_aside_or_not() {
    let cases = [
        (UserState::Idle, None),
        (queued(1, 7), Some(7)),
        (claimed(None), Some(0)),
        (claimed(newer()), Some(0)),
        (delayed(9), Some(0)),
    ];
    for (state, expected) in cases {
        assert_eq!(state.since(), expected.map(at));
    }
}
