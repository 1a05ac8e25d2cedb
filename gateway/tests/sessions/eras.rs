//! GW-18: who asks what there is before the stored versions are lost, and follows after it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use doorbell_gateway::Config;
use doorbell_protocol::frames::HintFrame;
use doorbell_protocol::{CallId, ClientFrame, ServerFrame, Version};

use crate::client::Client;
use crate::neighbours::topic;
use crate::rig::Rig;

const LARGE: &str = "conversation:large";
/// A topic of another back end: nobody announces its versions again.
const ORDERS: &str = "orders:7";
const CHANGES: &str = "doorbell_gateway_version_store_changes_total";

/// Looks never, as far as a test goes.
fn blind() -> Config {
    Config { channel_look_interval: Duration::from_secs(3_600), ..Config::default() }
}

fn looking() -> Config {
    Config { channel_look_interval: Duration::from_millis(5), ..Config::default() }
}

async fn subscribe(client: &mut Client, name: &str) {
    let topics = vec![(topic(name), Version::ZERO)];
    client.send(&ClientFrame::Subscribe { id: CallId::Number(1), topics }).await;
}

/// Reads until `resync` comes.
async fn resync(client: &mut Client) -> HintFrame {
    loop {
        if let ServerFrame::Hint(hint) = client.next().await.unwrap()
            && hint.resync
        {
            return hint;
        }
    }
}

#[tokio::test]
async fn a_subscription_asked_for_before_the_loss_and_made_after_it_is_told_resync() {
    let rig = Rig::with(looking());
    rig.members.allow("ada", ORDERS, 3);
    let mut ada = rig.session("ada").await;
    rig.asked(1).await;
    rig.members.hold();
    subscribe(&mut ada, ORDERS).await;
    rig.until("it is asked", || rig.members.authorized.lock().len() == 1).await;
    // Version 4 comes, is stored, and is lost with the store; nobody followed it.
    rig.store.replace(&[]);
    rig.until("the loss is seen", || rig.metric(CHANGES) >= 16.0).await;
    let looks = rig.store.looks.load(Ordering::SeqCst);
    rig.until("all is told", || rig.store.looks.load(Ordering::SeqCst) > looks + 1).await;
    rig.members.let_go();
    let hint = resync(&mut ada).await;
    assert!(hint.pull_after_ms.is_some_and(|after| after <= 3_000), "{hint:?}");
    rig.stop().await;
}

#[tokio::test]
async fn a_first_follow_that_meets_another_store_than_was_seen_before_its_ask_is_told_resync() {
    let rig = Rig::with(blind());
    rig.members.allow("ada", ORDERS, 3);
    let mut ada = rig.session("ada").await;
    rig.asked(1).await;
    rig.members.hold();
    subscribe(&mut ada, ORDERS).await;
    rig.until("it is asked", || rig.members.authorized.lock().len() == 1).await;
    rig.store.replace(&[]);
    rig.members.let_go();
    // Nothing of the partition was followed before, and nobody looks again: the first read finds it out.
    resync(&mut ada).await;
    rig.stop().await;
}

#[tokio::test]
async fn large_topics_asked_for_before_the_loss_and_followed_after_it_are_told_resync() {
    let rig = Rig::with(looking());
    rig.members.join("ada", LARGE, 5);
    rig.members.hold();
    let mut ada = rig.session("ada").await;
    let mut bob = rig.session("bob").await;
    rig.asked(2).await;
    rig.store.replace(&[]);
    rig.until("the loss is seen", || rig.metric(CHANGES) >= 16.0).await;
    rig.members.let_go();
    resync(&mut ada).await;
    rig.until("bob was answered", || rig.metric("doorbell_gateway_large_topics_asks_waiting") == 0.0).await;
    assert_eq!(bob.settle().await, [], "bob follows nothing");
    rig.stop().await;
}

#[tokio::test]
async fn what_is_asked_and_followed_in_one_era_is_told_no_resync() {
    let rig = Rig::with(looking());
    rig.members.allow("ada", ORDERS, 3);
    rig.store.replace(&[]);
    let mut ada = rig.session("ada").await;
    rig.until("it looks", || rig.store.looks.load(Ordering::SeqCst) > 3).await;
    subscribe(&mut ada, ORDERS).await;
    ada.reply().await.1.unwrap();
    assert_eq!(ada.hint().await.topics, [(topic(ORDERS), Version::new(3).unwrap())]);
    let looks = rig.store.looks.load(Ordering::SeqCst);
    rig.until("it looks", || rig.store.looks.load(Ordering::SeqCst) > looks + 3).await;
    assert_eq!(ada.settle().await, []);
    rig.stop().await;
}

#[tokio::test]
async fn until_the_stores_were_seen_nothing_is_followed_and_then_it_is() {
    let rig = Rig::with(blind());
    rig.store.fail();
    rig.members.join("ada", LARGE, 5);
    let mut ada = rig.session("ada").await;
    rig.until("it looks", || rig.metric("doorbell_gateway_version_store_calls_total") >= 2.0).await;
    assert_eq!(rig.members.asks(), 0);
    assert_eq!(ada.settle().await, []);
    rig.store.recover();
    assert_eq!(ada.hint().await.topics, [(topic(LARGE), Version::new(5).unwrap())]);
    rig.stop().await;
}
