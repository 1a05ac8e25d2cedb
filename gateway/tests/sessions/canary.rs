//! GW-19: canaries, rung by the gateway, carried by a worker of the test's own. The clock is paused: seconds pass at once.

use std::sync::atomic::Ordering;
use std::time::Duration;

use doorbell_backplane::{HintQueue, Partition, Registry, Settlement};
use doorbell_gateway::Config;
use doorbell_protocol::{DirtyMap, UserId};
use doorbell_rpc::{DeliverRequest, Delivered, GatewayApi};

use crate::doubles::Foul;
use crate::rig::Rig;

const INTERVAL: Duration = Duration::from_secs(10);
const SECOND: Duration = Duration::from_secs(1);
const AGE: &str = "doorbell_gateway_canary_age_seconds";
const LATE: &str = "doorbell_gateway_canaries_late";
const PARTITIONS: usize = 16;

fn rig() -> Rig {
    Rig::with_canaries(Config { canary_interval: INTERVAL, ..Config::default() })
}

/// All canaries that have an entry, with the epochs of their entries.
async fn entered(rig: &Rig) -> Vec<(UserId, u64)> {
    let all: Vec<UserId> = (0..2_000).map(|nth| UserId::canary(rig.gateway.id(), nth)).collect();
    let entries = rig.memory.look_up(all.clone()).await.unwrap();
    let found = all.into_iter().zip(entries).filter(|(_, entries)| !entries.is_empty());
    found.map(|(user, entries)| (user, entries[0].stamp.epoch.0)).collect()
}

/// What a notifier does with a partition, once: answers what became of each user.
async fn carry(rig: &Rig, partition: Partition) -> Vec<Delivered> {
    let claims = rig.memory.claim(partition, 100, 5 * SECOND).await.unwrap();
    let request = |claim: &doorbell_backplane::Claim| DeliverRequest {
        user: claim.user.clone(),
        dirty: claim.dirty.clone(),
    };
    let answers = rig.gateway.deliver(claims.iter().map(request).collect()).await.unwrap();
    let settlements = claims.into_iter().map(|claim| Settlement {
        user: claim.user,
        token: claim.token,
        absent: Vec::new(),
        unreachable: Vec::new(),
    });
    rig.memory.settle(partition, settlements.collect(), SECOND).await.unwrap();
    answers
}

/// Lets seconds pass, in each of which the partitions that `carries` says are carried.
async fn pass(rig: &Rig, seconds: u32, carries: impl Fn(usize) -> bool) {
    for _ in 0..seconds {
        let _ = tokio::time::timeout(SECOND, std::future::pending::<()>()).await;
        for partition in rig.memory.partitions().all().filter(|partition| carries(partition.index())) {
            for answer in carry(rig, partition).await {
                assert_eq!(answer, Delivered::Sessions(1));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn each_partition_has_one_that_is_heard_all_the_time_and_counts_as_nobody() {
    let rig = rig();
    pass(&rig, 20, |_| true).await;
    assert_eq!(entered(&rig).await.len(), PARTITIONS);

    for _ in 0..40 {
        pass(&rig, 1, |_| true).await;
        assert!(rig.metric(AGE) <= 12.0, "{}", rig.metric(AGE));
    }

    let rings = rig.metric("doorbell_gateway_canary_rings_total");
    assert!((80.0..=112.0).contains(&rings), "one a partition in 10 s: {rings}");
    for users in ["enters_total", "enters_waiting", "sessions", "sockets", "hints_total", "presence_waiting"]
    {
        assert_eq!(rig.metric(&format!("doorbell_gateway_{users}")), 0.0, "{users}");
    }
    for (canary, _) in entered(&rig).await {
        assert_eq!(rig.members.ways(canary.as_str()), []);
    }
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_nobody_carries_is_late_and_its_partitions_alone() {
    let rig = rig();
    pass(&rig, 29, |_| false).await;
    assert_eq!(rig.metric(LATE), 0.0);

    pass(&rig, 4, |_| false).await;
    assert_eq!(rig.metric(LATE), PARTITIONS as f64);
    assert!(rig.metric(AGE) >= 31.0);

    pass(&rig, 12, |partition| partition != 3).await;
    assert_eq!(rig.metric(LATE), 1.0);
    assert!(rig.metric(AGE) >= 43.0);

    pass(&rig, 12, |_| true).await;
    assert_eq!(rig.metric(LATE), 0.0);
    assert!(rig.metric(AGE) <= 12.0);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn after_a_lost_lease_it_is_entered_again_under_the_new_one() {
    let rig = rig();
    pass(&rig, 2, |_| true).await;
    let before = entered(&rig).await;

    rig.advance(6);
    pass(&rig, 3, |_| true).await;

    let after = entered(&rig).await;
    assert_eq!(after.len(), PARTITIONS);
    assert!(before.iter().zip(&after).all(|(before, after)| before.0 == after.0 && before.1 < after.1));
    pass(&rig, 20, |_| true).await;
    assert!(rig.metric(AGE) <= 12.0);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_somebody_removed_is_found_missing_and_entered_again() {
    let rig = rig();
    pass(&rig, 2, |_| true).await;
    let (canary, _) = entered(&rig).await.remove(0);
    let entry = rig.memory.look_up(vec![canary.clone()]).await.unwrap().remove(0).remove(0);
    rig.memory.leave(vec![doorbell_backplane::Enter { user: canary.clone(), entry }]).await.unwrap();
    assert_eq!(entered(&rig).await.len(), PARTITIONS - 1);

    pass(&rig, 24, |_| true).await;

    assert_eq!(entered(&rig).await.len(), PARTITIONS);
    assert!(rig.metric(AGE) <= 12.0);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn while_the_registry_fails_none_is_rung_and_all_are_late_until_it_is_back() {
    let rig = rig();
    rig.registry.fail();
    pass(&rig, 32, |_| true).await;
    assert_eq!(rig.metric("doorbell_gateway_canary_rings_total"), 0.0);
    assert_eq!(rig.metric(LATE), PARTITIONS as f64);

    rig.registry.recover();
    pass(&rig, 15, |_| true).await;

    assert_eq!(entered(&rig).await.len(), PARTITIONS);
    assert_eq!(rig.metric(LATE), 0.0);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_drain_takes_them_out_of_the_registry_and_none_comes_back() {
    let rig = rig();
    pass(&rig, 20, |_| true).await;

    rig.gateway.drain(5 * SECOND).await;

    assert!(entered(&rig).await.is_empty());
    let rings = rig.metric("doorbell_gateway_canary_rings_total");
    pass(&rig, 20, |_| true).await;
    assert!(entered(&rig).await.is_empty());
    assert_eq!(rig.metric("doorbell_gateway_canary_rings_total"), rings);
    rig.stop().await;
}

/// A registry without room takes leaves, which make some.
#[tokio::test]
async fn one_that_cannot_be_entered_keeps_nobody_from_leaving_and_costs_nobody_their_entry() {
    for foul in [Foul::Refused, Foul::Empty] {
        let config = Config { presence_grace: Duration::from_millis(20), ..Config::default() };
        let rig = Rig::with_canaries(config);
        *rig.registry.canaries.lock() = Some(foul);
        let mut ada = rig.session("ada").await;

        ada.close().await;

        rig.until("she has left", || !rig.registry.left.lock().is_empty()).await;
        assert_eq!(rig.metric("doorbell_gateway_lease_lapses_total"), 0.0, "{foul:?}");
        *rig.registry.canaries.lock() = None;
        let canaries = || rig.registry.enters.load(Ordering::SeqCst) > PARTITIONS;
        rig.until("where it is taken, it is entered", canaries).await;
        rig.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn turned_off_there_is_none() {
    let rig = Rig::with_canaries(Config { canary_interval: Duration::ZERO, ..Config::default() });
    tokio::time::sleep(60 * SECOND).await;
    assert!(entered(&rig).await.is_empty());
    assert_eq!(rig.registry.enters.load(Ordering::SeqCst), 0);
    assert_eq!((rig.metric(AGE), rig.metric(LATE)), (0.0, 0.0));
    let request = DeliverRequest { user: UserId::canary(rig.gateway.id(), 0), dirty: DirtyMap::default() };
    let answers = rig.gateway.deliver(vec![request]).await.unwrap();
    assert!(matches!(answers[..], [Delivered::Absent(_)]));
    rig.stop().await;
}
