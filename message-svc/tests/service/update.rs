//! `conversations.update`: titles, labels, mutes.

use std::time::Duration;

use doorbell_message_svc::Config;
use doorbell_protocol::ErrorCode;
use serde_json::{Value, json};

use crate::support::{House, config};

async fn update(house: &House, user: &str, conversation: &str, mut fields: Value) -> Value {
    fields["conversation"] = conversation.into();
    house.ok(user, "conversations.update", fields).await
}

async fn log(house: &House, user: &str, conversation: &str) -> Vec<Value> {
    let page = house.ok(user, "messages.list", json!({"conversation": conversation})).await;
    page["messages"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_new_title_is_an_entry_of_the_log_and_rings_like_one() {
    let mut house = House::new();
    house.run();
    let conversation = house.group("ada", &["bob"]).await;
    house.send("ada", &conversation, "x").await;

    let renamed = update(&house, "bob", &conversation, json!({"title": "a new name"})).await;

    assert_eq!((&renamed["title"], &renamed["version"]), (&json!("a new name"), &json!(2)));
    assert_eq!(renamed["last"]["text"], "x", "a rename is no message");
    house.bells.rung("ada", &format!("conversation:{conversation}"), 2).await;
    let entries = log(&house, "ada", &conversation).await;
    assert_eq!(
        (&entries[1]["kind"], &entries[1]["text"], &entries[1]["from"]),
        (&json!("rename"), &json!("a new name"), &json!("bob"))
    );
    assert_eq!(house.send("ada", &conversation, "y").await, 3);
    let seen = house.ok("bob", "conversations.get", json!({"conversation": conversation})).await;
    assert_eq!(seen["unread"], 2, "a rename is not unread");
    house.ok("bob", "conversations.mark_read", json!({"conversation": conversation, "version": 2})).await;
    let seen = house.ok("bob", "conversations.get", json!({"conversation": conversation})).await;
    assert_eq!(seen["unread"], 1);

    update(&house, "ada", &conversation, json!({"title": "a new name"})).await;
    assert_eq!(log(&house, "ada", &conversation).await.len(), 3, "what is so already changes nothing");
    let house = house.reopen().await;
    let seen = house.ok("ada", "conversations.get", json!({"conversation": conversation})).await;
    assert_eq!(seen["title"], "a new name");
}

#[tokio::test]
async fn a_label_and_a_mute_are_the_members_own_and_move_that_inbox_alone() {
    let mut house = House::new();
    house.run();
    let pair = house.send_to("ada", "bob", "x").await;
    house.bells.rung("bob", "inbox:bob", 1).await;
    house.bells.rung("ada", "inbox:ada", 1).await;

    let labelled = update(&house, "bob", &pair, json!({"label": "friends", "muted": true})).await;
    assert_eq!(
        (&labelled["label"], &labelled["muted"], &labelled["version"]),
        (&json!("friends"), &json!(true), &json!(1))
    );
    house.bells.rung("bob", "inbox:bob", 2).await;
    update(&house, "bob", &pair, json!({"label": "friends", "muted": true})).await;

    let others = house.ok("ada", "conversations.get", json!({"conversation": pair})).await;
    assert_eq!((others.get("label"), &others["muted"]), (None, &json!(false)));
    let listed = house.ok("bob", "conversations.list", json!({})).await;
    assert_eq!(listed["conversations"][0]["label"], "friends");
    let house = house.reopen().await;
    let freed = update(&house, "bob", &pair, json!({"label": "", "title": null})).await;
    assert_eq!((freed.get("label"), &freed["muted"]), (None, &json!(true)), "only what is given changes");
    house.send("bob", &pair, "a send keeps them").await;
    let seen = house.ok("bob", "conversations.get", json!({"conversation": pair})).await;
    assert_eq!(seen["muted"], true);
}

#[tokio::test]
async fn nothing_moves_but_what_changes() {
    let mut house = House::new();
    let pair = house.send_to("ada", "bob", "x").await;
    house.run();
    house.bells.rung("bob", "inbox:bob", 1).await;
    update(&house, "bob", &pair, json!({"muted": true})).await;
    house.bells.rung("bob", "inbox:bob", 2).await;
    update(&house, "bob", &pair, json!({"muted": true})).await;
    house.stop().await;
    let told = house.bells.told();
    assert_eq!(told[&("ada".into(), "inbox:ada".into())], 1);
    assert_eq!(told[&("bob".into(), "inbox:bob".into())], 2);
    assert_eq!(told[&("ada".into(), format!("conversation:{pair}"))], 1);
}

#[tokio::test]
async fn what_cannot_be_changed_is_refused_and_nothing_of_it_is_done() {
    let house = House::new();
    let pair = house.send_to("ada", "bob", "x").await;
    let group = house.group("ada", &["bob"]).await;
    for (conversation, fields, code) in [
        (&pair, json!({"title": "t", "muted": true}), ErrorCode::Forbidden),
        (&group, json!({}), ErrorCode::Invalid),
        (&group, json!({"title": ""}), ErrorCode::Invalid),
        (&group, json!({"title": "a\nb", "muted": true}), ErrorCode::Invalid),
        (&group, json!({"title": "x".repeat(201)}), ErrorCode::TooLarge),
        (&group, json!({"label": "ü".repeat(65)}), ErrorCode::TooLarge),
        (&group, json!({"label": "a\tb"}), ErrorCode::Invalid),
        (&group, json!({"muted": "yes"}), ErrorCode::Invalid),
    ] {
        let mut params = fields.clone();
        params["conversation"] = conversation.as_str().into();
        assert_eq!(house.code("ada", "conversations.update", params).await, code, "{fields}");
    }
    for conversation in [&pair, &group] {
        let seen = house.ok("ada", "conversations.get", json!({"conversation": conversation})).await;
        assert_eq!(seen["muted"], false);
    }
    update(&house, "ada", &group, json!({"title": "ü".repeat(200), "label": "ü".repeat(64)})).await;
}

#[tokio::test]
async fn a_rename_counts_as_a_message_for_the_throttle() {
    let house =
        House::with(Config { throttle_messages: 1, throttle_period: Duration::from_secs(3_600), ..config() });
    let group = house.group("ada", &["bob"]).await;
    update(&house, "ada", &group, json!({"title": "one"})).await;
    let again = json!({"conversation": group, "title": "two", "muted": true});
    assert_eq!(house.code("ada", "conversations.update", again).await, ErrorCode::RateLimited);
    assert_eq!(update(&house, "ada", &group, json!({"label": "free"})).await["muted"], false);
}
