//! What gateways say, and what nobody follows any more.

use std::num::NonZeroU32;
use std::sync::atomic::Ordering;

use doorbell_channel_svc::Config;
use doorbell_rpc::Channels;

use crate::rig::{Behaviour, Rig, call, gateway, word};

#[tokio::test(start_paused = true)]
async fn followers_are_counted_over_all_gateways() {
    let rig = Rig::new();
    rig.say("g1", vec![word("a", 1, 5, 0)]).await;
    rig.say("g2", vec![word("a", 1, 7, 0)]).await;
    assert_eq!(rig.followers("a").await, 12);

    rig.say("g1", vec![word("a", 1, 6, 0)]).await;
    rig.say("g2", vec![word("a", 2, 0, 0)]).await;

    assert_eq!(rig.followers("a").await, 6);
    assert_eq!(rig.followers("b").await, 0);
}

#[tokio::test(start_paused = true)]
async fn what_was_published_before_the_first_word_is_told_with_it() {
    let mut rig = Rig::new();
    rig.publish("a", 3).await;
    rig.publish("b", 4).await;

    rig.say("g1", vec![word("a", 1, 1, 2), word("b", 2, 1, 4), word("c", 3, 1, 0)]).await;

    assert_eq!(rig.next_call().await, call("g1", &[("a", 3)]), "it has the other already");
    rig.say("g1", vec![word("a", 4, 2, 3)]).await;
    rig.assert_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_keeps_a_gateway_waiting_for_less_than_it_waits() {
    let rig = Rig::new();
    rig.store.hangs.store(true, Ordering::SeqCst);
    let began = tokio::time::Instant::now();

    rig.say("g1", vec![word("a", 1, 1, 0)]).await;

    assert_eq!(began.elapsed(), Config::default().publish_deadline);
    assert_eq!(rig.followers("a").await, 1, "it is held all the same");
}

#[tokio::test(start_paused = true)]
async fn a_late_word_undoes_no_newer_one() {
    let mut rig = Rig::new();
    rig.say("g1", vec![word("a", 3, 5, 0), word("b", 4, 0, 0)]).await;

    rig.say("g1", vec![word("a", 2, 0, 0), word("b", 1, 9, 0)]).await;

    assert_eq!((rig.followers("a").await, rig.followers("b").await), (5, 0));
    rig.publish("b", 1).await;
    rig.assert_quiet().await;
    rig.say("g1", vec![word("b", 5, 1, 0)]).await;
    assert_eq!(rig.next_call().await, call("g1", &[("b", 1)]), "it begins again with a newer word");
}

#[tokio::test(start_paused = true)]
async fn what_nobody_follows_is_unsubscribed_unless_it_was_said_later() {
    let mut rig = Rig::new();
    rig.behave("g1", Behaviour::Unfollowed(4));
    rig.say("g1", vec![word("old", 4, 1, 0), word("new", 5, 1, 0)]).await;

    rig.publish("old", 1).await;
    rig.publish("new", 1).await;
    rig.next_call().await;
    rig.assert_quiet().await;

    assert_eq!((rig.followers("old").await, rig.followers("new").await), (0, 1));
    rig.say("g1", vec![word("old", 3, 1, 0)]).await;
    assert_eq!(rig.followers("old").await, 0, "a word from before");
}

#[tokio::test(start_paused = true)]
async fn a_greater_version_that_a_gateway_brings_is_published_to_the_others() {
    let mut rig = Rig::new();
    rig.say("g1", vec![word("a", 1, 1, 0)]).await;

    rig.say("g2", vec![word("a", 1, 1, 7)]).await;

    assert_eq!(rig.stored("a").await, 7);
    assert_eq!(rig.next_call().await, call("g1", &[("a", 7)]));
    rig.say("g2", vec![word("a", 1, 1, 6)]).await;
    rig.assert_quiet().await;
    assert_eq!(rig.stored("a").await, 7);
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_brings_less_than_what_is_stored_is_told() {
    let mut rig = Rig::new();
    rig.publish("a", 7).await;

    rig.say("g1", vec![word("a", 1, 1, 3)]).await;
    assert_eq!(rig.next_call().await, call("g1", &[("a", 7)]), "from the store");

    rig.say("g2", vec![word("a", 1, 1, 0)]).await;
    assert_eq!(rig.next_call().await, call("g2", &[("a", 7)]), "published while its word was on its way");
    rig.assert_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_subscription_whose_version_cannot_be_stored_is_to_be_said_again() {
    let mut rig = Rig::new();
    rig.store.fails.store(true, Ordering::SeqCst);
    let g1 = gateway("g1");
    let said = || rig.service.subscribe(&g1, vec![word("a", 1, 1, 3)]);
    assert!(said().await.is_err());

    rig.store.fails.store(false, Ordering::SeqCst);
    said().await.unwrap();

    assert_eq!((rig.stored("a").await, rig.followers("a").await), (3, 1));
    rig.publish("a", 4).await;
    assert_eq!(rig.next_call().await, call("g1", &[("a", 4)]));
}

#[tokio::test(start_paused = true)]
async fn what_waits_goes_with_the_subscription() {
    let mut rig = Rig::new();
    rig.behave("g1", Behaviour::Unreachable);
    rig.say("g1", vec![word("a", 1, 1, 0), word("b", 2, 1, 0)]).await;
    rig.publish("a", 1).await;
    rig.publish("b", 1).await;
    rig.next_call().await;

    rig.say("g1", vec![word("a", 3, 0, 0)]).await;

    assert_eq!(rig.next_call().await, call("g1", &[("b", 1)]));
}

#[tokio::test(start_paused = true)]
async fn a_gateway_has_no_more_subscriptions_than_it_may() {
    let config = Config { gateway_topics_max: NonZeroU32::new(1).unwrap(), ..Config::default() };
    let mut rig = Rig::with(config);

    rig.say("g1", vec![word("a", 1, 1, 0), word("b", 2, 1, 0)]).await;
    rig.publish("b", 1).await;
    rig.assert_quiet().await;
    assert_eq!(rig.metric("doorbell_channel_refused_total"), 1.0);

    rig.say("g1", vec![word("a", 3, 0, 0), word("b", 4, 1, 0)]).await;
    rig.publish("b", 2).await;
    assert_eq!(rig.next_call().await, call("g1", &[("b", 2)]));
}
