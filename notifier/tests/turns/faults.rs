//! Timeouts, half-failed batches, a stop in the middle, leases that end: nothing is lost, and nobody waits for a
//! stranger's gateway.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use doorbell_backplane::queue::entry::UserState;
use doorbell_backplane::{HintQueue, Settled};
use doorbell_notifier::{Config, Error};
use tokio::time::Instant;

use crate::rig::{Behaviour, Rig, Store, user};

const SECOND: Duration = Duration::from_secs(1);
const MILLI: Duration = Duration::from_millis(1);
const ACKED: Settled = Settled::Acked { requeued: false, online: true };

/// Ada at a gateway that does as told, Bob of the same partition at one that rings.
async fn ada_and_bob(behaviour: Behaviour) -> (Rig, String) {
    let mut rig = Rig::new();
    let partitions = rig.memory.partitions();
    let bob = (0..)
        .map(|n| format!("bob-{n}"))
        .find(|name| partitions.of(&user(name)) == partitions.of(&user("ada")))
        .unwrap();
    rig.open_for_good("gw-ada", behaviour).await;
    rig.open_for_good("gw-bob", Behaviour::Ring).await;
    rig.enter("ada", "gw-ada").await;
    rig.enter(&bob, "gw-bob").await;
    (rig, bob)
}

/// N1.
#[tokio::test(start_paused = true)]
async fn a_stuck_gateway_delays_its_own_users_and_no_others_of_the_claim() {
    let (mut rig, bob) = ada_and_bob(Behaviour::Stuck).await;
    let start = Instant::now();
    rig.hint(&["ada", &bob], 1).await;

    let _running = rig.start(Config::default());

    let first = rig.next_settled().await;
    assert_eq!((first.settlement.user, first.settled), (user(&bob), ACKED));
    assert!(first.at - start < 10 * MILLI, "{:?}", first.at - start);
    let second = rig.next_settled().await;
    assert_eq!((second.settlement.user, second.settled), (user("ada"), Settled::Delayed));
    assert_eq!(second.at - start, SECOND, "the deadline");
}

#[tokio::test(start_paused = true)]
async fn a_user_with_a_stuck_and_a_sound_gateway_is_rung_at_once_and_settled_after_both() {
    let (mut rig, bob) = ada_and_bob(Behaviour::Stuck).await;
    rig.enter("ada", "gw-bob").await;
    let start = Instant::now();
    rig.hint(&["ada", &bob], 1).await;

    let _running = rig.start(Config::default());

    for _ in 0..2 {
        assert!(rig.next_call().await.at - start < 10 * MILLI);
    }
    assert_eq!(rig.next_settled().await.settlement.user, user(&bob));
    let ada = rig.next_settled().await;
    assert_eq!((ada.settlement.user.as_str(), ada.settled), ("ada", Settled::Delayed));
    assert_eq!(ada.settlement.unreachable.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn while_a_stuck_gateway_is_spared_its_turns_cost_nothing() {
    let (mut rig, bob) = ada_and_bob(Behaviour::Stuck).await;
    let _running = rig.start(Config::default());
    rig.hint(&["ada"], 1).await;
    assert_eq!(rig.next_settled().await.settled, Settled::Delayed);

    for version in 0..50 {
        let start = Instant::now();
        rig.hint(&["ada", &bob], version + 1).await;
        loop {
            let settled = rig.next_settled().await;
            if settled.settlement.user == user(&bob) {
                assert!(settled.at - start < 10 * MILLI, "{:?}", settled.at - start);
                break;
            }
        }
        tokio::time::sleep(100 * MILLI).await;
    }
}

#[tokio::test(start_paused = true)]
async fn r9_a_user_with_thousands_of_changes_costs_a_claim_at_a_time_and_delays_nobody() {
    let (mut rig, bob) = ada_and_bob(Behaviour::Slow(100 * MILLI)).await;
    let start = Instant::now();
    let _running = rig.start(Config::default());

    let mut adas = 0;
    for version in 1..=2_000 {
        rig.hint(&["ada"], version).await;
        tokio::time::sleep(MILLI).await;
        if version % 200 == 0 {
            let start = Instant::now();
            rig.hint(&[&bob], version).await;
            loop {
                let settled = rig.next_settled().await;
                if settled.settlement.user == user(&bob) {
                    assert!(settled.at - start < 10 * MILLI, "{:?}", settled.at - start);
                    break;
                }
                adas += 1;
            }
        }
    }
    while rig.next_settled().await.settled != ACKED {
        adas += 1;
    }

    let most = start.elapsed().as_millis() / 100 + 1;
    assert!(adas < most, "{adas} claims in the time of {most} deliveries, one after the other");
}

#[tokio::test(start_paused = true)]
async fn a_slow_gateway_with_many_users_leaves_places_for_the_others() {
    let (mut rig, bob) = ada_and_bob(Behaviour::Slow(900 * MILLI)).await;
    let crowd: Vec<_> = (0..40).map(|n| format!("crowd-{n}")).collect();
    for name in &crowd {
        rig.enter(name, "gw-ada").await;
    }
    let count = |number| NonZeroU32::new(number).unwrap();
    let config = Config {
        claim_users_max: count(4),
        users_in_hand_max: count(24),
        gateway_users_in_hand_max: count(8),
        ..Config::default()
    };
    let _running = rig.start(config);
    // One by one, so that the gateway's calls overlap and grow old.
    for name in &crowd {
        rig.hint(&[name], 1).await;
        tokio::time::sleep(20 * MILLI).await;
    }

    let start = Instant::now();
    rig.hint(&[&bob], 1).await;

    loop {
        let settled = rig.next_settled().await;
        if settled.settlement.user == user(&bob) {
            assert!(settled.at - start < 50 * MILLI, "{:?}", settled.at - start);
            break;
        }
    }
    let mut acked = 0;
    while acked < crowd.len() {
        tokio::time::sleep(100 * MILLI).await;
        acked = crowd.iter().filter(|name| rig.is_idle(name)).count();
        assert!(start.elapsed() < 30 * SECOND, "only {acked} were rung");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_finishes_what_is_being_delivered() {
    let (mut rig, _) = ada_and_bob(Behaviour::Slow(500 * MILLI)).await;
    let (stop, running) = rig.start(Config::default());
    rig.hint(&["ada"], 1).await;
    rig.next_call().await;

    stop.cancel();
    running.ended().await.unwrap();

    assert_eq!(rig.next_settled().await.settled, ACKED);
    assert!(rig.is_idle("ada"));
}

#[tokio::test(start_paused = true)]
async fn a_stop_gives_up_on_a_stuck_gateway_at_the_deadline_and_leaves_no_claim() {
    let (mut rig, _) = ada_and_bob(Behaviour::Stuck).await;
    let (stop, running) = rig.start(Config::default());
    rig.hint(&["ada"], 1).await;
    rig.next_call().await;

    let stopped = Instant::now();
    stop.cancel();
    running.ended().await.unwrap();

    assert!(stopped.elapsed() <= SECOND);
    assert!(matches!(rig.memory.user(&user("ada")), UserState::Delayed { .. }), "merged back, not claimed");
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_comes_after_the_stop_is_released() {
    let (rig, _) = ada_and_bob(Behaviour::Ring).await;
    rig.store(Store::SlowToClaim(500 * MILLI));
    rig.hint(&["ada"], 1).await;
    let (stop, running) = rig.start(Config::default());
    tokio::time::sleep(100 * MILLI).await;
    assert!(matches!(rig.memory.user(&user("ada")), UserState::Claimed { .. }));

    stop.cancel();
    running.ended().await.unwrap();

    assert!(matches!(rig.memory.user(&user("ada")), UserState::Queued { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_backplane_that_was_away_is_worked_with_again_within_its_backoff() {
    let (mut rig, _) = ada_and_bob(Behaviour::Ring).await;
    rig.store(Store::Failing);
    let _running = rig.start(Config::default());
    rig.hint(&["ada"], 1).await;
    tokio::time::sleep(30 * SECOND).await;
    assert!(rig.no_more_calls());
    assert!(rig.metric("doorbell_notifier_backplane_errors_total{operation=\"claim\"}") > 10.0);

    let back = Instant::now();
    rig.store(Store::Sound);

    assert!(rig.next_call().await.at - back <= 2 * SECOND);
    assert_eq!(rig.next_settled().await.settled, ACKED);
}

/// N2, R5.
#[tokio::test(start_paused = true)]
async fn a_delivery_that_cannot_be_settled_is_repeated_after_its_lease() {
    let (mut rig, _) = ada_and_bob(Behaviour::Ring).await;
    rig.store(Store::FailingToSettle);
    let _running = rig.start(Config::default());
    rig.hint(&["ada"], 1).await;
    let first = rig.next_call().await.at;
    tokio::time::sleep(7 * SECOND).await;

    rig.store(Store::Sound);

    let second = rig.next_call().await;
    assert!(second.at - first >= 5 * SECOND, "{:?}", second.at - first);
    assert_eq!(second.versions("ada"), [1]);
    while rig.next_settled().await.settled == Settled::Stale {}
    assert!(rig.is_idle("ada"));
}

/// K10.
#[tokio::test(start_paused = true)]
async fn a_lease_that_ends_under_a_stuck_gateway_loses_nothing_and_the_late_settlement_is_stale() {
    let (mut rig, _) = ada_and_bob(Behaviour::Stuck).await;
    // Against the relation that `validate` demands, so that the lease ends first.
    let config = Config {
        claim_lease: 500 * MILLI,
        deliver_deadline: 2 * SECOND,
        workers: NonZeroUsize::new(2).unwrap(),
        ..Config::default()
    };
    let _running = rig.start(config);
    rig.hint(&["ada"], 1).await;
    rig.next_call().await;

    rig.tell("gw-ada", Behaviour::Ring);

    assert_eq!(rig.next_call().await.versions("ada"), [1]);
    assert_eq!(rig.next_settled().await.settled, ACKED);
    assert_eq!(rig.next_settled().await.settled, Settled::Stale);
    assert!(rig.is_idle("ada"));
    assert_eq!(rig.metric("doorbell_notifier_settlements_total{outcome=\"stale\"}"), 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_turn_ends_the_notifier_with_an_error() {
    let (rig, _) = ada_and_bob(Behaviour::Panic).await;
    let (_stop, running) = rig.start(Config::default());

    rig.hint(&["ada"], 1).await;

    assert!(matches!(running.ended().await, Err(Error::Panicked(_))));
}
