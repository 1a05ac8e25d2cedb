//! `topics.changes` and its cursors (C14).

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use doorbell_protocol::ErrorCode;
use serde_json::{Value, json};

use crate::support::{House, text_of};

/// Every page from a cursor on: the topics, the cursor at the end, and whether a reset was said.
async fn all(
    house: &House,
    user: &str,
    cursor: Option<&str>,
    limit: u64,
) -> (BTreeMap<String, u64>, String, bool) {
    let mut topics = BTreeMap::new();
    let mut cursor = cursor.map(str::to_owned);
    let mut reset = false;
    loop {
        let mut params = json!({"limit": limit});
        if let Some(cursor) = &cursor {
            params["cursor"] = cursor.as_str().into();
        }
        let page = house.ok(user, "topics.changes", params).await;
        let shown = page["topics"].as_object().unwrap();
        assert!(shown.len() as u64 <= limit);
        topics.extend(shown.iter().map(|(topic, version)| (topic.clone(), version.as_u64().unwrap())));
        reset |= page.get("reset").is_some_and(|reset| reset == true);
        cursor = Some(text_of(&page["cursor"]));
        if page["more"] == false {
            return (topics, cursor.unwrap(), reset);
        }
    }
}

fn topic(conversation: &str) -> String {
    format!("conversation:{conversation}")
}

#[tokio::test]
async fn without_a_cursor_all_topics_come_in_pages_and_with_it_what_moved_since() {
    let house = House::new();
    let mut expected = BTreeMap::new();
    for i in 0..37 {
        let conversation = house.send_to("ada", &format!("friend-{i}"), "x").await;
        expected.insert(topic(&conversation), 1);
    }
    house.send_to("bob", "eve", "not hers").await;
    let (topics, cursor, reset) = all(&house, "ada", None, 5).await;
    assert_eq!((topics, reset), (expected, false));
    assert_eq!(all(&house, "ada", Some(&cursor), 5).await.0, BTreeMap::new(), "nothing moved");

    let moved = house.send_to("friend-20", "ada", "y").await;
    let made = house.group("friend-3", &["ada"]).await;
    let (topics, cursor, _) = all(&house, "ada", Some(&cursor), 1).await;
    assert_eq!(
        topics,
        BTreeMap::from([(topic(&moved), 2), (topic(&made), 0)]),
        "an empty one is news as well"
    );
    assert_eq!(all(&house, "ada", Some(&cursor), 5).await.0, BTreeMap::new());
}

#[tokio::test]
async fn what_changes_behind_a_page_is_shown_in_the_next_round() {
    let house = House::new();
    for i in 0..10 {
        house.send_to("ada", &format!("friend-{i}"), "x").await;
    }
    let first = house.ok("ada", "topics.changes", json!({"limit": 4})).await;
    let shown = first["topics"].as_object().unwrap().keys().next().unwrap().clone();
    let conversation = shown.strip_prefix("conversation:").unwrap();
    house.send("ada", conversation, "behind the page").await;

    let mut cursor = first["cursor"].clone();
    let mut rounds = Vec::new();
    loop {
        let page = house.ok("ada", "topics.changes", json!({"limit": 4, "cursor": cursor})).await;
        cursor = page["cursor"].clone();
        rounds.push(page["topics"].as_object().unwrap().clone());
        if page["more"] == false {
            break;
        }
    }
    assert_eq!(rounds.iter().map(serde_json::Map::len).collect::<Vec<_>>(), [4, 2, 1]);
    assert_eq!(rounds[2][&shown], 2, "more is false only when everything is shown");
}

#[tokio::test]
async fn the_inbox_is_a_topic_that_moves_with_the_list() {
    let mut house = House::new();
    house.run();
    let conversation = house.send_to("ada", "bob", "x").await;
    house.bells.rung("bob", "inbox:bob", 1).await;
    let (topics, cursor, _) = all(&house, "bob", None, 100).await;
    assert_eq!(topics, BTreeMap::from([(topic(&conversation), 1), ("inbox:bob".into(), 1)]));

    house.ok("bob", "conversations.mark_read", json!({"conversation": conversation, "version": 1})).await;
    house.bells.rung("bob", "inbox:bob", 2).await;
    assert_eq!(all(&house, "bob", Some(&cursor), 100).await.0, BTreeMap::from([("inbox:bob".into(), 2)]));
    house.stop().await;
}

#[tokio::test]
async fn a_cursor_outlives_a_restart() {
    let house = House::new();
    let conversation = house.send_to("ada", "bob", "x").await;
    let (_, cursor, _) = all(&house, "ada", None, 100).await;
    let house = house.reopen().await;
    assert_eq!(all(&house, "ada", Some(&cursor), 100).await.0, BTreeMap::new());
    house.send("bob", &conversation, "y").await;
    let (topics, _, reset) = all(&house, "ada", Some(&cursor), 100).await;
    assert_eq!((topics, reset), (BTreeMap::from([(topic(&conversation), 2)]), false));
}

#[tokio::test]
async fn a_cursor_of_another_store_or_of_the_future_is_answered_with_everything_and_reset() {
    let house = House::new();
    let conversation = house.send_to("ada", "bob", "x").await;
    let everything = BTreeMap::from([(topic(&conversation), 1)]);
    let (_, own, _) = all(&house, "ada", None, 100).await;
    let foreign = all(&House::new(), "ada", None, 100).await.1;
    // The two positions stand before the checksum, 16 bytes and 4.
    let with_positions = |positions: [u8; 16]| {
        let mut bytes = URL_SAFE_NO_PAD.decode(&own).unwrap();
        let end = bytes.len() - 4;
        bytes[end - 16..end].copy_from_slice(&positions);
        let checksum = xxhash_rust::xxh3::xxh3_64(&bytes[..end]).to_be_bytes();
        bytes[end..].copy_from_slice(&checksum[..4]);
        URL_SAFE_NO_PAD.encode(bytes)
    };
    let future = with_positions([[0; 8], 100_u64.to_be_bytes()].concat().try_into().unwrap());
    for cursor in [foreign, future, with_positions([0xff; 16])] {
        let (topics, next, reset) = all(&house, "ada", Some(&cursor), 100).await;
        assert_eq!((topics, reset), (everything.clone(), true), "{cursor}");
        assert!(!all(&house, "ada", Some(&next), 100).await.2);
    }
}

#[tokio::test]
async fn what_is_no_cursor_is_refused() {
    let house = House::new();
    for cursor in ["", "x", "!!!", "AQ", "AAAA", "null"] {
        assert_eq!(
            house.code("ada", "topics.changes", json!({"cursor": cursor})).await,
            ErrorCode::Invalid,
            "{cursor}"
        );
    }
    for cursor in [json!(5), json!({}), json!(true)] {
        assert_eq!(house.code("ada", "topics.changes", json!({"cursor": cursor})).await, ErrorCode::Invalid);
    }
    let none = house.ok("ada", "topics.changes", json!({"cursor": Value::Null})).await;
    assert_eq!(none["topics"], json!({}), "null is none");
}
