//! Conversations: made, listed, read.

use std::time::Duration;

use doorbell_protocol::ErrorCode;
use serde_json::{Value, json};

use crate::support::{House, fresh_key, text_of};

#[tokio::test]
async fn a_pair_has_one_conversation_however_it_is_made() {
    let house = House::new();
    let by_send = house.send_to("ada", "bob", "hello").await;
    let back = house.send_to("bob", "ada", "hello yourself").await;
    let create = |user: &'static str, members: Value| {
        house.call(user, "conversations.create", json!({"members": members, "key": fresh_key()}))
    };
    for (user, members) in
        [("ada", json!(["bob"])), ("bob", json!(["ada", "ada"])), ("bob", json!(["ada", "bob"]))]
    {
        let created = create(user, members).await.unwrap();
        assert_eq!(created["conversation"], by_send.as_str());
        assert_eq!(created["topic"], format!("conversation:{by_send}"));
    }
    assert_eq!(back, by_send);

    let seen = house.ok("bob", "conversations.get", json!({"conversation": by_send})).await;
    assert_eq!(seen["members"], json!(["ada", "bob"]));
    assert_eq!((&seen["title"], &seen["version"]), (&Value::Null, &json!(2)));
}

#[tokio::test]
async fn a_pair_that_was_only_made_has_an_empty_log() {
    let house = House::new();
    let created = house.ok("ada", "conversations.create", json!({"members": ["bob"], "key": "k"})).await;

    let seen = house.ok("bob", "conversations.get", json!({"conversation": created["conversation"]})).await;

    assert_eq!((&seen["version"], &seen["unread"], &seen["last"]), (&json!(0), &json!(0), &Value::Null));
    assert_eq!(house.send_to("bob", "ada", "x").await, text_of(&created["conversation"]));
}

#[tokio::test]
async fn two_members_with_a_title_are_a_group_and_so_is_one_alone() {
    let house = House::new();
    let pair = house.send_to("ada", "bob", "x").await;
    let group = house.group("ada", &["bob"]).await;
    assert_ne!(group, pair);

    let notes = json!({"members": [], "key": fresh_key()});
    let notes = text_of(&house.ok("ada", "conversations.create", notes).await["conversation"]);
    house.send("ada", &notes, "to myself").await;
    let seen = house.ok("ada", "conversations.get", json!({"conversation": notes})).await;
    assert_eq!((&seen["members"], &seen["unread"]), (&json!(["ada"]), &json!(0)));
}

#[tokio::test]
async fn unread_counts_the_messages_of_others_after_the_read_mark() {
    let house = House::new();
    let conversation = house.group("ada", &["bob", "eve"]).await;
    for (i, sender) in ["ada", "bob", "ada", "eve", "bob", "ada"].into_iter().enumerate() {
        house.send(sender, &conversation, &i.to_string()).await;
    }
    let unread = async |user: &str| {
        let seen = house.ok(user, "conversations.get", json!({"conversation": conversation})).await;
        (seen["read"].as_u64().unwrap(), seen["unread"].as_u64().unwrap())
    };
    assert_eq!((unread("ada").await, unread("bob").await, unread("eve").await), ((0, 3), (0, 4), (0, 5)));

    let mark = async |user: &str, version: u64| {
        let params = json!({"conversation": conversation, "version": version});
        house.ok(user, "conversations.mark_read", params).await["read"].as_u64().unwrap()
    };
    // bob sent 2 and 5. Marks are worked out from the counters, from the last mark on, or from the head backwards.
    assert_eq!((mark("bob", 3).await, unread("bob").await), (3, (3, 2)));
    assert_eq!((mark("bob", 1).await, unread("bob").await), (3, (3, 2)), "the greatest wins");
    assert_eq!((mark("bob", 5).await, unread("bob").await), (5, (5, 1)));
    assert_eq!((mark("bob", 99).await, unread("bob").await), (6, (6, 0)), "beyond the head means the head");
    assert_eq!((mark("ada", 5).await, unread("ada").await), (5, (5, 0)), "what follows is her own");
    assert_eq!((mark("eve", 1).await, unread("eve").await), (1, (1, 4)));

    house.send("bob", &conversation, "more").await;
    assert_eq!((unread("ada").await, unread("bob").await, unread("eve").await), ((5, 1), (6, 0), (1, 5)));
}

#[tokio::test]
async fn a_mark_far_behind_ones_own_messages_is_exact_too() {
    let house = House::new();
    let conversation = house.group("ada", &["bob"]).await;
    for i in 0..1_200_u64 {
        let sender = if i % 3 == 0 { "ada" } else { "bob" };
        house.send(sender, &conversation, "x").await;
    }
    // 600 lies further from both ends than the writer counts by itself.
    for (version, own_after) in [(600_u64, 200_u64), (601, 199), (1_199, 0)] {
        let params = json!({"conversation": conversation, "version": version});
        house.ok("ada", "conversations.mark_read", params).await;
        let seen = house.ok("ada", "conversations.get", json!({"conversation": conversation})).await;
        assert_eq!(seen["unread"], 1_200 - version - own_after, "{version}");
    }
}

#[tokio::test]
async fn the_list_has_the_most_recent_first_and_goes_on_page_by_page() {
    let house = House::new();
    let mut expected = Vec::new();
    for i in 0..23 {
        house.hands.advance(Duration::from_millis(i % 3));
        expected.push(house.send_to("ada", &format!("friend-{i}"), &format!("text {i}")).await);
    }
    house.hands.advance(Duration::from_secs(1));
    house.send("ada", &expected[4], "again").await;
    house.send_to("bob", "eve", "not hers").await;

    let (mut seen, mut before) = (Vec::new(), Value::Null);
    loop {
        let mut params = json!({"limit": 5});
        if before != Value::Null {
            params["before"] = before;
        }
        let page = house.ok("ada", "conversations.list", params).await;
        let conversations = page["conversations"].as_array().unwrap();
        assert!(conversations.len() <= 5);
        seen.extend(conversations.clone());
        before = page["next"].clone();
        if before == Value::Null {
            break;
        }
    }

    assert_eq!(seen[0]["conversation"], expected[4].as_str());
    assert_eq!(seen[0]["last"]["text"], "again");
    let times: Vec<u64> = seen.iter().map(|c| c["updated_at_ms"].as_u64().unwrap()).collect();
    assert!(times.is_sorted_by(|a, b| a >= b), "{times:?}");
    let mut ids: Vec<String> = seen.iter().map(|c| text_of(&c["conversation"])).collect();
    ids.sort();
    expected.sort();
    assert_eq!(ids, expected, "each once");
}

#[tokio::test]
async fn the_list_shows_eight_members_and_get_shows_all() {
    let house = House::new();
    let members: Vec<String> = (10..40).map(|i| format!("member-{i}")).collect();
    let members: Vec<&str> = members.iter().map(String::as_str).collect();
    let conversation = house.group("ada", &members).await;

    let list = house.ok("ada", "conversations.list", json!({})).await;
    assert_eq!(list["conversations"][0]["members"].as_array().unwrap().len(), 8);
    let seen = house.ok("member-12", "conversations.get", json!({"conversation": conversation})).await;
    assert_eq!(seen["members"].as_array().unwrap().len(), 31);
    assert_eq!(seen["title"], "a group");
}

#[tokio::test]
async fn a_list_of_large_conversations_ends_early_and_goes_on() {
    let house = House::new();
    for i in 0..9 {
        house.send_to("ada", &format!("friend-{i}"), &"\u{1}".repeat(10_000)).await;
    }
    let page = house.ok("ada", "conversations.list", json!({})).await;
    let first = page["conversations"].as_array().unwrap().len();
    assert!(first < 9);
    let rest = house.ok("ada", "conversations.list", json!({"before": page["next"], "limit": 200})).await;
    assert!(!rest["conversations"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn what_is_no_page_of_the_list_is_refused() {
    let house = House::new();
    for (params, code) in [
        (json!({"before": "x"}), ErrorCode::Invalid),
        (json!({"before": ""}), ErrorCode::Invalid),
        (json!({"limit": 0}), ErrorCode::Invalid),
    ] {
        assert_eq!(house.code("ada", "conversations.list", params.clone()).await, code, "{params}");
    }
}
