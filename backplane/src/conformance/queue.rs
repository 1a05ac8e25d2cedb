//! Announcing and claiming.

use std::time::Duration;

use doorbell_protocol::DirtyMap;
use doorbell_protocol::hint::TOPICS_MAX;

use super::driver::{Driver, LEASE, TICK, map, news, user};
use super::{Harness, Place, UserView};
use crate::{Claim, HintQueue as _, HintReport, News, QueueDepth, Settled};

pub(super) async fn news_for_a_user_without_an_entry_are_stored_nowhere<H: Harness>(mut d: Driver<H>) {
    let (alice, stranger) = (user("alice"), d.stranger());
    d.enter(&stranger, "g1").await;

    let report = d
        .announce(vec![
            (alice.clone(), news("a", 1)),
            (stranger, news("a", 1)),
            (alice.clone(), News::Resync),
        ])
        .await;

    assert_eq!(report, HintReport { queued: 1, merged: 0, offline: vec![alice.clone()] });
    assert_eq!(d.place(&alice).await, Place::Idle);
    assert!(d.claim(&alice, 10).await.is_empty());
}

pub(super) async fn news_for_a_user_whose_entries_are_all_dead_are_queued<H: Harness>(mut d: Driver<H>) {
    let alice = user("alice");
    let entry = d.enter(&alice, "g1").await;
    d.end_lease(&alice, "g1").await;

    let report = d.announce(vec![(alice.clone(), news("a", 1))]).await;

    assert_eq!(report, HintReport { queued: 1, ..HintReport::default() });
    assert_eq!(d.claim_one(&alice).await.entries, [entry]);
}

pub(super) async fn news_merge_into_what_waits<H: Harness>(mut d: Driver<H>) {
    let alice = user("alice");
    d.enter(&alice, "g1").await;

    let all = [news("a", 3), news("b", 1), news("a", 5), news("a", 4), News::Refollow];
    let report = d.announce(all.iter().map(|news| (alice.clone(), news.clone())).collect()).await;

    assert_eq!(report, HintReport { queued: 1, merged: 4, offline: vec![] });
    assert_eq!(d.claim_one(&alice).await.dirty, map([news("a", 5), news("b", 1), News::Refollow]));
}

pub(super) async fn a_map_past_its_cap_collapses_and_keeps_the_refollow_mark<H: Harness>(mut d: Driver<H>) {
    let alice = user("alice");
    d.enter(&alice, "g1").await;
    let topics = |count: usize| (0..count).map(|n| news(&n.to_string(), 1)).collect::<Vec<_>>();
    let all = topics(TOPICS_MAX).into_iter().chain([News::Refollow]);
    d.announce(all.map(|news| (alice.clone(), news)).collect()).await;
    let full = d.view(&alice).await.fresh;
    assert_eq!(full.topics().len(), TOPICS_MAX);

    d.hint(&alice, news("0", 2)).await;
    assert!(!d.view(&alice).await.fresh.resync(), "a known topic needs no room");
    d.hint(&alice, news("one-more", 1)).await;

    let claim = d.claim_one(&alice).await;
    assert_eq!(claim.dirty, map([News::Resync, News::Refollow]));
    d.hint(&alice, news("a", 1)).await;
    assert_eq!(d.ack(&claim).await, Settled::Acked { requeued: true, online: true });
    assert_eq!(d.claim_one(&alice).await.dirty, map([news("a", 1)]), "what came after is told by name");
}

pub(super) async fn users_are_claimed_in_the_order_in_which_they_became_ready<H: Harness>(mut d: Driver<H>) {
    let mut users = d.neighbours(4);
    users.reverse();
    for one in &users {
        d.ready(one).await;
    }
    d.hint(&users[3], news("b", 2)).await;
    d.hint(&users[0], news("b", 2)).await;

    assert_eq!(d.claim_names(&users[0], 3).await, users[..3]);
    assert_eq!(d.claim_names(&users[0], 3).await, users[3..]);
}

pub(super) async fn a_claim_takes_no_more_users_than_asked<H: Harness>(mut d: Driver<H>) {
    let users = d.neighbours(3);
    for one in &users {
        d.ready(one).await;
    }

    assert_eq!(d.claim(&users[0], 0).await.len(), 0);
    assert_eq!(d.claim(&users[0], 2).await.len(), 2);
    assert_eq!(d.claim(&users[0], 2).await.len(), 1);
}

pub(super) async fn a_claimed_user_is_not_offered_again<H: Harness>(mut d: Driver<H>) {
    let alice = user("alice");
    d.claimed(&alice).await;

    d.hint(&alice, news("b", 2)).await;
    d.advance(LEASE - TICK).await;

    assert!(d.claim(&alice, 10).await.is_empty());
    let expected = UserView {
        place: Place::Claimed,
        aside: map([news("a", 1)]),
        fresh: map([news("b", 2)]),
        expiries: 0,
    };
    assert_eq!(d.view(&alice).await, expected);
}

pub(super) async fn a_claim_carries_the_entries_and_the_time_of_the_oldest_news<H: Harness>(
    mut d: Driver<H>,
) {
    let alice = user("alice");
    let first = d.ready(&alice).await;
    let since = d.now().await;
    d.advance(Duration::from_secs(1)).await;
    d.hint(&alice, news("a", 2)).await;
    let second = d.enter(&alice, "g2").await;
    d.end_lease(&alice, "g1").await;

    let mut claim = d.claim_one(&alice).await;

    claim.entries.sort();
    let Claim { entries, since: claimed_since, .. } = claim;
    assert_eq!((entries, claimed_since), (vec![first, second], since));
}

pub(super) async fn a_user_whose_entries_left_is_claimed_and_settled_as_offline<H: Harness>(
    mut d: Driver<H>,
) {
    let alice = user("alice");
    let entry = d.ready(&alice).await;
    d.leave(&alice, "g1", entry.stamp).await;

    let report = d.announce(vec![(alice.clone(), news("b", 2))]).await;
    assert_eq!(report.offline, std::slice::from_ref(&alice), "no entry, whatever waits");
    let claim = d.claim_one(&alice).await;

    assert_eq!((claim.dirty.clone(), claim.entries.clone()), (map([news("a", 1)]), vec![]));
    assert_eq!(d.ack(&claim).await, Settled::Acked { requeued: false, online: false });
    assert_eq!(d.place(&alice).await, Place::Idle);
}

pub(super) async fn every_claim_has_a_token_of_its_own<H: Harness>(mut d: Driver<H>) {
    let users = d.neighbours(2);
    let mut tokens = Vec::new();
    for one in &users {
        d.ready(one).await;
    }
    for _ in 0..3 {
        for claim in d.claim(&users[0], 2).await {
            d.release(&claim.user, claim.token, Duration::ZERO).await;
            tokens.push(claim.token);
        }
    }

    let distinct: std::collections::HashSet<_> = tokens.iter().collect();
    assert_eq!((tokens.len(), distinct.len()), (6, 6));
}

pub(super) async fn partitions_do_not_share_users<H: Harness>(mut d: Driver<H>) {
    let (alice, stranger) = (user("alice"), d.stranger());
    d.ready(&alice).await;
    d.ready(&stranger).await;

    assert_eq!(d.claim_names(&alice, 10).await, std::slice::from_ref(&alice));
    let claim = d.claim_one(&stranger).await;
    let foreign = Claim { user: alice.clone(), ..claim };
    assert_eq!(d.ack(&foreign).await, Settled::Stale);
    assert_eq!(d.place(&stranger).await, Place::Claimed);
}

pub(super) async fn the_depth_counts_users_by_state_and_the_oldest_news<H: Harness>(mut d: Driver<H>) {
    let users = d.neighbours(3);
    assert_eq!(d.depth().await, QueueDepth::default());
    d.ready(&users[0]).await;
    d.advance(Duration::from_secs(3)).await;
    d.ready(&users[1]).await;
    d.ready(&users[2]).await;
    let stranger = d.stranger();
    d.ready(&stranger).await;
    d.advance(Duration::from_secs(1)).await;

    let claims = d.claim(&users[0], 2).await;
    d.release(&users[1], claims[1].token, LEASE).await;
    let second = Duration::from_secs(1);
    let depth = QueueDepth { ready: 2, claimed: 1, delayed: 1, oldest: 4 * second, ..QueueDepth::default() };
    assert_eq!(d.depth().await, depth);

    d.hint(&users[0], news("b", 2)).await;
    d.advance(second).await;
    d.ack(&claims[0]).await;
    let depth = QueueDepth { ready: 3, delayed: 1, oldest: 2 * second, ..QueueDepth::default() };
    assert_eq!(d.depth().await, depth, "what was told waits no more");
}

pub(super) async fn the_bell_names_a_partition_with_ready_users<H: Harness>(mut d: Driver<H>) {
    let alice = user("alice");
    d.enter(&alice, "g1").await;

    let home = d.partition(&alice);
    // It may wake for nothing, and says then for which partition.
    let heard = async { while d.backend().bell().await != home {} };

    let (rung, ()) =
        tokio::join!(tokio::time::timeout(Duration::from_secs(10), heard), d.hint(&alice, news("a", 1)));

    rung.expect("somebody waits, so the ring is heard");
    assert_ne!(d.view(&alice).await.fresh, DirtyMap::default());
}
