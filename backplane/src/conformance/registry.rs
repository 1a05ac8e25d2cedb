//! Leases and entries.

use std::time::Duration;

use doorbell_protocol::{Epoch, UserId};

use super::Harness;
use super::driver::{Driver, TICK, TTL, gateway, news, stamp, user};
use crate::{Enter, Entered, Entry, HintReport, LeaseRenewal, Partition, Registry as _};

const ANSWERS: &str = "the back-end answers";

async fn renew<H: Harness>(d: &Driver<H>, name: &str, partition: Partition, epoch: Epoch) -> LeaseRenewal {
    let renewed =
        d.backend().renew_leases(&gateway(name), vec![(partition, epoch)], TTL).await.expect(ANSWERS);
    assert_eq!(renewed.len(), 1, "one answer for one lease");
    renewed[0].clone()
}

async fn is_live<H: Harness>(d: &Driver<H>, name: &str, partition: Partition, epoch: Epoch) -> bool {
    renew(d, name, partition, epoch).await != LeaseRenewal::Lapsed
}

fn enter(name: &str, at: &str, epoch: Epoch, generation: u64) -> Enter {
    Enter { user: user(name), entry: Entry { gateway: gateway(at), stamp: stamp(epoch, generation) } }
}

pub(super) async fn an_epoch_is_greater_than_every_earlier_one_and_not_below_the_time<H: Harness>(
    mut d: Driver<H>,
) {
    let home = d.partition(&user("alice"));
    let start = d.now().await.as_millis();
    let mut epochs = Vec::new();
    for name in ["g1", "g2", "g1"] {
        epochs.push(d.take_lease(name, home).await.0);
    }
    d.advance(Duration::from_secs(1)).await;
    epochs.push(d.take_lease("g2", home).await.0);

    assert_eq!(epochs, [start, start + 1, start + 2, start + 1_000]);
}

pub(super) async fn a_new_lease_ends_the_one_before<H: Harness>(mut d: Driver<H>) {
    let home = d.partition(&user("alice"));
    let old = d.take_lease("g1", home).await;
    let other = d.take_lease("g2", home).await;

    let new = d.take_lease("g1", home).await;

    assert!(!is_live(&d, "g1", home, old).await);
    assert!(is_live(&d, "g1", home, new).await && is_live(&d, "g2", home, other).await);
    assert!(!is_live(&d, "g1", home, other).await, "another gateway's epoch");
}

pub(super) async fn a_renewal_counts_from_now<H: Harness>(mut d: Driver<H>) {
    let home = d.partition(&user("alice"));
    let epoch = d.take_lease("g1", home).await;

    for _ in 0..3 {
        d.advance(TTL - TICK).await;
        assert!(is_live(&d, "g1", home, epoch).await);
    }
    d.advance(TTL).await;
    assert!(!is_live(&d, "g1", home, epoch).await);
}

pub(super) async fn a_lapsed_lease_is_never_revived<H: Harness>(mut d: Driver<H>) {
    let home = d.partition(&user("alice"));
    let epoch = d.take_lease("g1", home).await;
    d.advance(TTL).await;

    for _ in 0..2 {
        assert_eq!(renew(&d, "g1", home, epoch).await, LeaseRenewal::Lapsed);
        assert_eq!(d.try_enter(enter("alice", "g1", epoch, 1)).await, Entered::LeaseLapsed);
    }
    assert!(d.take_lease("g1", home).await > epoch);
}

pub(super) async fn ending_a_lease_takes_its_own_epoch<H: Harness>(mut d: Driver<H>) {
    let home = d.partition(&user("alice"));
    let epoch = d.take_lease("g1", home).await;
    let end = async |d: &Driver<H>, name: &str, epoch| {
        d.backend().end_leases(&gateway(name), vec![(home, epoch)]).await.expect(ANSWERS);
    };

    end(&d, "g1", Epoch(epoch.0 - 1)).await;
    end(&d, "g1", Epoch(epoch.0 + 1)).await;
    end(&d, "g2", epoch).await;
    assert!(is_live(&d, "g1", home, epoch).await);

    end(&d, "g1", epoch).await;
    assert!(!is_live(&d, "g1", home, epoch).await);
}

pub(super) async fn leases_are_of_one_partition<H: Harness>(mut d: Driver<H>) {
    let (alice, stranger) = (user("alice"), d.stranger());
    let (home, abroad) = (d.partition(&alice), d.partition(&stranger));
    let epoch = d.take_lease("g1", home).await;

    let renewed = d.backend().renew_leases(&gateway("g1"), vec![(abroad, epoch), (home, epoch)], TTL).await;

    let live: Vec<bool> = renewed.expect(ANSWERS).iter().map(|one| *one != LeaseRenewal::Lapsed).collect();
    assert_eq!(live, [false, true]);
    assert_eq!(d.try_enter(enter(stranger.as_str(), "g1", epoch, 1)).await, Entered::LeaseLapsed);
}

pub(super) async fn the_identity_is_that_of_the_store<H: Harness>(mut d: Driver<H>) {
    let home = d.partition(&user("alice"));
    let identity = d.backend().take_lease(&gateway("g1"), home, TTL).await.expect(ANSWERS).identity;
    let epoch = d.take_lease("g2", home).await;
    assert_eq!(renew(&d, "g2", home, epoch).await, LeaseRenewal::Renewed(identity.clone()));

    let other = Driver::<H>::fresh().await;
    let elsewhere = other.backend().take_lease(&gateway("g1"), home, TTL).await.expect(ANSWERS).identity;
    assert_ne!(identity, elsewhere);
}

pub(super) async fn an_enter_without_a_live_lease_is_refused<H: Harness>(mut d: Driver<H>) {
    let alice = user("alice");
    let home = d.partition(&alice);
    assert_eq!(d.try_enter(enter("alice", "g1", Epoch(0), 1)).await, Entered::LeaseLapsed, "no lease at all");

    let old = d.take_lease("g1", home).await;
    let new = d.take_lease("g1", home).await;
    for (name, epoch) in [("g1", old), ("g1", Epoch(new.0 + 1)), ("g2", new)] {
        assert_eq!(
            d.try_enter(enter("alice", name, epoch, 1)).await,
            Entered::LeaseLapsed,
            "{name} {epoch:?}"
        );
    }
    d.advance(TTL).await;
    assert_eq!(d.try_enter(enter("alice", "g1", new, 1)).await, Entered::LeaseLapsed, "lapsed");
    assert!(d.entries(&alice).await.is_empty());
}

pub(super) async fn a_confirmed_enter_is_seen_by_the_next_hint<H: Harness>(mut d: Driver<H>) {
    let users = [d.neighbours(2), vec![d.stranger()]].concat();
    for one in &users {
        d.enter(one, "g1").await;
    }

    let report = d.announce(users.iter().map(|user| (user.clone(), news("a", 1))).collect()).await;

    assert_eq!(report, HintReport { queued: 3, ..HintReport::default() });
}

pub(super) async fn a_greater_stamp_replaces_an_entry_and_a_smaller_changes_nothing<H: Harness>(
    mut d: Driver<H>,
) {
    let alice = user("alice");
    let home = d.partition(&alice);
    let epoch = d.take_lease("g1", home).await;
    let mut seen = Vec::new();
    for generation in [2, 1, 2, 3] {
        assert_eq!(d.try_enter(enter("alice", "g1", epoch, generation)).await, Entered::Registered);
        seen.push(d.entries(&alice).await[0].stamp.generation.0);
    }
    let next = d.take_lease("g1", home).await;
    assert_eq!(d.try_enter(enter("alice", "g1", epoch, 9)).await, Entered::LeaseLapsed);
    assert_eq!(d.try_enter(enter("alice", "g1", next, 1)).await, Entered::Registered);

    assert_eq!(seen, [2, 2, 2, 3]);
    assert_eq!(d.entries(&alice).await, [Entry { gateway: gateway("g1"), stamp: stamp(next, 1) }]);
}

pub(super) async fn a_leave_removes_only_what_is_not_newer<H: Harness>(mut d: Driver<H>) {
    let alice = user("alice");
    let entry = d.enter(&alice, "g1").await;
    let (epoch, generation) = (entry.stamp.epoch, entry.stamp.generation.0);

    d.leave(&alice, "g1", stamp(epoch, generation - 1)).await;
    d.leave(&alice, "g1", stamp(Epoch(epoch.0 - 1), generation + 9)).await;
    d.leave(&alice, "g2", stamp(epoch, generation)).await;
    assert_eq!(d.entries(&alice).await, [entry]);

    d.leave(&alice, "g1", stamp(epoch, generation)).await;
    assert!(d.entries(&alice).await.is_empty());
    d.leave(&alice, "g1", stamp(epoch, generation)).await;

    let entry = d.enter(&alice, "g1").await;
    d.leave(&alice, "g1", stamp(Epoch(entry.stamp.epoch.0 + 1), 0)).await;
    assert!(d.entries(&alice).await.is_empty(), "a later epoch covers all of an earlier");
}

pub(super) async fn gateways_do_not_touch_each_others_entries<H: Harness>(mut d: Driver<H>) {
    let alice = user("alice");
    let first = d.enter(&alice, "g1").await;
    let second = d.enter(&alice, "g2").await;
    assert_eq!(d.entries(&alice).await, [first.clone(), second.clone()]);

    d.leave(&alice, "g1", second.stamp).await;

    assert_eq!(d.entries(&alice).await, [second]);
}

pub(super) async fn answers_stand_in_the_order_asked<H: Harness>(mut d: Driver<H>) {
    let users = [d.neighbours(2), vec![d.stranger()], d.neighbours(4)[2..].to_vec()].concat();
    let mut enters = Vec::new();
    for one in &users {
        enters.push(d.next_entry(one, "g1").await);
    }
    enters[1].entry.gateway = gateway("g2");
    enters[2].entry.stamp.epoch.0 += 1;

    let answers = d.backend().enter(enters.clone()).await.expect(ANSWERS);
    let (yes, no) = (Entered::Registered, Entered::LeaseLapsed);
    assert_eq!(answers, [yes, no, no, yes, yes]);

    let asked = [4, 2, 0, 3, 0].map(|at: usize| users[at].clone()).to_vec();
    let found = d.backend().look_up(asked).await.expect(ANSWERS);
    let entries = |at: usize| vec![enters[at].entry.clone()];
    assert_eq!(found, [entries(4), vec![], entries(0), entries(3), entries(0)]);
}

pub(super) async fn a_user_is_online_by_an_entry_under_a_live_lease<H: Harness>(mut d: Driver<H>) {
    let (users, stranger) = (d.neighbours(4), d.stranger());
    let twice = d.enter(&users[0], "g1").await;
    d.enter(&users[0], "g2").await;
    d.enter(&users[1], "g2").await;
    d.enter(&stranger, "g1").await;
    let left = d.enter(&users[2], "g1").await;
    d.leave(&users[2], "g1", left.stamp).await;
    let asked = [&users[3], &stranger, &users[1], &users[0], &users[2], &users[1]].map(Clone::clone).to_vec();
    let online = async |d: &Driver<H>| d.backend().online(asked.clone()).await.expect(ANSWERS);
    assert_eq!(online(&d).await, [false, true, true, true, false, true], "in the order asked");

    d.end_lease(&users[0], "g2").await;
    assert_eq!(online(&d).await, [false, true, false, true, false, false], "the entries are still there");

    d.leave(&users[0], "g1", twice.stamp).await;
    assert_eq!(online(&d).await, [false, true, false, false, false, false]);

    d.advance(TTL).await;
    assert_eq!(online(&d).await, [false; 6], "a lease ends with its time");
    let home = d.partition(&users[1]);
    d.take_lease("g2", home).await;
    assert_eq!(online(&d).await, [false; 6], "a new lease covers no entry of an earlier one");
}

pub(super) async fn entries_lapse_with_their_lease<H: Harness>(mut d: Driver<H>) {
    let users = d.neighbours(3);
    let first = d.enter(&users[0], "g1").await;
    d.enter(&users[1], "g2").await;
    d.enter(&d.stranger(), "g1").await;
    assert!(d.lapsed(&users[0], 10).await.is_empty());

    d.end_lease(&users[0], "g1").await;

    assert_eq!(d.lapsed(&users[0], 10).await, [Enter { user: users[0].clone(), entry: first.clone() }]);
    assert_eq!(d.entries(&users[0]).await, [first], "removed by leave alone");
    d.advance(TTL).await;
    assert_eq!(d.lapsed(&users[0], 10).await.len(), 2, "time ends the other's as well");
}

pub(super) async fn a_canary_is_entered_rung_and_swept_like_anybody<H: Harness>(mut d: Driver<H>) {
    let canary = UserId::canary(&gateway("g1"), 7);
    let entry = d.enter(&canary, "g1").await;

    d.hint(&canary, news("a", 1)).await;

    let claim = d.claim_one(&canary).await;
    assert_eq!((&claim.user, &claim.entries), (&canary, &vec![entry.clone()]));
    d.end_lease(&canary, "g1").await;
    assert_eq!(d.lapsed(&canary, 10).await, [Enter { user: canary, entry }]);
}

pub(super) async fn an_entry_of_an_earlier_epoch_has_lapsed<H: Harness>(mut d: Driver<H>) {
    let users = d.neighbours(2);
    let forgotten = d.enter(&users[0], "g1").await;
    d.enter(&users[1], "g1").await;
    let home = d.partition(&users[0]);
    d.take_lease("g1", home).await;

    d.enter(&users[1], "g1").await;

    assert_eq!(d.lapsed(&users[0], 10).await, [Enter { user: users[0].clone(), entry: forgotten }]);
}

pub(super) async fn the_sweep_takes_as_many_as_asked_until_none_is_left<H: Harness>(mut d: Driver<H>) {
    let users = d.neighbours(5);
    for one in &users {
        d.enter(one, "g1").await;
    }
    let live = d.enter(&users[0], "g2").await;
    d.end_lease(&users[0], "g1").await;
    assert!(d.lapsed(&users[0], 0).await.is_empty());

    let mut swept = Vec::new();
    for expected in [2, 2, 1, 0] {
        let some = d.lapsed(&users[0], 2).await;
        assert_eq!(some.len(), expected);
        swept.extend(some.iter().map(|one| one.user.clone()));
        d.backend().leave(some).await.expect(ANSWERS);
    }

    swept.sort();
    let mut expected = users.clone();
    expected.sort();
    assert_eq!(swept, expected);
    assert_eq!(d.entries(&users[0]).await, [live]);
}
