//! `conversations.list` with `changed_since`.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU16;

use doorbell_message_svc::Config;
use doorbell_protocol::ErrorCode;
use serde_json::{Value, json};

use crate::support::{House, config, text_of};

/// A client that keeps its list by `changed_since`.
struct Phone {
    cursor: Value,
    list: BTreeMap<String, Value>,
}

impl Phone {
    async fn new(house: &House, user: &str) -> Self {
        let cursor = house.ok(user, "topics.changes", json!({})).await["cursor"].clone();
        Self { cursor, list: BTreeMap::new() }
    }

    /// One page: which changed, in order, and which are gone; whether there are more.
    async fn page(&mut self, house: &House, user: &str, limit: u64) -> (Vec<String>, Vec<String>, bool) {
        let params = json!({"changed_since": self.cursor, "limit": limit});
        let page = house.ok(user, "conversations.list", params).await;
        assert!(page.get("next").is_none());
        if page.get("reset").is_some() {
            self.list.clear();
        }
        self.cursor = page["cursor"].clone();
        let mut changed = Vec::new();
        for shown in page["conversations"].as_array().unwrap() {
            changed.push(text_of(&shown["conversation"]));
            self.list.insert(text_of(&shown["conversation"]), shown.clone());
        }
        let gone: Vec<String> = page["gone"].as_array().unwrap().iter().map(text_of).collect();
        for id in &gone {
            self.list.remove(id);
        }
        assert!((changed.len() + gone.len()) as u64 <= limit);
        (changed, gone, page["more"].as_bool().unwrap())
    }

    async fn all(&mut self, house: &House, user: &str, limit: u64) -> (Vec<String>, Vec<String>) {
        let (mut changed, mut gone) = (Vec::new(), Vec::new());
        loop {
            let (some, away, more) = self.page(house, user, limit).await;
            changed.extend(some);
            gone.extend(away);
            if !more {
                return (changed, gone);
            }
        }
    }
}

fn one_shard() -> Config {
    Config { shards: NonZeroU16::MIN, ..config() }
}

#[tokio::test]
async fn what_changed_comes_in_the_order_of_change_and_once() {
    let house = House::with(one_shard());
    let mut made = Vec::new();
    for i in 0..6 {
        made.push(house.send_to("ada", &format!("friend-{i}"), "x").await);
    }
    let mut phone = Phone::new(&house, "ada").await;
    assert_eq!(phone.all(&house, "ada", 50).await, (vec![], vec![]));

    house.send("friend-4", &made[4], "a message").await;
    house.ok("ada", "conversations.update", json!({"conversation": made[0], "muted": true})).await;
    house.ok("ada", "conversations.mark_read", json!({"conversation": made[4], "version": 1})).await;
    house.ok("ada", "conversations.update", json!({"conversation": made[2], "label": "l"})).await;
    house.ok("friend-5", "conversations.update", json!({"conversation": made[5], "muted": true})).await;
    let new = house.group("friend-1", &["ada"]).await;

    let expected = vec![made[0].clone(), made[4].clone(), made[2].clone(), new];
    assert_eq!(phone.all(&house, "ada", 50).await, (expected, vec![]));
    assert_eq!((&phone.list[&made[0]]["muted"], &phone.list[&made[4]]["read"]), (&json!(true), &json!(1)));
    assert_eq!(phone.all(&house, "ada", 50).await, (vec![], vec![]), "and never again");
}

#[tokio::test]
async fn who_left_is_told_so_and_who_stays_sees_the_new_members() {
    let house = House::with(one_shard());
    let group = house.group("ada", &["bob"]).await;
    let other = house.group("ada", &["bob"]).await;
    let (mut ada, mut bob) = (Phone::new(&house, "ada").await, Phone::new(&house, "bob").await);

    house.ok("ada", "members.remove", json!({"conversation": group, "users": ["bob"]})).await;
    house.ok("ada", "members.add", json!({"conversation": other, "users": ["eve"]})).await;

    assert_eq!(bob.all(&house, "bob", 50).await, (vec![other.clone()], vec![group.clone()]));
    assert_eq!(ada.all(&house, "ada", 50).await, (vec![group.clone(), other.clone()], vec![]));
    assert_eq!(
        (&ada.list[&group]["member_count"], &ada.list[&other]["member_count"]),
        (&json!(1), &json!(3))
    );

    house.ok("ada", "members.add", json!({"conversation": group, "users": ["bob"]})).await;
    assert_eq!(bob.all(&house, "bob", 50).await, (vec![group], vec![]));
}

#[tokio::test]
async fn pages_join_also_in_the_middle_of_one_commit_and_over_several_shards() {
    for shards in [1, 3] {
        let house = House::with(Config { shards: NonZeroU16::new(shards).unwrap(), ..config() });
        let mut phone = Phone::new(&house, "ada").await;
        let friends: Vec<String> = (0..40).map(|i| format!("friend-{i}")).collect();
        // Called together, they share commits.
        let sends = friends.iter().map(|friend| house.send_to("ada", friend, "x"));
        let made: BTreeSet<String> = futures(sends).await.into_iter().collect();
        for limit in [1, 3, 7, 50] {
            let mut again = Phone { cursor: phone.cursor.clone(), list: BTreeMap::new() };
            let (changed, gone) = again.all(&house, "ada", limit).await;
            assert_eq!((changed.len(), gone.len()), (40, 0), "each once, {limit} at a time");
            assert_eq!(changed.into_iter().collect::<BTreeSet<_>>(), made);
        }
        // What changes behind a page is shown again, before there are no more.
        let (first, _, more) = phone.page(&house, "ada", 5).await;
        assert!(more);
        house.send("ada", &first[0], "behind the page").await;
        let (rest, _) = phone.all(&house, "ada", 5).await;
        assert_eq!(rest.iter().filter(|id| **id == first[0]).count(), 1);
        assert_eq!(phone.list.len(), 40);
        assert_eq!(phone.list[&first[0]]["version"], 2);
    }
}

async fn futures<T>(all: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut all: Vec<_> = all.map(Box::pin).collect();
    let mut done: Vec<Option<T>> = all.iter().map(|_| None).collect();
    std::future::poll_fn(|cx| {
        for (future, done) in all.iter_mut().zip(&mut done) {
            if done.is_none()
                && let std::task::Poll::Ready(value) = future.as_mut().poll(cx)
            {
                *done = Some(value);
            }
        }
        if done.iter().all(Option::is_some) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done.into_iter().flatten().collect()
}

#[tokio::test]
async fn both_methods_take_the_cursors_of_each_other() {
    let house = House::new();
    let mut made = Vec::new();
    for i in 0..9 {
        made.push(house.send_to("ada", &format!("friend-{i}"), "x").await);
    }
    // The cursor in the middle of topics.changes: nothing is known for sure.
    let first = house.ok("ada", "topics.changes", json!({"limit": 4})).await;
    let mut phone = Phone { cursor: first["cursor"].clone(), list: BTreeMap::new() };
    phone.all(&house, "ada", 4).await;
    assert_eq!(phone.list.len(), 9);

    let nothing = house.ok("ada", "topics.changes", json!({"cursor": phone.cursor})).await;
    assert_eq!((&nothing["topics"], &nothing["more"]), (&json!({}), &json!(false)));
    house.send("ada", &made[3], "y").await;
    let news = house.ok("ada", "topics.changes", json!({"cursor": phone.cursor})).await;
    assert_eq!(news["topics"], json!({format!("conversation:{}", made[3]): 2}));

    // And the cursor in the middle of a list.
    let mut phone = Phone { cursor: first["cursor"].clone(), list: BTreeMap::new() };
    let (shown, _, more) = phone.page(&house, "ada", 4).await;
    assert!(more);
    let (mut topics, mut cursor) = (BTreeSet::new(), phone.cursor);
    loop {
        let page = house.ok("ada", "topics.changes", json!({"cursor": cursor, "limit": 2})).await;
        topics.extend(page["topics"].as_object().unwrap().keys().cloned());
        cursor = page["cursor"].clone();
        if page["more"] == false {
            break;
        }
    }
    let known: BTreeSet<String> = shown.iter().map(|id| format!("conversation:{id}")).collect();
    let all: BTreeSet<String> = made.iter().map(|id| format!("conversation:{id}")).collect();
    assert!(all.difference(&known).all(|topic| topics.contains(topic)), "{topics:?}");
}

#[tokio::test]
async fn a_cursor_that_cannot_be_placed_brings_everything_and_reset() {
    let house = House::new();
    for i in 0..5 {
        house.send_to("ada", &format!("friend-{i}"), "x").await;
    }
    let foreign = House::new().ok("ada", "topics.changes", json!({})).await["cursor"].clone();
    let page = house.ok("ada", "conversations.list", json!({"changed_since": foreign, "limit": 2})).await;
    assert_eq!((&page["reset"], &page["more"]), (&json!(true), &json!(true)));
    let mut phone = Phone { cursor: foreign, list: BTreeMap::from([("stale".to_owned(), Value::Null)]) };
    phone.all(&house, "ada", 2).await;
    assert_eq!(phone.list.len(), 5);
    assert!(!phone.list.contains_key("stale"));

    let cursor = phone.cursor;
    for (params, code) in [
        (json!({"changed_since": "x"}), ErrorCode::Invalid),
        (json!({"changed_since": ""}), ErrorCode::Invalid),
        (json!({"changed_since": 5}), ErrorCode::Invalid),
        (json!({"changed_since": cursor, "before": "AQI"}), ErrorCode::Invalid),
        (json!({"changed_since": cursor, "limit": 0}), ErrorCode::Invalid),
    ] {
        assert_eq!(house.code("ada", "conversations.list", params.clone()).await, code, "{params}");
    }
}

#[tokio::test]
async fn a_page_of_large_conversations_ends_early_and_goes_on() {
    let house = House::new();
    let mut phone = Phone::new(&house, "ada").await;
    for i in 0..9 {
        house.send_to("ada", &format!("friend-{i}"), &"\u{1}".repeat(10_000)).await;
    }
    let (first, _, more) = phone.page(&house, "ada", 50).await;
    assert!(more && first.len() < 9);
    phone.all(&house, "ada", 50).await;
    assert_eq!(phone.list.len(), 9);
}
