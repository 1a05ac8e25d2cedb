//! Idempotency keys (C13).

use std::sync::Arc;
use std::time::Duration;

use doorbell_message_svc::Config;
use doorbell_protocol::ErrorCode;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::{House, config, fresh_key, text_of};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_times_the_same_key_in_parallel_make_one_message_and_one_answer() {
    let house = Arc::new(House::new());
    let conversation = house.group("ada", &["bob"]).await;
    for round in 0..20 {
        let mut calls = JoinSet::new();
        for _ in 0..10 {
            let (house, conversation) = (house.clone(), conversation.clone());
            calls.spawn(async move {
                let params =
                    json!({"conversation": conversation, "key": format!("round-{round}"), "text": "x"});
                house.ok("ada", "messages.send", params).await
            });
        }
        let answers = calls.join_all().await;
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
        assert_eq!(answers[0]["version"], round + 1);
    }
    assert_eq!(house.texts("bob", &conversation, 0).await.len(), 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_is_made_once_a_key_in_parallel_and_after_a_restart() {
    let house = Arc::new(House::new());
    let mut calls = JoinSet::new();
    for _ in 0..10 {
        let house = house.clone();
        calls.spawn(async move {
            let params = json!({"members": ["bob", "eve"], "title": "t", "key": "k"});
            house.ok("ada", "conversations.create", params).await
        });
    }
    let answers = calls.join_all().await;
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");

    let house = Arc::into_inner(house).unwrap().reopen().await;
    let params = json!({"members": ["eve", "bob", "ada"], "title": "t", "key": "k"});
    assert_eq!(
        house.ok("ada", "conversations.create", params).await,
        answers[0],
        "the same members, otherwise put"
    );
    for other in [
        json!({"members": ["bob", "eve"], "key": "k"}),
        json!({"members": ["bob", "eve"], "title": "u", "key": "k"}),
        json!({"members": ["bob"], "title": "t", "key": "k"}),
        json!({"members": ["bob"], "key": "k"}),
        json!({"members": ["bob", "eve"], "title": "t", "closed": true, "key": "k"}),
    ] {
        assert_eq!(house.code("ada", "conversations.create", other).await, ErrorCode::Conflict);
    }
    let list = house.ok("bob", "conversations.list", json!({})).await;
    assert_eq!(list["conversations"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn other_content_under_the_same_key_is_a_conflict() {
    let house = House::new();
    let conversation = house.group("ada", &["bob"]).await;
    let send = |mut content: Value| {
        content["conversation"] = conversation.as_str().into();
        content["key"] = "k".into();
        house.call("ada", "messages.send", content)
    };
    let first = send(json!({"text": "x", "meta": {"a": 1, "b": 2}})).await.unwrap();
    assert_eq!(
        send(json!({"text": "x", "meta": {"b": 2, "a": 1}})).await.unwrap(),
        first,
        "the order of fields is nothing"
    );
    for other in [
        json!({"text": "y", "meta": {"a": 1, "b": 2}}),
        json!({"text": "x"}),
        json!({"text": "x", "meta": {"a": 1}}),
        json!({"text": "x", "meta": {"a": 1, "b": 2}, "media": ["https://x.org"]}),
    ] {
        assert_eq!(send(other).await.unwrap_err().code, ErrorCode::Conflict);
    }
    assert_eq!(house.texts("bob", &conversation, 0).await, ["x"]);
}

#[tokio::test]
async fn a_key_belongs_to_its_user_and_conversation() {
    let house = House::new();
    let one = house.group("ada", &["bob"]).await;
    let other = house.group("ada", &["bob"]).await;
    let mut ids = Vec::new();
    for (user, conversation) in [("ada", &one), ("bob", &one), ("ada", &other)] {
        let params = json!({"conversation": conversation, "key": "k", "text": user});
        ids.push(text_of(&house.ok(user, "messages.send", params).await["id"]));
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 3);
    assert_eq!(house.texts("ada", &one, 0).await, ["ada", "bob"]);
}

#[tokio::test]
async fn a_send_by_name_and_one_by_conversation_share_their_keys() {
    let house = House::new();
    let first = house.ok("ada", "messages.send", json!({"to": "bob", "key": "k", "text": "x"})).await;
    let params = json!({"conversation": first["conversation"], "key": "k", "text": "x"});
    assert_eq!(house.ok("ada", "messages.send", params).await, first);
    assert_eq!(house.ok("ada", "messages.send", json!({"to": "bob", "key": "k", "text": "x"})).await, first);
}

#[tokio::test]
async fn a_key_is_kept_for_seven_days_and_not_for_ever() {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let house = House::new();
    let conversation = house.group("ada", &["bob"]).await;
    let send = |key: &'static str| {
        let params = json!({"conversation": conversation, "key": key, "text": "x"});
        async { house.ok("ada", "messages.send", params).await["version"].as_u64().unwrap() }
    };
    assert_eq!(send("old").await, 1);
    for day in 1..=7 {
        house.hands.advance(DAY);
        assert_eq!(send("old").await, 1, "day {day}");
        house.send("bob", &conversation, "something that starts a new week").await;
    }
    house.hands.advance(DAY * 8);
    house.send("bob", &conversation, "something that drops an old week").await;
    house.hands.advance(DAY * 8);
    house.send("bob", &conversation, "and another").await;
    assert!(send("old").await > 7, "the key is free again");
}

#[tokio::test]
async fn a_repeat_is_not_charged_by_the_throttle() {
    let config = Config { throttle_messages: 2, throttle_period: Duration::from_secs(3_600), ..config() };
    let house = House::with(config);
    let send = |key: &str| house.call("ada", "messages.send", json!({"to": "bob", "key": key, "text": "x"}));
    send("a").await.unwrap();
    for _ in 0..20 {
        send("a").await.unwrap();
    }
    send("b").await.unwrap();
    let refused = send("c").await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::RateLimited);
    assert!((1..=1_800_000).contains(&refused.retry_after_ms.unwrap()), "{refused:?}");
    send("a").await.unwrap();
    let params = json!({"to": "ada", "key": fresh_key(), "text": "x"});
    assert!(house.call("bob", "messages.send", params).await.is_ok(), "others are not concerned");
}
