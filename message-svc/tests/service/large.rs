//! Conversations with more members than are rung one by one: published once, and who has to follow is told to ask.

use std::collections::{BTreeMap, BTreeSet};

use doorbell_message_svc::Config;
use doorbell_protocol::{Hint, TopicId, UserId};
use doorbell_rpc::Audiences;
use serde_json::{Value, json};

use crate::support::{House, config};

const SMALL_MAX: u64 = 3;

fn house() -> House {
    let mut house = House::with(Config { small_audience_max: SMALL_MAX, ..config() });
    house.run();
    house
}

fn topic(conversation: &str) -> String {
    format!("conversation:{conversation}")
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

async fn change(house: &House, method: &str, conversation: &str, users: &[&str]) {
    house.ok("ada", method, json!({"conversation": conversation, "users": users})).await;
}

async fn inbox_moved(house: &House, user: &str, version: u64) {
    house.bells.rung(user, &format!("inbox:{user}"), version).await;
}

async fn large_topics(house: &House, user: &str) -> BTreeMap<String, u64> {
    let user = UserId::new(user).unwrap();
    let [topics] = house.service().large_topics(vec![user]).await.unwrap().try_into().unwrap();
    versions(topics)
}

fn versions(hints: Vec<Hint>) -> BTreeMap<String, u64> {
    hints.into_iter().map(|hint| (hint.topic.to_string(), hint.version.get())).collect()
}

#[tokio::test]
async fn a_change_of_a_large_conversation_is_published_once_and_rings_nobody_one_by_one() {
    let house = house();
    let conversation = house.group("ada", &["bob", "eve", "joe"]).await;
    inbox_moved(&house, "ada", 1).await;
    house.bells.hush();

    house.send("ada", &conversation, "hello").await;
    let second = house.send("bob", &conversation, "hi").await;

    house.published.reached(&topic(&conversation), second).await;
    assert_eq!(house.bells.told(), BTreeMap::new());
    assert_eq!(large_topics(&house, "eve").await, BTreeMap::from([(topic(&conversation), 2)]));
    assert_eq!(large_topics(&house, "zoe").await, BTreeMap::new());
}

#[tokio::test]
async fn a_conversation_made_large_has_all_its_members_ask_for_their_topics() {
    let house = house();

    house.group("ada", &["bob", "eve", "joe"]).await;

    inbox_moved(&house, "joe", 1).await;
    assert_eq!(house.bells.refollowed(), set(&["ada", "bob", "eve", "joe"]));
}

#[tokio::test]
async fn crossing_the_threshold_marks_every_member_with_the_head_in_both_directions() {
    let house = house();
    let conversation = house.group("ada", &["bob", "eve"]).await;
    let first = house.send("ada", &conversation, "small").await;
    house.bells.rung("eve", &topic(&conversation), first).await;
    assert_eq!((house.bells.refollowed(), house.published.topics()), (set(&[]), BTreeMap::new()));

    house.bells.hush();
    change(&house, "members.add", &conversation, &["joe"]).await;
    for user in ["ada", "bob", "eve", "joe"] {
        house.bells.rung(user, &topic(&conversation), first).await;
    }
    assert_eq!(house.bells.refollowed(), set(&["ada", "bob", "eve", "joe"]));
    let second = house.send("ada", &conversation, "large").await;
    house.published.reached(&topic(&conversation), second).await;

    house.bells.hush();
    change(&house, "members.remove", &conversation, &["bob"]).await;
    for user in ["ada", "eve", "joe"] {
        house.bells.rung(user, &topic(&conversation), second).await;
    }
    inbox_moved(&house, "bob", 2).await;
    assert_eq!(house.bells.refollowed(), set(&["ada", "bob", "eve", "joe"]));
    assert!(!house.bells.told().contains_key(&("bob".into(), topic(&conversation))), "told nothing more");
    let third = house.send("ada", &conversation, "small again").await;
    house.bells.rung("joe", &topic(&conversation), third).await;
    assert_eq!(house.published.topics()[&topic(&conversation)], second);
}

#[tokio::test]
async fn who_comes_into_a_large_one_is_told_the_head_and_who_leaves_it_is_not() {
    let house = house();
    let conversation = house.group("ada", &["bob", "eve", "joe"]).await;
    let head = house.send("ada", &conversation, "hello").await;
    house.published.reached(&topic(&conversation), head).await;
    house.bells.marked(&set(&["ada", "bob", "eve", "joe"])).await;
    house.bells.hush();

    change(&house, "members.add", &conversation, &["zoe"]).await;
    house.bells.rung("zoe", &topic(&conversation), head).await;
    change(&house, "members.remove", &conversation, &["bob"]).await;
    inbox_moved(&house, "bob", 2).await;

    assert_eq!(house.bells.refollowed(), set(&["bob", "zoe"]));
    assert!(!house.bells.told().contains_key(&("bob".into(), topic(&conversation))));
    assert_eq!(large_topics(&house, "bob").await, BTreeMap::new());
    assert_eq!(large_topics(&house, "zoe").await, BTreeMap::from([(topic(&conversation), head)]));
}

#[tokio::test]
async fn a_channel_service_that_is_away_is_told_when_it_is_back() {
    let house = house();
    let conversation = house.group("ada", &["bob", "eve", "joe"]).await;
    house.published.fail(2);

    let version = house.send("ada", &conversation, "hello").await;

    house.published.reached(&topic(&conversation), version).await;
}

#[tokio::test]
async fn a_channel_service_that_is_away_holds_up_no_hint_of_a_small_conversation() {
    let house = house();
    let large = house.group("ada", &["bob", "eve", "joe"]).await;
    let small = house.group("ada", &["bob"]).await;
    house.published.fail(usize::MAX);
    let missed = house.send("ada", &large, "hello").await;
    let version = house.send("ada", &small, "hello").await;

    house.bells.rung("bob", &topic(&small), version).await;

    house.published.fail(0);
    house.published.reached(&topic(&large), missed).await;
}

#[tokio::test]
async fn a_large_conversation_says_how_many_are_online_and_a_small_one_does_not() {
    let house = house();
    let large = house.group("ada", &["bob", "eve", "joe"]).await;
    let small = house.group("ada", &["bob"]).await;
    let get = async |id: &str| house.ok("bob", "conversations.get", json!({"conversation": id})).await;

    assert_eq!(get(&large).await["online"], 4, "seven follow by the channel service, of four members");
    assert_eq!(get(&small).await["online"], Value::Null);
}

#[tokio::test]
async fn one_may_follow_what_is_ones_own_and_the_presence_of_acquaintances() {
    let house = house();
    let shared = house.group("ada", &["bob"]).await;
    let foreign = house.group("eve", &["joe"]).await;
    house.send("ada", &shared, "hello").await;
    let asked = [
        topic(&shared),
        topic(&foreign),
        topic("nowhere"),
        "inbox:ada".into(),
        "inbox:bob".into(),
        "presence:ada".into(),
        "presence:bob".into(),
        "presence:eve".into(),
        "presence:".into(),
        "feed:ada".into(),
    ];
    let topics = asked.iter().filter_map(|topic| TopicId::new(topic).ok()).collect();

    let ada = UserId::new("ada").unwrap();
    let allowed = versions(house.service().authorize(&ada, topics).await.unwrap());

    let inbox = allowed["inbox:ada"];
    let expected = [
        (topic(&shared), 1),
        ("inbox:ada".into(), inbox),
        ("presence:ada".into(), 0),
        ("presence:bob".into(), 0),
    ];
    assert_eq!(allowed, BTreeMap::from(expected));
}
