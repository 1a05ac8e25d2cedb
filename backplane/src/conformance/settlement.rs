//! Settling what was told, and what was not.

use super::driver::{DELAY, Driver, TICK, TTL, gateway, map, news, stamp, user};
use super::{Harness, Place, UserView};
use crate::{Claim, Settled, Settlement};

const ACKED: Settled = Settled::Acked { requeued: false, online: true };
const OFFLINE: Settled = Settled::Acked { requeued: false, online: false };

pub(super) async fn an_ack_forgets_what_was_told<H: Harness>(mut d: Driver<H>) {
    let alice = user("alice");
    let (_, claim) = d.claimed(&alice).await;

    assert_eq!(d.ack(&claim).await, ACKED);

    assert_eq!(d.place(&alice).await, Place::Idle);
    assert!(d.claim(&alice, 10).await.is_empty());
}

pub(super) async fn newer_news_queue_the_user_again_at_the_ack<H: Harness>(mut d: Driver<H>) {
    let alice = user("alice");
    let (_, claim) = d.claimed(&alice).await;
    d.advance(TICK).await;
    let since = d.now().await;
    d.hint(&alice, news("a", 2)).await;
    d.advance(TICK).await;

    assert_eq!(d.ack(&claim).await, Settled::Acked { requeued: true, online: true });

    let Claim { dirty, since: oldest, .. } = d.claim_one(&alice).await;
    assert_eq!((dirty, oldest), (map([news("a", 2)]), since), "only what came after the claim");
}

pub(super) async fn a_second_settlement_is_stale<H: Harness>(mut d: Driver<H>) {
    let alice = user("alice");
    let (entry, claim) = d.claimed(&alice).await;
    d.hint(&alice, news("a", 2)).await;
    d.ack(&claim).await;

    let absent = vec![(gateway("g1"), entry.stamp)];
    assert_eq!(d.settle(&claim, absent, vec![]).await, Settled::Stale);

    assert_eq!(d.place(&alice).await, Place::Queued);
    assert_eq!(d.entries(&alice).await, [entry]);
}

pub(super) async fn settlements_of_one_call_are_answered_in_order<H: Harness>(mut d: Driver<H>) {
    let users = d.neighbours(3);
    let mut entries = Vec::new();
    for one in &users {
        entries.push(d.ready(one).await);
    }
    let claims = d.claim(&users[0], 3).await;
    let settlement = |at: usize| Settlement {
        user: users[at].clone(),
        token: claims[at].token,
        absent: if at == 0 { vec![(gateway("g1"), entries[0].stamp)] } else { vec![] },
        unreachable: if at == 1 { vec![entries[1].clone()] } else { vec![] },
    };

    let answers = d.settle_all(&users[0], [1, 0, 2, 0].map(settlement).to_vec()).await;

    assert_eq!(answers, [Settled::Delayed, OFFLINE, ACKED, Settled::Stale]);
}

pub(super) async fn an_absent_gateway_loses_entries_up_to_its_stamp<H: Harness>(mut d: Driver<H>) {
    let alice = user("alice");
    let (old, claim) = d.claimed(&alice).await;
    let newer = d.enter(&alice, "g1").await;
    let other = d.enter(&alice, "g2").await;

    assert_eq!(d.settle(&claim, vec![(gateway("g1"), old.stamp)], vec![]).await, ACKED);
    assert_eq!(d.entries(&alice).await, [newer.clone(), other.clone()], "entered after the gateway looked");

    d.hint(&alice, news("a", 2)).await;
    let claim = d.claim_one(&alice).await;
    let beyond = stamp(newer.stamp.epoch, newer.stamp.generation.0 + 1);
    assert_eq!(d.settle(&claim, vec![(gateway("g1"), beyond)], vec![]).await, ACKED);
    assert_eq!(d.entries(&alice).await, [other]);
}

pub(super) async fn a_gateway_out_of_reach_delays_its_users<H: Harness>(mut d: Driver<H>) {
    let alice = user("alice");
    let (entry, claim) = d.claimed(&alice).await;

    assert_eq!(d.settle(&claim, vec![], vec![entry]).await, Settled::Delayed);

    let view = d.view(&alice).await;
    assert_eq!((view.place, view.fresh), (Place::Delayed, map([news("a", 1)])));
    d.advance(DELAY - TICK).await;
    assert!(d.claim(&alice, 10).await.is_empty());
    d.advance(TICK).await;
    assert_eq!(d.claim_one(&alice).await.dirty, map([news("a", 1)]));
}

pub(super) async fn news_wait_with_a_delayed_user<H: Harness>(mut d: Driver<H>) {
    let alice = user("alice");
    let (entry, claim) = d.claimed(&alice).await;
    d.hint(&alice, news("b", 1)).await;
    d.settle(&claim, vec![], vec![entry]).await;

    d.hint(&alice, news("a", 2)).await;

    assert!(d.claim(&alice, 10).await.is_empty(), "news do not shorten the delay");
    d.advance(DELAY).await;
    let again = d.claim_one(&alice).await;
    assert_eq!((again.dirty, again.since), (map([news("a", 2), news("b", 1)]), claim.since));
}

pub(super) async fn a_gateway_whose_lease_ended_is_skipped_and_its_entry_left<H: Harness>(mut d: Driver<H>) {
    let alice = user("alice");
    let entry = d.ready(&alice).await;
    d.advance(TTL).await;
    let claim = d.claim_one(&alice).await;

    assert_eq!(d.settle(&claim, vec![], vec![entry.clone()]).await, OFFLINE);

    assert_eq!(d.place(&alice).await, Place::Idle);
    assert_eq!(d.entries(&alice).await, [entry], "left to the sweep");
}

pub(super) async fn liveness_is_judged_at_the_settlement<H: Harness>(mut d: Driver<H>) {
    let alice = user("alice");
    let (entry, claim) = d.claimed(&alice).await;
    d.end_lease(&alice, "g1").await;
    assert_eq!(d.settle(&claim, vec![], vec![entry]).await, OFFLINE, "live at the claim, dead since");

    d.hint(&alice, news("a", 2)).await;
    let claim = d.claim_one(&alice).await;
    let entry = d.enter(&alice, "g1").await;
    assert_eq!(
        d.settle(&claim, vec![], vec![entry]).await,
        Settled::Delayed,
        "dead at the claim, back since"
    );
}

pub(super) async fn an_entry_of_an_earlier_epoch_delays_nobody<H: Harness>(mut d: Driver<H>) {
    let alice = user("alice");
    let (entry, claim) = d.claimed(&alice).await;
    let partition = d.partition(&alice);
    d.take_lease("g1", partition).await;

    assert_eq!(
        d.settle(&claim, vec![], vec![entry]).await,
        OFFLINE,
        "the gateway will enter again, and resync"
    );
}

pub(super) async fn absent_entries_go_before_liveness_is_judged<H: Harness>(mut d: Driver<H>) {
    let alice = user("alice");
    let first = d.ready(&alice).await;
    let second = d.enter(&alice, "g2").await;
    let claim = d.claim_one(&alice).await;

    let settled = d.settle(&claim, vec![(gateway("g1"), first.stamp)], vec![second.clone()]).await;

    assert_eq!(settled, Settled::Delayed);
    assert_eq!(d.entries(&alice).await, [second]);
    let expected =
        UserView { place: Place::Delayed, aside: map([]), fresh: map([news("a", 1)]), expiries: 0 };
    assert_eq!(d.view(&alice).await, expected);
}

pub(super) async fn a_user_is_online_while_an_entry_is_live<H: Harness>(mut d: Driver<H>) {
    let alice = user("alice");
    let first = d.ready(&alice).await;
    d.enter(&alice, "g2").await;
    let claim = d.claim_one(&alice).await;
    d.hint(&alice, news("a", 2)).await;
    let absent = vec![(gateway("g1"), first.stamp)];
    assert_eq!(d.settle(&claim, absent, vec![]).await, Settled::Acked { requeued: true, online: true });

    let claim = d.claim_one(&alice).await;
    d.hint(&alice, news("a", 3)).await;
    d.end_lease(&alice, "g2").await;
    assert_eq!(d.ack(&claim).await, Settled::Acked { requeued: true, online: false });
}
