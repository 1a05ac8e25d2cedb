//! Every outcome ends in the right settlement.

use std::num::NonZeroU32;
use std::time::Duration;

use doorbell_backplane::{Registry, Settled};
use doorbell_notifier::Config;
use doorbell_protocol::{Epoch, Generation, Stamp};

use crate::rig::{Behaviour, Rig, Store, gateway, user};

const SECOND: Duration = Duration::from_secs(1);
const MILLI: Duration = Duration::from_millis(1);

/// Names of users who share a partition, so that one claim takes them all.
fn neighbours(rig: &Rig, count: usize) -> Vec<String> {
    use doorbell_backplane::HintQueue;
    let partitions = rig.memory.partitions();
    let home = partitions.of(&user("user-0"));
    let names = (0..).map(|n| format!("user-{n}"));
    names.filter(|name| partitions.of(&user(name)) == home).take(count).collect()
}

fn named(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

#[tokio::test(start_paused = true)]
async fn a_hint_reaches_each_gateway_of_its_user_and_is_acked() {
    let mut rig = Rig::new();
    for id in ["gw-1", "gw-2"] {
        rig.open_for_good(id, Behaviour::Ring).await;
        rig.enter("ada", id).await;
    }
    let _running = rig.start(Config::default());

    rig.hint(&["ada"], 7).await;

    let mut called = Vec::new();
    for _ in 0..2 {
        let call = rig.next_call().await;
        assert_eq!(call.versions("ada"), [7]);
        called.push(call.gateway);
    }
    called.sort();
    assert_eq!(called, [gateway("gw-1"), gateway("gw-2")]);
    let settled = rig.next_settled().await;
    assert_eq!(settled.settled, Settled::Acked { requeued: false, online: true });
    assert!(rig.is_idle("ada"));
}

#[tokio::test(start_paused = true)]
async fn users_claimed_together_go_to_their_gateway_in_one_call() {
    let mut rig = Rig::new();
    rig.open_for_good("gw-1", Behaviour::Ring).await;
    let names = neighbours(&rig, 20);
    for name in &names {
        rig.enter(name, "gw-1").await;
    }

    rig.hint(&named(&names), 1).await;
    let _running = rig.start(Config::default());

    assert_eq!(rig.next_call().await.users().len(), 20);
    assert_eq!(rig.metric("doorbell_notifier_turns_total"), 1.0);
}

#[tokio::test(start_paused = true)]
async fn absent_removes_the_entry_up_to_the_stamp_answered_and_no_newer_one() {
    let mut rig = Rig::new();
    let last = Stamp { epoch: Epoch(u64::MAX), generation: Generation(0) };
    rig.open_for_good("gw-1", Behaviour::Absent(last)).await;
    rig.open_for_good("gw-2", Behaviour::Absent(Stamp::default())).await;
    rig.enter("ada", "gw-1").await;
    rig.enter("ada", "gw-2").await;
    let _running = rig.start(Config::default());

    rig.hint(&["ada"], 1).await;

    let settled = rig.next_settled().await;
    assert_eq!(settled.settled, Settled::Acked { requeued: false, online: true });
    let left = rig.memory.look_up(vec![user("ada")]).await.unwrap().remove(0);
    assert_eq!(left.iter().map(|entry| &entry.gateway).collect::<Vec<_>>(), [&gateway("gw-2")]);
}

#[tokio::test(start_paused = true)]
async fn a_user_with_nobody_left_is_acked_as_offline() {
    let mut rig = Rig::new();
    let last = Stamp { epoch: Epoch(u64::MAX), generation: Generation(0) };
    rig.open_for_good("gw-1", Behaviour::Absent(last)).await;
    rig.enter("ada", "gw-1").await;
    let _running = rig.start(Config::default());

    rig.hint(&["ada"], 1).await;

    assert_eq!(rig.next_settled().await.settled, Settled::Acked { requeued: false, online: false });
    assert_eq!(rig.metric("doorbell_notifier_settlements_total{outcome=\"offline\"}"), 1.0);
}

/// N1, R9.
#[tokio::test(start_paused = true)]
async fn a_live_gateway_out_of_reach_delays_its_users_and_newer_hints_merge_meanwhile() {
    for behaviour in [Behaviour::Unreachable, Behaviour::Busy, Behaviour::Short] {
        let mut rig = Rig::new();
        rig.open_for_good("gw-1", behaviour).await;
        rig.enter("ada", "gw-1").await;
        let _running = rig.start(Config::default());

        rig.hint(&["ada"], 1).await;
        let first = rig.next_settled().await;
        assert_eq!(first.settled, Settled::Delayed, "{behaviour:?}");
        rig.next_call().await;
        rig.hint(&["ada"], 2).await;
        rig.tell("gw-1", Behaviour::Ring);

        let second = rig.next_settled().await;
        assert_eq!(second.settled, Settled::Acked { requeued: false, online: true }, "{behaviour:?}");
        assert!(second.at - first.at <= 2 * SECOND, "{behaviour:?}: {:?}", second.at - first.at);
        assert_eq!(rig.next_call().await.versions("ada"), [2], "{behaviour:?}");
        assert!(rig.is_idle("ada"), "{behaviour:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn tries_at_a_gateway_out_of_reach_stay_within_two_seconds_of_each_other() {
    let mut rig = Rig::new();
    rig.open_for_good("gw-1", Behaviour::Unreachable).await;
    rig.enter("ada", "gw-1").await;
    let _running = rig.start(Config::default());

    rig.hint(&["ada"], 1).await;

    let mut last = rig.next_call().await.at;
    for nth in 0..20 {
        let next = rig.next_call().await.at;
        // A delay of two seconds at most, and the look that ends it.
        assert!(next - last <= 3 * SECOND, "try {nth} after {:?}", next - last);
        last = next;
    }
    assert_eq!(rig.metric("doorbell_notifier_settlements_total{outcome=\"acked\"}"), 0.0);
}

#[tokio::test(start_paused = true)]
async fn a_dead_gateway_out_of_reach_delays_nobody_and_its_entry_is_swept() {
    let mut rig = Rig::new();
    rig.open("gw-1", Behaviour::Unreachable, 5 * MILLI).await;
    rig.enter("ada", "gw-1").await;
    tokio::time::advance(10 * MILLI).await;
    rig.hint(&["ada"], 1).await;

    let _running = rig.start(Config::default());

    assert_eq!(rig.next_settled().await.settled, Settled::Acked { requeued: false, online: false });
    tokio::time::sleep(2 * SECOND).await;
    assert!(rig.memory.look_up(vec![user("ada")]).await.unwrap()[0].is_empty());
    assert_eq!(rig.metric("doorbell_notifier_swept_entries_total"), 1.0);
}

#[tokio::test(start_paused = true)]
async fn the_sweep_takes_everything_in_bounded_steps_and_only_from_the_dead() {
    let mut rig = Rig::new();
    rig.open("gw-1", Behaviour::Ring, 5 * MILLI).await;
    rig.open_for_good("gw-2", Behaviour::Ring).await;
    let names: Vec<_> = (0..200).map(|n| format!("user-{n}")).collect();
    for name in &names {
        rig.enter(name, "gw-1").await;
        rig.enter(name, "gw-2").await;
    }
    tokio::time::advance(10 * MILLI).await;

    let _running = rig.start(Config { sweep_entries_max: NonZeroU32::new(3).unwrap(), ..Config::default() });

    tokio::time::sleep(SECOND).await;
    let left = rig.memory.look_up(names.iter().map(|name| user(name)).collect()).await.unwrap();
    assert!(left.iter().all(|entries| entries.len() == 1 && entries[0].gateway == gateway("gw-2")));
    assert_eq!(rig.metric("doorbell_notifier_swept_entries_total"), 200.0);
}

#[tokio::test(start_paused = true)]
async fn a_hint_that_comes_during_a_delivery_is_delivered_after_it() {
    let mut rig = Rig::new();
    rig.open_for_good("gw-1", Behaviour::Slow(300 * MILLI)).await;
    rig.enter("ada", "gw-1").await;
    let _running = rig.start(Config::default());
    rig.hint(&["ada"], 1).await;
    assert_eq!(rig.next_call().await.versions("ada"), [1]);

    rig.hint(&["ada"], 2).await;

    assert_eq!(rig.next_settled().await.settled, Settled::Acked { requeued: true, online: true });
    assert_eq!(rig.next_call().await.versions("ada"), [2]);
    assert_eq!(rig.next_settled().await.settled, Settled::Acked { requeued: false, online: true });
}

#[tokio::test(start_paused = true)]
async fn more_users_than_one_claim_takes_are_all_rung_without_waiting_for_a_look() {
    let mut rig = Rig::new();
    rig.open_for_good("gw-1", Behaviour::Ring).await;
    let names = neighbours(&rig, 50);
    for name in &names {
        rig.enter(name, "gw-1").await;
    }
    rig.store(Store::Mute);
    rig.hint(&named(&names), 1).await;

    let _running = rig.start(Config { claim_users_max: NonZeroU32::new(4).unwrap(), ..Config::default() });

    let first = rig.next_settled().await.at;
    let mut last = first;
    for _ in 1..50 {
        last = rig.next_settled().await.at;
    }
    assert!(last - first < 100 * MILLI, "{:?}", last - first);
}

#[tokio::test(start_paused = true)]
async fn a_lost_bell_costs_a_look_and_no_hint() {
    let mut rig = Rig::new();
    rig.open_for_good("gw-1", Behaviour::Ring).await;
    rig.enter("ada", "gw-1").await;
    rig.store(Store::Mute);
    let _running = rig.start(Config::default());
    tokio::time::sleep(100 * MILLI).await;

    let hinted = tokio::time::Instant::now();
    rig.hint(&["ada"], 1).await;

    assert!(rig.next_call().await.at - hinted <= SECOND);
}

#[tokio::test(start_paused = true)]
async fn the_age_of_a_hint_is_counted_from_its_coming_to_its_delivery() {
    let mut rig = Rig::new();
    rig.open_for_good("gw-1", Behaviour::Slow(300 * MILLI)).await;
    rig.enter("ada", "gw-1").await;
    let _running = rig.start(Config::default());

    rig.hint(&["ada"], 1).await;
    rig.next_settled().await;

    let age = rig.metric("doorbell_notifier_hint_age_seconds_sum");
    assert!((0.3..0.4).contains(&age), "{age}");
    assert_eq!(rig.metric("doorbell_notifier_hint_age_seconds_count"), 1.0);
    assert_eq!(rig.metric("doorbell_notifier_in_hand_users"), 0.0);
}

#[tokio::test(start_paused = true)]
async fn the_sweep_removes_only_after_it_told_who_went() {
    let mut rig = Rig::new();
    rig.open("gw-1", Behaviour::Ring, 5 * MILLI).await;
    rig.open_for_good("gw-2", Behaviour::Ring).await;
    rig.enter("ada", "gw-1").await;
    rig.enter("bob", "gw-2").await;
    tokio::time::advance(10 * MILLI).await;
    rig.fail_presence(true);

    let _running = rig.start(Config::default());

    tokio::time::sleep(5 * SECOND).await;
    assert_eq!(rig.memory.look_up(vec![user("ada")]).await.unwrap()[0].len(), 1, "nobody knows yet");
    assert!(rig.metric("doorbell_notifier_backplane_errors_total{operation=\"tell\"}") >= 4.0);
    rig.fail_presence(false);
    tokio::time::sleep(2 * SECOND).await;
    assert!(rig.memory.look_up(vec![user("ada")]).await.unwrap()[0].is_empty());
    assert_eq!(rig.went(), ["ada"]);
}
