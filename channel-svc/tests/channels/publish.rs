//! From a publish to the gateways.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use doorbell_channel_svc::{Config, Error};
use doorbell_protocol::Raise;
use doorbell_rpc::Channels;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::rig::{Behaviour, NOW_MS, Rig, call, topic, version, word};

#[tokio::test(start_paused = true)]
async fn a_publish_is_stored_and_sent_once_to_each_gateway_that_subscribes() {
    let mut rig = Rig::new();
    rig.say("g1", vec![word("a", 1, 5, 0), word("b", 2, 1, 0)]).await;
    rig.say("g2", vec![word("a", 1, 7, 0)]).await;

    assert_eq!(rig.publish("a", 3).await, 3);

    assert_eq!(rig.stored("a").await, 3);
    let mut calls = vec![rig.next_call().await, rig.next_call().await];
    calls.sort();
    assert_eq!(calls, [call("g1", &[("a", 3)]), call("g2", &[("a", 3)])]);
    rig.publish("a", 3).await;
    rig.publish("a", 2).await;
    rig.publish("c", 9).await;
    rig.assert_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn answers_stand_in_the_order_asked_over_several_batches() {
    let config = Config { batch_topics_max: NonZeroU32::new(2).unwrap(), ..Config::default() };
    let mut rig = Rig::with(config);
    rig.say("g1", vec![word("a", 1, 1, 0), word("b", 2, 1, 0), word("c", 3, 1, 0)]).await;

    let to = |number| Raise::To(version(number));
    let raises = vec![(topic("c"), to(3)), (topic("a"), to(1)), (topic("b"), Raise::Next)];
    let stored = rig.service.publish(raises).await.unwrap();

    assert_eq!(stored, [version(3), version(1), version(NOW_MS)]);
    let calls = [rig.next_call().await, rig.next_call().await];
    assert!(calls.iter().all(|(_, topics)| topics.len() <= 2), "{calls:?}");
    assert_eq!(calls.iter().map(|(_, topics)| topics.len()).sum::<usize>(), 3);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_told_or_acknowledged_that_was_not_stored() {
    let mut rig = Rig::new();
    rig.say("g1", vec![word("a", 1, 1, 0)]).await;

    for broken in [&rig.store.fails, &rig.store.hangs] {
        broken.store(true, Ordering::SeqCst);
        let answer = rig.service.publish(vec![(topic("a"), Raise::To(version(3)))]).await;
        assert!(matches!(answer, Err(doorbell_rpc::Error::Unavailable { .. })), "{answer:?}");
        broken.store(false, Ordering::SeqCst);
    }
    rig.assert_quiet().await;

    assert_eq!(rig.publish("a", 3).await, 3);
    assert_eq!(rig.next_call().await, call("g1", &[("a", 3)]));
}

#[tokio::test(start_paused = true)]
async fn a_slow_gateway_gets_the_greatest_version_and_delays_nobody() {
    let mut rig = Rig::new();
    let permits = Arc::new(Semaphore::new(0));
    rig.behave("slow", Behaviour::Waits(Arc::clone(&permits)));
    rig.say("slow", vec![word("a", 1, 1, 0), word("b", 2, 1, 0)]).await;
    rig.say("fast", vec![word("b", 1, 1, 0)]).await;
    rig.publish("a", 1).await;
    assert_eq!(rig.next_call().await, call("slow", &[("a", 1)]));

    for number in 2..=10 {
        rig.publish("a", number).await;
    }
    rig.publish("b", 1).await;

    assert_eq!(rig.next_call().await, call("fast", &[("b", 1)]), "while the slow one has not answered");
    permits.add_permits(2);
    assert_eq!(rig.next_call().await, call("slow", &[("a", 10), ("b", 1)]));
    rig.assert_quiet().await;
    assert_eq!(rig.metric("doorbell_channel_conflated_total"), 8.0);
}

#[tokio::test(start_paused = true)]
async fn a_call_ends_with_its_deadline_and_is_tried_again_with_what_is_newest() {
    let mut rig = Rig::new();
    let permits = Arc::new(Semaphore::new(0));
    rig.behave("g1", Behaviour::Waits(Arc::clone(&permits)));
    rig.say("g1", vec![word("a", 1, 1, 0), word("b", 2, 1, 0)]).await;
    rig.publish("a", 1).await;
    rig.publish("b", 1).await;
    let began = Instant::now();
    let first = rig.next_call().await;

    rig.publish("a", 2).await;
    let second = rig.next_call().await;

    assert_eq!((first, second), (call("g1", &[("a", 1), ("b", 1)]), call("g1", &[("a", 2), ("b", 1)])));
    let config = Config::default();
    assert!(began.elapsed() >= config.publish_deadline, "{:?}", began.elapsed());
    assert!(began.elapsed() <= config.publish_deadline + config.delay_min, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn whatever_a_gateway_fails_with_it_is_told_when_it_answers_again() {
    for failure in [Behaviour::Unreachable, Behaviour::Busy, Behaviour::Short] {
        let mut rig = Rig::new();
        rig.behave("g1", failure);
        rig.say("g1", vec![word("a", 1, 1, 0)]).await;
        rig.publish("a", 1).await;
        for _ in 0..3 {
            assert_eq!(rig.next_call().await, call("g1", &[("a", 1)]));
        }

        rig.behave("g1", Behaviour::Follows);

        assert_eq!(rig.next_call().await, call("g1", &[("a", 1)]));
        rig.assert_quiet().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_waits_at_the_stop_is_sent_once_more() {
    let mut rig = Rig::new();
    rig.behave("g1", Behaviour::Unreachable);
    rig.say("g1", vec![word("a", 1, 1, 0)]).await;
    rig.publish("a", 1).await;
    rig.next_call().await;
    rig.behave("g1", Behaviour::Follows);
    rig.publish("a", 2).await;

    rig.end().await.unwrap();

    assert_eq!(rig.next_call().await, call("g1", &[("a", 2)]));
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_hangs_does_not_hold_up_the_stop() {
    let mut rig = Rig::new();
    rig.behave("g1", Behaviour::Waits(Arc::new(Semaphore::new(0))));
    rig.say("g1", vec![word("a", 1, 1, 0)]).await;
    rig.publish("a", 1).await;
    rig.next_call().await;

    let began = Instant::now();
    rig.end().await.unwrap();

    let deadline = Config::default().publish_deadline;
    assert!(began.elapsed() <= deadline + Duration::from_millis(1), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_panic_ends_the_service() {
    let mut rig = Rig::new();
    rig.behave("g1", Behaviour::Panics);
    rig.say("g1", vec![word("a", 1, 1, 0)]).await;

    rig.publish("a", 1).await;

    assert!(matches!(rig.ended().await, Err(Error::Panicked(_))));
}
