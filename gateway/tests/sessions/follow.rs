//! GW-10, GW-13, GW-14: following at a start, publishes, the stored versions, and what channel-svc is told.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::atomic::Ordering;
use std::time::Duration;

use doorbell_gateway::Config;
use doorbell_protocol::frames::HintFrame;
use doorbell_protocol::{ServerFrame, TopicId};
use doorbell_rpc::Heard;

use crate::client::Client;
use crate::rig::{Rig, conversation};

const LARGE: &str = "conversation:large";

/// Looks all the time.
fn looking() -> Config {
    Config { channel_look_interval: Duration::from_millis(5), ..Config::default() }
}

/// Looks never, as far as a test goes.
fn blind() -> Config {
    Config { channel_look_interval: Duration::from_secs(3_600), ..Config::default() }
}

/// Reads hints until the topic has reached a version.
async fn reach(client: &mut Client, version: u64) -> HintFrame {
    loop {
        let hint = client.hint().await;
        if hint.topics.iter().any(|(topic, at)| topic.as_str() == LARGE && at.get() >= version) {
            return hint;
        }
    }
}

#[tokio::test]
async fn a_session_follows_its_users_large_topics_and_is_hinted_each_version() {
    let rig = Rig::with(blind());
    rig.members.join("ada", LARGE, 5);
    rig.members.join("ada", "conversation:other", 9);
    let mut ada = rig.session("ada").await;
    assert_eq!(ada.hint().await.topics, [conversation("large", 5), conversation("other", 9)]);

    let mut bob = rig.session("bob").await;
    assert_eq!(rig.publish(LARGE, 6).await, Heard::Followed);
    assert_eq!(ada.hint().await.topics, [conversation("large", 6)]);
    assert_eq!(bob.settle().await, [], "bob is not in it");
    rig.publish(LARGE, 6).await;
    rig.publish(LARGE, 4).await;
    assert_eq!(ada.settle().await, [], "what is known is no news");
    rig.stop().await;
}

#[tokio::test]
async fn what_nobody_follows_is_not_heard_and_a_later_word_is_greater_than_the_answer() {
    let rig = Rig::with(blind());
    let Heard::Unfollowed(before) = rig.publish(LARGE, 1).await else { panic!("nobody is here") };
    rig.members.join("ada", LARGE, 5);
    let mut ada = rig.session("ada").await;
    reach(&mut ada, 5).await;
    rig.until("it is told", || rig.ears.followers(LARGE) == Some(1)).await;
    let word = rig.ears.word(LARGE).unwrap();
    assert!(word.generation > before && word.version.get() == 5, "{word:?}");

    ada.close().await;
    rig.until("it is told", || rig.ears.followers(LARGE).is_none()).await;
    let Heard::Unfollowed(after) = rig.publish(LARGE, 6).await else { panic!("nobody is here") };
    assert!(after >= rig.ears.word(LARGE).unwrap().generation);
    assert_eq!(rig.metric("doorbell_gateway_followed_topics"), 0.0);
    assert_eq!(rig.metric("doorbell_gateway_followers"), 0.0);
    rig.stop().await;
}

#[tokio::test]
async fn a_first_follow_reads_the_stored_version_and_each_after_there_was_none_reads_it_again() {
    let rig = Rig::with(blind());
    rig.members.join("ada", LARGE, 5);
    for version in [7, 8] {
        rig.store.put(LARGE, version);
        let mut ada = rig.session("ada").await;
        reach(&mut ada, version).await;
        ada.close().await;
        rig.until("it is gone", || rig.gateway.sockets() == 0).await;
    }
    assert_eq!(rig.store.reads.load(Ordering::SeqCst), 2);
    assert_eq!(rig.store.counted.load(Ordering::SeqCst), 0, "where the store stood, and nothing of its past");
    rig.stop().await;
}

#[tokio::test]
async fn the_stored_version_reaches_followers_who_came_while_it_was_read() {
    let rig = Rig::with(blind());
    rig.members.join("ada", LARGE, 5);
    rig.members.join("bob", LARGE, 5);
    rig.store.put(LARGE, 7);
    rig.until("the stores were seen", || rig.store.looks.load(Ordering::SeqCst) == 1).await;
    rig.store.fail();
    let mut ada = rig.session("ada").await;
    let mut bob = rig.session("bob").await;
    for client in [&mut ada, &mut bob] {
        assert_eq!(client.hint().await.topics, [conversation("large", 5)]);
    }
    rig.store.recover();
    for client in [&mut ada, &mut bob] {
        reach(client, 7).await;
    }
    rig.stop().await;
}

#[tokio::test]
async fn a_publish_that_was_lost_is_found_by_the_look() {
    let rig = Rig::with(looking());
    rig.members.join("ada", LARGE, 5);
    let mut ada = rig.session("ada").await;
    reach(&mut ada, 5).await;
    rig.until("the store was read", || rig.store.reads.load(Ordering::SeqCst) == 1).await;
    for other in 0..1_200 {
        rig.store.put(&format!("presence:user-{other}"), 1);
    }
    rig.store.put(LARGE, 6);
    reach(&mut ada, 6).await;
    assert_eq!(rig.metric("doorbell_gateway_look_raised_total"), 1.0);
    rig.stop().await;
}

#[tokio::test]
async fn while_nothing_is_followed_only_the_stores_are_looked_at() {
    let rig = Rig::with(looking());
    let mut ada = rig.session("ada").await;
    rig.until("it looks", || rig.store.looks.load(Ordering::SeqCst) > 5).await;
    ada.settle().await;
    assert_eq!(rig.store.counted.load(Ordering::SeqCst), 0);
    assert_eq!(rig.store.reads.load(Ordering::SeqCst), 0);
    rig.stop().await;
}

#[tokio::test]
async fn another_store_means_reading_everything_again_and_one_resync_a_session() {
    let rig = Rig::with(looking());
    rig.members.join("ada", LARGE, 5);
    rig.members.join("ada", "conversation:other", 9);
    let mut ada = rig.session("ada").await;
    let mut bob = rig.session("bob").await;
    reach(&mut ada, 5).await;
    rig.until("the store was read", || rig.store.reads.load(Ordering::SeqCst) >= 1).await;
    rig.until("it is looked at", || rig.store.looks.load(Ordering::SeqCst) >= 5).await;

    // A part of it was lost, and something was published meanwhile.
    rig.store.replace(&[(LARGE, 8)]);
    let mut resyncs = 0;
    let mut reached = 0;
    while resyncs == 0 || reached < 8 {
        let hint = ada.hint().await;
        if hint.resync {
            assert!(hint.pull_after_ms.is_some_and(|after| after <= 3_000));
            resyncs += 1;
        }
        for (topic, version) in hint.topics {
            if topic.as_str() == LARGE {
                reached = version.get();
            }
        }
    }
    assert!(rig.metric("doorbell_gateway_version_store_changes_total") >= 1.0);
    assert_eq!(bob.settle().await, [], "bob follows nothing");
    rig.stop().await;
}

#[tokio::test]
async fn a_hot_topic_costs_fan_outs_of_its_interval_and_ends_at_the_latest_version() {
    let config = Config {
        fanout_followers_large: 1,
        fanout_interval: Duration::from_millis(50),
        topic_pulls_spread_from: 2,
        topic_pulls_per_second: NonZeroU32::new(20).unwrap(),
        ..blind()
    };
    let rig = Rig::with(config);
    let mut clients = Vec::new();
    for name in ["ada", "bob", "eve", "joe"] {
        rig.members.join(name, LARGE, 1);
        let mut client = rig.session(name).await;
        reach(&mut client, 1).await;
        clients.push(client);
    }
    for version in 2..=1_000 {
        rig.publish(LARGE, version).await;
        tokio::task::yield_now().await;
    }
    for client in &mut clients {
        let last = reach(client, 1_000).await;
        assert!(last.pull_after_ms.is_some_and(|after| after < 200), "four at 20 a second: {last:?}");
    }
    let fan_outs = rig.metric("doorbell_gateway_fan_outs_total");
    assert!(fan_outs < 20.0, "{fan_outs} fan-outs of 999 publishes");
    assert!(rig.metric("doorbell_gateway_versions_conflated_total") > 900.0);
    rig.stop().await;
}

#[tokio::test]
async fn who_is_reached_late_in_a_fan_out_is_told_the_version_of_that_time() {
    let rig = Rig::with(blind());
    let mut clients = Vec::new();
    for number in 0..1_100 {
        let name = format!("user-{number}");
        rig.members.join(&name, LARGE, 1);
        let mut client = rig.session(&name).await;
        reach(&mut client, 1).await;
        clients.push(client);
    }
    let told = rig.metric("doorbell_gateway_hints_total");
    rig.publish(LARGE, 2).await;
    rig.until("the first are told", || rig.metric("doorbell_gateway_hints_total") > told).await;
    rig.publish(LARGE, 3).await;

    let (mut early, mut late) = (0, 0);
    for client in &mut clients {
        match *client.hint().await.topics {
            [(_, version)] if version.get() == 2 => early += 1,
            [(_, version)] if version.get() == 3 => late += 1,
            ref topics => panic!("{topics:?}"),
        }
        reach(client, 3).await;
    }
    assert!(early > 0 && late > 0, "{early} were told 2 first, {late} were told 3");
    assert_eq!(rig.metric("doorbell_gateway_fan_outs_total"), 2.0);
    rig.stop().await;
}

#[tokio::test]
async fn few_followers_are_told_to_pull_at_once() {
    let rig = Rig::with(blind());
    rig.members.join("ada", LARGE, 1);
    let mut ada = rig.session("ada").await;
    reach(&mut ada, 1).await;
    rig.publish(LARGE, 2).await;
    assert_eq!(reach(&mut ada, 2).await.pull_after_ms, None);
    rig.stop().await;
}

#[tokio::test]
async fn channel_svc_hears_the_number_of_users_and_everything_again_when_it_forgot() {
    let rig = Rig::with(blind());
    let mut clients = Vec::new();
    for name in ["ada", "ada", "bob"] {
        rig.members.join(name, LARGE, 1);
        let mut client = rig.session(name).await;
        reach(&mut client, 1).await;
        clients.push(client);
    }
    rig.until("two users are counted", || rig.ears.followers(LARGE) == Some(2)).await;
    rig.ears.forget();
    rig.until("it is told again", || rig.ears.followers(LARGE) == Some(2)).await;

    rig.ears.fail();
    for mut client in clients {
        client.close().await;
    }
    rig.until("they are gone", || rig.gateway.sockets() == 0).await;
    rig.ears.recover();
    rig.until("the last word comes late, but comes", || rig.ears.followers(LARGE).is_none()).await;
    rig.stop().await;
}

#[tokio::test]
async fn a_channel_svc_that_seems_to_forget_with_each_call_is_not_told_everything_all_the_time() {
    let rig = Rig::with(blind());
    let mut clients = Vec::new();
    for topic in [LARGE, "conversation:other", "conversation:third"] {
        rig.members.join("ada", topic, 1);
    }
    clients.push(rig.session("ada").await);
    rig.until("it is told", || rig.ears.followers("conversation:third") == Some(1)).await;
    rig.until("and all else", || rig.ears.followers(LARGE) == Some(1)).await;
    let words = || rig.metric("doorbell_gateway_interest_words_total");
    let before = words();

    tokio::time::pause();
    rig.ears.fickle.store(true, std::sync::atomic::Ordering::SeqCst);
    let _ = tokio::time::timeout(Duration::from_secs(10), std::future::pending::<()>()).await;
    // At once, then after 1 s, 2 s and 4 s at least.
    let said = words() - before;
    assert!((6.0..=12.0).contains(&said), "all three at a time: {said}");

    rig.ears.fickle.store(false, std::sync::atomic::Ordering::SeqCst);
    rig.ears.forget();
    let _ = tokio::time::timeout(Duration::from_secs(10), std::future::pending::<()>()).await;
    assert_eq!(rig.ears.followers(LARGE), Some(1), "told once more");
    rig.stop().await;
}

/// N6.
#[tokio::test]
async fn sessions_that_start_at_once_are_no_storm_at_message_svc() {
    let asks_in_flight_max = std::num::NonZeroUsize::new(4).unwrap();
    let rig = Rig::with(Config { asks_in_flight_max, ..blind() });
    rig.members.hold();
    let mut clients = Vec::new();
    for number in 0..40 {
        let name = format!("user-{}", number / 2);
        rig.members.join(&name, LARGE, 3);
        clients.push(rig.session(&name).await);
        // The first four users have a call each; the others wait.
        rig.asked((number / 2 + 1).min(4)).await;
    }
    rig.members.let_go();
    for client in &mut clients {
        reach(client, 3).await;
    }
    assert_eq!(rig.members.in_flight_max.load(Ordering::SeqCst), 4);
    assert!(rig.members.asks() < 40, "{}: sessions of one user share an ask", rig.members.asks());
    assert!(rig.members.calls() <= 9, "{}: users share a call", rig.members.calls());
    rig.stop().await;
}

#[tokio::test]
async fn an_ask_that_fails_is_tried_until_it_is_answered() {
    let rig = Rig::with(Config { audience_timeout: Duration::from_millis(20), ..blind() });
    rig.members.join("ada", LARGE, 3);
    rig.members.fail();
    let mut ada = rig.session("ada").await;
    rig.asked(2).await;
    assert_eq!(ada.settle().await, []);
    rig.members.hold();
    rig.members.recover();
    rig.asked(4).await;
    rig.members.let_go();
    reach(&mut ada, 3).await;
    rig.stop().await;
}

/// Followers, publishes, lost publishes and lost words in any order: in the end everybody is at the latest version.
#[tokio::test]
async fn whatever_is_lost_everybody_reaches_the_latest_version() {
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    for seed in 0..8 {
        println!("seed {seed}");
        let mut random = StdRng::seed_from_u64(seed);
        let rig = Rig::with(Config {
            fanout_followers_large: 2,
            fanout_interval: Duration::from_millis(3),
            ..looking()
        });
        let mut clients: Vec<(String, Client)> = Vec::new();
        let mut version = 1;
        rig.store.put(LARGE, version);
        for step in 0..80 {
            match random.random_range(0..8) {
                0 | 1 => {
                    let name = format!("user-{}", random.random_range(0..5));
                    rig.members.join(&name, LARGE, version);
                    clients.push((name.clone(), rig.session(&name).await));
                }
                2 => drop(clients.pop()),
                3 => rig.store.fail(),
                4 => rig.store.recover(),
                stored_only => {
                    version += 1;
                    rig.store.put(LARGE, version);
                    if stored_only > 5 {
                        rig.publish(LARGE, version).await;
                    }
                }
            }
            for _ in 0..random.random_range(0..step + 1) {
                tokio::task::yield_now().await;
            }
        }
        rig.store.recover();
        let large: TopicId = TopicId::new(LARGE).unwrap();
        for (_, client) in &mut clients {
            let mut latest = BTreeMap::new();
            while latest.get(&large).is_none_or(|at| *at < version) {
                if let ServerFrame::Hint(hint) = client.next().await.unwrap() {
                    latest.extend(hint.topics.into_iter().map(|(topic, version)| (topic, version.get())));
                }
            }
        }
        rig.stop().await;
    }
}
