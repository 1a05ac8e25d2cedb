//! Claims that are given back, and claims that end with their worker.

use std::time::Duration;

use super::driver::{DELAY, Driver, LEASE, TICK, gateway, map, news, user};
use super::{Harness, Place, UserView};
use crate::queue::EXPIRIES_MAX;
use crate::{Claim, News, Settled};

/// Lets claims of the only ready user end with their worker, so often.
async fn expire<H: Harness>(d: &Driver<H>, user: &doorbell_protocol::UserId, times: u32) {
    for _ in 0..times {
        d.claim_one(user).await;
        d.advance(LEASE).await;
    }
}

pub(super) async fn a_released_user_is_ready_at_once_with_everything<H: Harness>(mut d: Driver<H>) {
    let alice = user("alice");
    let (_, claim) = d.claimed(&alice).await;
    d.advance(TICK).await;
    d.hint(&alice, news("b", 2)).await;

    d.release(&alice, claim.token, Duration::ZERO).await;

    let again = d.claim_one(&alice).await;
    assert_eq!((again.dirty, again.since), (map([news("a", 1), news("b", 2)]), claim.since));
}

pub(super) async fn a_released_user_waits_out_the_delay<H: Harness>(mut d: Driver<H>) {
    let alice = user("alice");
    let (_, claim) = d.claimed(&alice).await;

    d.release(&alice, claim.token, DELAY).await;

    assert_eq!(d.place(&alice).await, Place::Delayed);
    d.advance(DELAY - TICK).await;
    assert!(d.claim(&alice, 10).await.is_empty());
    d.advance(TICK).await;
    assert_eq!(d.claim_one(&alice).await.dirty, map([news("a", 1)]));
}

pub(super) async fn an_ended_lease_offers_everything_again<H: Harness>(mut d: Driver<H>) {
    let alice = user("alice");
    let (_, claim) = d.claimed(&alice).await;
    d.advance(TICK).await;
    d.hint(&alice, news("b", 2)).await;

    d.advance(LEASE - TICK).await;

    let again = d.claim_one(&alice).await;
    assert_ne!(again.token, claim.token);
    assert_eq!((again.dirty, again.since), (map([news("a", 1), news("b", 2)]), claim.since));
    assert_eq!((d.view(&alice).await.expiries, d.depth().await.expiries), (1, 1));
}

pub(super) async fn what_ended_comes_after_who_is_ready_soonest_first<H: Harness>(mut d: Driver<H>) {
    let users = d.neighbours(6);
    for one in &users[..5] {
        d.ready(one).await;
    }
    let delayed = d.claim(&users[0], 2).await;
    d.release(&users[0], delayed[0].token, 3 * TICK).await;
    d.release(&users[1], delayed[1].token, 2 * TICK).await;
    d.claim(&users[0], 1).await;
    d.advance(TICK).await;
    d.claim(&users[0], 2).await;
    d.advance(LEASE).await;
    d.ready(&users[5]).await;

    let mut at_once = [users[3].clone(), users[4].clone()];
    at_once.sort();
    let expected = [&users[5], &users[2], &at_once[0], &at_once[1], &users[1], &users[0]];
    assert_eq!(d.claim_names(&users[0], 10).await.iter().collect::<Vec<_>>(), expected);
}

pub(super) async fn one_call_ends_no_more_leases_and_delays_than_it_may_claim<H: Harness>(mut d: Driver<H>) {
    let users = d.neighbours(4);
    for one in &users {
        d.ready(one).await;
    }
    for claim in d.claim(&users[0], 2).await {
        d.release(&claim.user, claim.token, LEASE).await;
    }
    d.claim(&users[0], 2).await;
    d.advance(LEASE).await;

    let first = d.claim_names(&users[0], 1).await;

    let depth = d.depth().await;
    assert_eq!((depth.ready, depth.claimed, depth.delayed), (1, 2, 1), "one of each ended, one was claimed");
    let rest = [d.claim_names(&users[0], 1).await, d.claim_names(&users[0], 10).await].concat();
    let mut all = [first, rest].concat();
    all.sort();
    let mut expected = users;
    expected.sort();
    assert_eq!(all, expected);
}

pub(super) async fn a_lease_that_is_over_settles_until_a_claim_ends_it<H: Harness>(mut d: Driver<H>) {
    let alice = user("alice");
    let (_, claim) = d.claimed(&alice).await;

    d.advance(3 * LEASE).await;

    assert_eq!(d.ack(&claim).await, Settled::Acked { requeued: false, online: true });
    assert!(d.claim(&alice, 10).await.is_empty());
}

pub(super) async fn a_late_token_changes_nothing<H: Harness>(mut d: Driver<H>) {
    let alice = user("alice");
    let (entry, late) = d.claimed(&alice).await;
    d.advance(LEASE).await;
    let current = d.claim_one(&alice).await;
    d.hint(&alice, news("b", 2)).await;
    let before = d.view(&alice).await;

    let absent = vec![(gateway("g1"), entry.stamp)];
    assert_eq!(d.settle(&late, absent, vec![]).await, Settled::Stale);
    assert_eq!(d.settle(&late, vec![], vec![entry.clone()]).await, Settled::Stale);
    d.release(&alice, late.token, Duration::ZERO).await;

    assert_eq!(d.view(&alice).await, before);
    assert_eq!(d.entries(&alice).await, [entry]);
    assert_eq!(d.ack(&current).await, Settled::Acked { requeued: true, online: true });
}

pub(super) async fn a_refollow_mark_survives_expiry_and_delay<H: Harness>(mut d: Driver<H>) {
    let alice = user("alice");
    let entry = d.enter(&alice, "g1").await;
    d.hint(&alice, News::Refollow).await;

    expire(&d, &alice, 1).await;
    let claim = d.claim_one(&alice).await;
    assert_eq!(claim.dirty, map([News::Refollow]));
    d.hint(&alice, news("a", 1)).await;
    d.settle(&claim, vec![], vec![entry]).await;
    d.advance(DELAY).await;

    assert_eq!(d.claim_one(&alice).await.dirty, map([news("a", 1), News::Refollow]));
}

pub(super) async fn the_last_expiry_gives_the_map_up_for_a_resync<H: Harness>(mut d: Driver<H>) {
    let alice = user("alice");
    d.ready(&alice).await;
    let since = d.now().await;
    d.hint(&alice, News::Refollow).await;

    expire(&d, &alice, EXPIRIES_MAX - 1).await;
    let last = d.claim_one(&alice).await;
    assert_eq!(last.dirty, map([news("a", 1), News::Refollow]));
    assert_eq!(d.view(&alice).await.expiries, EXPIRIES_MAX - 1);
    d.hint(&alice, news("b", 2)).await;
    d.advance(LEASE).await;

    let Claim { dirty, since: oldest, .. } = d.claim_one(&alice).await;
    assert_eq!((dirty, oldest), (map([News::Resync, News::Refollow]), since));
    let depth = d.depth().await;
    assert_eq!((depth.dead_letters, depth.expiries, depth.claimed), (1, u64::from(EXPIRIES_MAX), 1));
    assert_eq!(d.view(&alice).await.expiries, 0);
}

pub(super) async fn a_given_up_map_blocks_nobody_and_its_resync_is_never_lost<H: Harness>(mut d: Driver<H>) {
    let users = d.neighbours(2);
    d.ready(&users[0]).await;
    expire(&d, &users[0], 2 * EXPIRIES_MAX).await;
    d.ready(&users[1]).await;

    let claims = d.claim(&users[0], 10).await;

    assert_eq!(claims.iter().map(|claim| &claim.user).collect::<Vec<_>>(), [&users[1], &users[0]]);
    assert_eq!(claims[1].dirty, map([News::Resync]));
    assert_eq!(d.depth().await.dead_letters, 2);
    assert_eq!(d.ack(&claims[1]).await, Settled::Acked { requeued: false, online: true });
    assert_eq!(d.place(&users[0]).await, Place::Idle);
}

pub(super) async fn a_settlement_forgets_expiries_and_a_release_does_not<H: Harness>(mut d: Driver<H>) {
    let alice = user("alice");
    let entry = d.ready(&alice).await;
    let expiries = async |d: &Driver<H>| {
        let UserView { expiries, .. } = d.view(&alice).await;
        expiries
    };

    expire(&d, &alice, 3).await;
    let claim = d.claim_one(&alice).await;
    d.release(&alice, claim.token, Duration::ZERO).await;
    assert_eq!(expiries(&d).await, 3);

    let claim = d.claim_one(&alice).await;
    d.settle(&claim, vec![], vec![entry]).await;
    assert_eq!(expiries(&d).await, 0, "delayed");

    d.advance(DELAY).await;
    expire(&d, &alice, 3).await;
    let claim = d.claim_one(&alice).await;
    d.hint(&alice, news("b", 1)).await;
    d.ack(&claim).await;
    assert_eq!(expiries(&d).await, 0, "acked");
}
