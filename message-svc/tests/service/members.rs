//! Who comes into a conversation and who leaves it, and who is rung for what after that.

use std::num::{NonZeroU16, NonZeroUsize};
use std::time::Duration;

use doorbell_message_svc::Config;
use doorbell_protocol::ErrorCode;
use serde_json::{Value, json};

use crate::support::{House, config, fresh_key, text_of};

fn topic(conversation: &str) -> String {
    format!("conversation:{conversation}")
}

async fn change(house: &House, user: &str, method: &str, conversation: &str, users: &[&str]) -> Value {
    house.ok(user, method, json!({"conversation": conversation, "users": users})).await["members"].clone()
}

async fn add(house: &House, user: &str, conversation: &str, users: &[&str]) -> Value {
    change(house, user, "members.add", conversation, users).await
}

async fn remove(house: &House, user: &str, conversation: &str, users: &[&str]) -> Value {
    change(house, user, "members.remove", conversation, users).await
}

async fn refused(house: &House, user: &str, method: &str, conversation: &str, users: &[&str]) -> ErrorCode {
    house.code(user, method, json!({"conversation": conversation, "users": users})).await
}

async fn get(house: &House, user: &str, conversation: &str) -> Value {
    house.ok(user, "conversations.get", json!({"conversation": conversation})).await
}

#[tokio::test]
async fn a_newcomer_reads_the_whole_log_and_has_nothing_unread() {
    let house = House::new();
    let conversation = house.group("ada", &["bob"]).await;
    house.send("ada", &conversation, "before").await;
    let (_, cursor) = changes(&house, "eve", &Value::Null).await;

    assert_eq!(add(&house, "bob", &conversation, &["eve"]).await, 3);

    assert_eq!(house.texts("eve", &conversation, 0).await, ["before"]);
    let seen = get(&house, "eve", &conversation).await;
    assert_eq!((&seen["read"], &seen["unread"], &seen["member_count"]), (&json!(1), &json!(0), &json!(3)));
    assert_eq!(seen["members"], json!(["ada", "bob", "eve"]));
    let (page, cursor) = changes(&house, "eve", &cursor).await;
    assert_eq!(page["topics"], json!({topic(&conversation): 1}), "joining is a change for who joined");
    house.send("eve", &conversation, "hello").await;
    assert_eq!(get(&house, "ada", &conversation).await["unread"], 1);
    assert_eq!(add(&house, "ada", &conversation, &["eve", "bob"]).await, 3, "who is there stays");
    let (page, _) = changes(&house, "eve", &cursor).await;
    assert_eq!(page["topics"], json!({topic(&conversation): 2}));
}

async fn changes(house: &House, user: &str, cursor: &Value) -> (Value, Value) {
    let page = house.ok(user, "topics.changes", json!({"cursor": cursor})).await;
    assert_eq!(page["more"], false);
    let cursor = page["cursor"].clone();
    (page, cursor)
}

#[tokio::test]
async fn who_is_removed_sees_nothing_more_and_is_told_so() {
    let house = House::new();
    let conversation = house.group("ada", &["bob", "eve"]).await;
    house.send("bob", &conversation, "x").await;
    let (_, cursor) = changes(&house, "bob", &Value::Null).await;

    assert_eq!(remove(&house, "ada", &conversation, &["bob", "mallory"]).await, 2);
    house.send("ada", &conversation, "not for bob").await;

    for (method, mut params) in [
        ("messages.list", json!({})),
        ("messages.send", json!({"key": "k", "text": "x"})),
        ("conversations.get", json!({})),
        ("conversations.update", json!({"muted": true})),
        ("conversations.mark_read", json!({"version": 1})),
        ("members.add", json!({"users": ["bob"]})),
        ("members.remove", json!({"users": ["bob"]})),
    ] {
        params["conversation"] = conversation.as_str().into();
        assert_eq!(house.code("bob", method, params).await, ErrorCode::NotFound, "{method}");
    }
    assert_eq!(house.ok("bob", "conversations.list", json!({})).await["conversations"], json!([]));
    let (page, cursor) = changes(&house, "bob", &cursor).await;
    assert_eq!((&page["topics"], &page["gone"]), (&json!({}), &json!([topic(&conversation)])));
    let (page, _) = changes(&house, "bob", &cursor).await;
    assert_eq!((&page["topics"], page.get("gone")), (&json!({}), None), "once");

    let house = house.reopen().await;
    assert_eq!(
        house.code("bob", "conversations.get", json!({"conversation": conversation})).await,
        ErrorCode::NotFound
    );
    assert_eq!(get(&house, "eve", &conversation).await["members"], json!(["ada", "eve"]));
}

#[tokio::test]
async fn who_comes_back_has_an_exact_count_again() {
    let house = House::new();
    let conversation = house.group("ada", &["bob"]).await;
    for sender in ["bob", "ada", "bob"] {
        house.send(sender, &conversation, "x").await;
    }
    house
        .ok("bob", "conversations.update", json!({"conversation": conversation, "muted": true, "label": "l"}))
        .await;
    remove(&house, "bob", &conversation, &["bob"]).await;
    house.send("ada", &conversation, "meanwhile").await;
    add(&house, "ada", &conversation, &["bob"]).await;

    let seen = get(&house, "bob", &conversation).await;
    assert_eq!((&seen["read"], &seen["unread"]), (&json!(4), &json!(0)));
    assert_eq!((&seen["muted"], seen.get("label")), (&json!(false), None), "it is a new beginning");
    for sender in ["bob", "ada", "bob", "ada"] {
        house.send(sender, &conversation, "x").await;
    }
    assert_eq!(get(&house, "bob", &conversation).await["unread"], 2);
    house.ok("bob", "conversations.mark_read", json!({"conversation": conversation, "version": 6})).await;
    assert_eq!(get(&house, "bob", &conversation).await["unread"], 1);
}

#[tokio::test]
async fn the_owner_alone_removes_others_and_everybody_may_leave() {
    let house = House::new();
    let conversation = house.group("ada", &["bob", "eve"]).await;
    for users in [vec!["eve"], vec!["bob", "eve"], vec!["ada"], vec!["nobody"]] {
        assert_eq!(
            refused(&house, "bob", "members.remove", &conversation, &users).await,
            ErrorCode::Forbidden
        );
    }
    assert_eq!(
        refused(&house, "mallory", "members.remove", &conversation, &["mallory"]).await,
        ErrorCode::NotFound
    );
    assert_eq!(remove(&house, "bob", &conversation, &["bob"]).await, 2);
    assert_eq!(get(&house, "eve", &conversation).await["owner"], "ada");
    assert_eq!(remove(&house, "ada", &conversation, &["eve"]).await, 1);
}

#[tokio::test]
async fn when_the_owner_leaves_the_longest_member_becomes_the_owner() {
    let house = House::new();
    let conversation = house.group("mona", &["zoe"]).await;
    add(&house, "mona", &conversation, &["ada", "bob"]).await;
    let inherits = async |leavers: &[&str], heir: &str| {
        let owner = get(&house, heir, &conversation).await["owner"].clone();
        remove(&house, owner.as_str().unwrap(), &conversation, leavers).await;
        assert_eq!(get(&house, heir, &conversation).await["owner"], heir);
    };
    inherits(&["mona"], "zoe").await;
    // Both came with one commit: the first by name.
    add(&house, "zoe", &conversation, &["mona"]).await;
    inherits(&["zoe"], "ada").await;
    assert_eq!(refused(&house, "zoe", "members.remove", &conversation, &["bob"]).await, ErrorCode::NotFound);
    let house = house.reopen().await;
    assert_eq!(remove(&house, "ada", &conversation, &["ada", "bob"]).await, 1);
    assert_eq!(get(&house, "mona", &conversation).await["owner"], "mona");
    assert_eq!(remove(&house, "mona", &conversation, &["mona"]).await, 0, "the last one may leave");
    assert_eq!(refused(&house, "mona", "members.add", &conversation, &["mona"]).await, ErrorCode::NotFound);
}

#[tokio::test]
async fn a_closed_conversation_takes_members_and_titles_from_its_owner_alone() {
    let house = House::new();
    let params = json!({"members": ["bob"], "title": "t", "closed": true, "key": "k"});
    let conversation = text_of(&house.ok("ada", "conversations.create", params).await["conversation"]);
    assert_eq!(get(&house, "bob", &conversation).await["closed"], true);
    assert_eq!(refused(&house, "bob", "members.add", &conversation, &["eve"]).await, ErrorCode::Forbidden);
    let rename = json!({"conversation": conversation, "title": "u"});
    assert_eq!(house.code("bob", "conversations.update", rename.clone()).await, ErrorCode::Forbidden);

    assert_eq!(add(&house, "ada", &conversation, &["eve"]).await, 3);
    assert_eq!(house.ok("ada", "conversations.update", rename).await["title"], "u");
    assert_eq!(remove(&house, "bob", &conversation, &["bob"]).await, 2);
}

#[tokio::test]
async fn a_pair_keeps_its_members() {
    let house = House::new();
    let pair = house.send_to("ada", "bob", "x").await;
    for user in ["ada", "bob"] {
        assert_eq!(refused(&house, user, "members.add", &pair, &["eve"]).await, ErrorCode::Forbidden);
        assert_eq!(refused(&house, user, "members.remove", &pair, &[user]).await, ErrorCode::Forbidden);
    }
    let seen = get(&house, "bob", &pair).await;
    assert_eq!((seen.get("owner"), seen.get("closed")), (None, None));
}

#[tokio::test]
async fn members_are_counted_limited_and_paged() {
    let house = House::with(Config { members_max: NonZeroUsize::new(1_300).unwrap(), ..config() });
    let names: Vec<String> = (0..1_299).map(|i| format!("member-{i:04}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let conversation = house.group("ada", &names[..500]).await;
    assert_eq!(add(&house, "ada", &conversation, &names[400..1_298]).await, 1_299);
    for (users, code) in [
        (&names[1_298..], None),
        (&["one-more"][..], Some(ErrorCode::TooLarge)),
        (&names[..1_001], Some(ErrorCode::TooLarge)),
        (&[], Some(ErrorCode::Invalid)),
    ] {
        let answer =
            house.call("ada", "members.add", json!({"conversation": conversation, "users": users})).await;
        assert_eq!(answer.err().map(|error| error.code), code);
    }

    let page = get(&house, "ada", &conversation).await;
    assert_eq!((page["members"].as_array().unwrap().len(), &page["member_count"]), (200, &json!(1_300)));
    let (mut seen, mut after) = (Vec::new(), Value::Null);
    loop {
        let params = json!({"conversation": conversation, "members_after": after, "members_limit": 400});
        let page = house.ok("ada", "conversations.get", params).await;
        seen.extend(page["members"].as_array().unwrap().iter().map(text_of));
        after = page["members_next"].clone();
        if after == Value::Null {
            break;
        }
        assert_eq!(seen.len() % 400, 0);
    }
    assert_eq!(seen.len(), 1_300);
    assert!(seen.is_sorted());
    let none = json!({"conversation": conversation, "members_limit": 0});
    assert_eq!(house.code("ada", "conversations.get", none).await, ErrorCode::Invalid);
}

#[tokio::test]
async fn a_page_of_long_names_fits_a_frame() {
    let house = House::new();
    let names: Vec<String> = (0..900).map(|i| format!("{}{i:03}", "\"".repeat(125))).collect();
    let conversation = house.group("ada", &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    house.send("ada", &conversation, &"\u{1}".repeat(10_000)).await;
    let (mut seen, mut after) = (0, Value::Null);
    loop {
        let params = json!({"conversation": conversation, "members_after": after, "members_limit": 1_000});
        let page = house.ok("ada", "conversations.get", params).await;
        seen += page["members"].as_array().unwrap().len();
        after = page["members_next"].clone();
        if after == Value::Null {
            break;
        }
    }
    assert_eq!(seen, 901);
}

#[tokio::test]
async fn a_member_added_before_a_message_is_rung_and_one_removed_before_it_is_not() {
    let mut house = House::new();
    house.run();
    let conversation = house.group("ada", &["bob"]).await;
    house.send("ada", &conversation, "one").await;
    house.bells.rung("bob", &topic(&conversation), 1).await;

    add(&house, "ada", &conversation, &["eve"]).await;
    house.send("ada", &conversation, "two").await;
    house.bells.rung("eve", &topic(&conversation), 2).await;
    house.bells.rung("eve", "inbox:eve", 1).await;
    house.bells.rung("bob", &topic(&conversation), 2).await;
    house.bells.rung("bob", "inbox:bob", 1).await;

    remove(&house, "ada", &conversation, &["bob"]).await;
    house.send("ada", &conversation, "three").await;
    house.bells.rung("eve", &topic(&conversation), 3).await;
    house.bells.rung("bob", "inbox:bob", 2).await;
    house.stop().await;
    let told = house.bells.told();
    assert_eq!(told[&("bob".into(), topic(&conversation))], 2, "{told:?}");
    assert_eq!(told[&("ada".into(), "inbox:ada".into())], 1, "others' lists do not change");
}

#[tokio::test]
async fn commits_that_waited_ring_those_who_are_members_by_then() {
    let house = House::with(Config { shards: NonZeroU16::MIN, ..config() });
    let conversation = house.group("ada", &["bob"]).await;
    house.send("ada", &conversation, "one").await;
    add(&house, "ada", &conversation, &["eve"]).await;
    house.send("ada", &conversation, "two").await;
    remove(&house, "ada", &conversation, &["bob"]).await;
    house.send("ada", &conversation, "three").await;

    // Nothing was announced before the end: all of it comes again after the start.
    let mut house = house.reopen().await;
    house.run();
    for member in ["ada", "eve"] {
        house.bells.rung(member, &topic(&conversation), 3).await;
    }
    house.bells.rung("eve", "inbox:eve", 1).await;
    house.bells.rung("bob", "inbox:bob", 1).await;
    house.stop().await;
    assert!(!house.bells.told().contains_key(&("bob".into(), topic(&conversation))));
}

#[tokio::test]
async fn every_member_of_a_large_group_is_rung() {
    let mut house = House::with(Config { small_audience_max: u64::MAX, ..config() });
    house.run();
    let names: Vec<String> = (0..5_000).map(|i| format!("member-{i}")).collect();
    let conversation = house.group("ada", &[]).await;
    for some in names.chunks(1_000) {
        add(&house, "ada", &conversation, &some.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }
    house.send("ada", &conversation, "x").await;
    house.bells.rung("member-999", &topic(&conversation), 1).await;
    house.stop().await;
    let told = house.bells.told();
    for member in names {
        assert_eq!(told[&(member.clone(), topic(&conversation))], 1);
        assert_eq!(told[&(member.clone(), format!("inbox:{member}"))], 1);
    }
}

#[tokio::test]
async fn conversations_have_a_throttle_of_their_own() {
    let house = House::with(Config {
        throttle_conversations: 3,
        throttle_conversations_period: Duration::from_secs(3_600),
        ..config()
    });
    let create = |key: &'static str| {
        house.call("ada", "conversations.create", json!({"members": ["bob", "eve"], "key": key}))
    };
    let made = create("a").await.unwrap();
    for _ in 0..5 {
        assert_eq!(create("a").await.unwrap(), made, "a repeat is not charged");
    }
    let conversation = text_of(&made["conversation"]);
    add(&house, "ada", &conversation, &["carol"]).await;
    add(&house, "ada", &conversation, &["carol"]).await;
    remove(&house, "ada", &conversation, &["carol"]).await;
    let refused = create("b").await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::RateLimited);
    assert!(refused.retry_after_ms.is_some_and(|ms| ms > 0) && refused.message.contains("conversations"));
    let params = json!({"conversation": conversation, "users": ["dave"]});
    assert_eq!(house.code("ada", "members.add", params).await, ErrorCode::RateLimited);
    house.send("ada", &conversation, "messages are another matter").await;
    house.send_to("ada", "somebody new", "also to a new pair").await;
    let params = json!({"members": ["ada"], "key": fresh_key()});
    house.ok("bob", "conversations.create", params).await;
    remove(&house, "ada", &conversation, &["ada"]).await;
}
