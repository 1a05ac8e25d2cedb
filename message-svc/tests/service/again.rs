//! What was announced to a backplane that is another one now is announced again (R2, R3), and nothing else is.

use std::time::Duration;

use doorbell_message_svc::Config;
use serde_json::json;

use crate::support::{House, config};

fn topic(conversation: &str) -> String {
    format!("conversation:{conversation}")
}

/// A house in which bob was rung, a large conversation published and a status moved, all of which the backplane has.
async fn told() -> (House, String, String) {
    let mut house = House::with(Config { small_audience_max: 2, ..config() });
    house.run();
    let small = house.send_to("ada", "bob", "x").await;
    let large = house.group("ada", &["bob", "eve"]).await;
    house.send("ada", &large, "y").await;
    house.ok("ada", "status.set", json!({"state": "busy", "text": ""})).await;
    has_all(&house, &small, &large, 1).await;
    (house, small, large)
}

async fn has_all(house: &House, small: &str, large: &str, inbox: u64) {
    house.bells.rung("bob", &topic(small), 1).await;
    house.bells.rung("bob", "inbox:bob", inbox).await;
    house.published.reached(&topic(large), 1).await;
    house.published.reached("presence:ada", 1).await;
}

/// The backplane loses everything.
fn lose(house: &House) {
    house.bells.hush();
    house.published.forget();
}

/// R1, R2, R3.
#[tokio::test]
async fn another_store_of_one_partition_has_everything_of_the_window_announced_again() {
    let (mut house, small, large) = told().await;
    house.bells.stores.looked().await;
    lose(&house);
    house.bells.stores.looked().await;
    assert!(house.bells.told().is_empty() && house.published.topics().is_empty(), "it is the same one");

    house.bells.stores.replace(3..4);
    has_all(&house, &small, &large, 2).await;
    // Once.
    house.bells.stores.looked().await;
    lose(&house);
    house.bells.stores.looked().await;
    assert!(house.bells.told().is_empty() && house.published.topics().is_empty());
    house.stop().await;
}

#[tokio::test]
async fn stores_that_change_while_nothing_runs_are_noticed_at_the_next_start() {
    let (mut house, small, large) = told().await;
    house.bells.stores.looked().await;
    house.stop().await;
    let mut house = house.reopen().await;
    house.published.forget();
    house.bells.stores.replace(0..16);
    house.run();
    has_all(&house, &small, &large, 2).await;
    house.bells.stores.looked().await;

    // What they are was noted with it.
    let mut house = house.reopen().await;
    house.bells.stores.replace(0..16);
    house.run();
    house.bells.stores.looked().await;
    assert!(house.bells.told().is_empty(), "{:?}", house.bells.told());
    house.stop().await;
}

#[tokio::test]
async fn a_change_that_is_noticed_in_the_middle_of_a_step_is_not_undone_by_it() {
    let (mut house, small, large) = told().await;
    house.bells.stores.looked().await;
    // The next step hangs in the middle, and ends only after the change was seen.
    house.bells.fail(usize::MAX);
    let other = house.send_to("carol", "dave", "z").await;
    house.bells.asked().await;
    lose(&house);
    house.bells.stores.replace(0..1);
    house.bells.stores.looked().await;
    house.bells.fail(0);
    has_all(&house, &small, &large, 2).await;
    house.bells.rung("dave", &topic(&other), 1).await;
    house.stop().await;
}

#[tokio::test]
async fn while_nobody_says_what_the_stores_are_nothing_is_announced_again_and_sends_go_on() {
    let (mut house, small, large) = told().await;
    house.bells.stores.looked().await;
    house.bells.stores.fail();
    lose(&house);
    house.bells.stores.replace(0..16);
    house.bells.stores.looked().await;
    let other = house.send_to("carol", "dave", "z").await;
    house.bells.rung("dave", &topic(&other), 1).await;
    assert!(!house.bells.told().contains_key(&("bob".into(), topic(&small))));

    house.bells.stores.recover();
    has_all(&house, &small, &large, 2).await;
    house.stop().await;
}

#[tokio::test]
async fn at_the_first_start_ever_nothing_is_announced_before_it_is_known_to_whom() {
    let mut house = House::new();
    house.bells.stores.fail();
    house.run();
    let conversation = house.send_to("ada", "bob", "x").await;
    house.bells.stores.looked().await;
    assert!(house.bells.told().is_empty(), "{:?}", house.bells.told());
    house.bells.stores.recover();
    house.bells.rung("bob", &topic(&conversation), 1).await;
    house.stop().await;
}

#[tokio::test]
async fn who_had_no_session_when_it_was_announced_is_not_passed_on_again() {
    let (mut house, small, large) = told().await;
    house.bells.stores.looked().await;
    assert!(house.bells.has_missed("bob", &topic(&small)));
    house.bells.forget_missed();
    house.bells.stores.replace(0..16);
    lose(&house);
    has_all(&house, &small, &large, 2).await;
    assert!(!house.bells.has_missed("bob", &topic(&small)));

    house.send("ada", &small, "news").await;
    house.bells.rung("bob", &topic(&small), 2).await;
    let heard = async {
        while !house.bells.has_missed("bob", &topic(&small)) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), heard).await.unwrap();
    house.stop().await;
}
