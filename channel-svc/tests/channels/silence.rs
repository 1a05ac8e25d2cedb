//! Gateways that die, are cut off and come back, and a service that does.

use std::sync::Arc;
use std::time::Duration;

use doorbell_channel_svc::Config;

use crate::rig::{Behaviour, Rig, call, word};

const WINDOW: Duration = Duration::from_secs(10);

#[tokio::test(start_paused = true)]
async fn a_dead_gateway_loses_its_subscriptions_in_one_step() {
    let mut rig = Rig::new();
    rig.behave("dead", Behaviour::Unreachable);
    rig.say("dead", vec![word("a", 1, 5, 0), word("b", 2, 5, 0)]).await;
    rig.say("live", vec![word("a", 1, 1, 0)]).await;

    rig.pass(WINDOW / 2, &["live"]).await;
    assert_eq!(rig.followers("a").await, 6);
    rig.pass(WINDOW / 2 + Duration::from_secs(2), &["live"]).await;

    assert_eq!((rig.followers("a").await, rig.followers("b").await), (1, 0));
    assert_eq!(rig.metric("doorbell_channel_forgotten_gateways_total"), 1.0);
    assert_eq!(rig.metric("doorbell_channel_gateways"), 1.0);
    assert_eq!(rig.metric("doorbell_channel_subscriptions"), 1.0);
    assert_eq!(rig.metric("doorbell_channel_topics"), 1.0);
    rig.publish("a", 1).await;
    assert_eq!(rig.next_call().await, call("live", &[("a", 1)]));
    rig.publish("b", 1).await;
    rig.assert_quiet().await;
}

/// K16.
#[tokio::test(start_paused = true)]
async fn a_dead_gateway_delays_no_other_while_it_is_tried() {
    let mut rig = Rig::new();
    rig.behave("dead", Behaviour::Unreachable);
    rig.say("dead", vec![word("a", 1, 5, 0)]).await;
    rig.say("live", vec![word("a", 1, 1, 0)]).await;

    for number in 1..4 {
        rig.publish("a", number).await;
        while rig.next_call().await != call("live", &[("a", number)]) {}
    }
}

/// K16.
#[tokio::test(start_paused = true)]
async fn a_gateway_that_was_cut_off_learns_that_it_was_forgotten() {
    let mut rig = Rig::new();
    let before = rig.say("g1", vec![word("a", 1, 1, 0)]).await;
    assert_eq!(rig.say("g1", vec![]).await, before);
    rig.pass(WINDOW + Duration::from_secs(2), &[]).await;
    rig.publish("a", 1).await;
    rig.assert_quiet().await;

    let after = rig.say("g1", vec![]).await;

    assert_ne!(after, before);
    assert_eq!(rig.say("g1", vec![word("a", 1, 1, 0)]).await, after, "with the generation of before");
    rig.publish("a", 2).await;
    assert_eq!(rig.next_call().await, call("g1", &[("a", 2)]));
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_says_it_is_there_or_answers_is_never_forgotten() {
    let rig = Rig::new();
    rig.behave("talks", Behaviour::Unreachable);
    rig.say("talks", vec![word("a", 1, 1, 0)]).await;
    rig.say("answers", vec![word("b", 1, 1, 0)]).await;

    for number in 1..8 {
        rig.publish("b", number).await;
        rig.pass(WINDOW / 3, &["talks"]).await;
    }

    assert_eq!((rig.followers("a").await, rig.followers("b").await), (1, 1));
}

/// K15.
#[tokio::test(start_paused = true)]
async fn a_service_that_starts_empty_has_another_life_and_heals_when_all_is_said_again() {
    let mut rig = Rig::new();
    let before = rig.say("g1", vec![word("a", 1, 5, 0)]).await;
    rig.publish("a", 1).await;
    rig.end().await.unwrap();

    let mut again = Rig::over(Arc::clone(&rig.store), Config::default());
    assert_eq!(again.publish("a", 2).await, 2);
    let after = again.say("g1", vec![]).await;
    assert_ne!(after, before);
    again.say("g1", vec![word("a", 1, 5, 1)]).await;

    assert_eq!(again.next_call().await, call("g1", &[("a", 2)]), "published while nobody was known");
    assert_eq!(again.followers("a").await, 5);
    again.assert_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn ends_are_remembered_no_longer_than_a_word_may_be_late() {
    let rig = Rig::new();
    rig.say("g1", vec![word("a", 1, 1, 0)]).await;
    rig.say("g1", vec![word("a", 2, 0, 0)]).await;
    rig.pass(Duration::from_secs(2), &["g1"]).await;
    assert_eq!(rig.metric("doorbell_channel_topics"), 1.0);
    assert_eq!(rig.metric("doorbell_channel_subscriptions"), 0.0);

    rig.pass(WINDOW + Duration::from_secs(2), &["g1"]).await;

    assert_eq!(rig.metric("doorbell_channel_topics"), 0.0);
}
