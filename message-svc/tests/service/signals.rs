//! Signals: who may send them, who is to hear them, and that nothing waits for them.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use doorbell_message_svc::Config;
use doorbell_protocol::{Encoding, ErrorCode, Payload, TopicId, UserId};
use doorbell_rpc::{Signal, SignalReply, Signals};
use serde_json::json;

use crate::support::doors::Behaviour;
use crate::support::{House, config};

const TYPING: &str = r#"{"typing":true}"#;

fn signal(from: &str, topic: &str) -> Signal {
    Signal {
        topic: TopicId::new(topic).unwrap(),
        from: UserId::new(from).unwrap(),
        data: Payload::encode(Encoding::Json, &json!({"typing": true})),
    }
}

async fn say(house: &House, from: &str, conversation: &str) -> SignalReply {
    house.service().signal(signal(from, &format!("conversation:{conversation}"))).await.unwrap()
}

fn refusal(reply: SignalReply) -> ErrorCode {
    match reply {
        SignalReply::Refused(error) => error.code,
        other => panic!("not refused: {other:?}"),
    }
}

fn shown(gateway: &str, users: &[&str]) -> (String, BTreeSet<String>, String) {
    (gateway.to_owned(), users.iter().map(|user| (*user).to_owned()).collect(), TYPING.to_owned())
}

#[tokio::test]
async fn a_signal_goes_once_to_each_gateway_of_the_others_who_are_online() {
    let house = House::new();
    let conversation = house.group("ada", &["bob", "eve", "joe"]).await;
    for (user, gateway) in
        [("ada", "gw-1"), ("bob", "gw-1"), ("eve", "gw-1"), ("eve", "gw-2"), ("zoe", "gw-2")]
    {
        house.bells.come(user, gateway).await;
    }

    assert_eq!(say(&house, "ada", &conversation).await, SignalReply::Passed);

    assert_eq!(house.bells.doors.shown(), [shown("gw-1", &["bob", "eve"]), shown("gw-2", &["eve"])]);
}

#[tokio::test]
async fn a_signal_for_nobody_calls_nobody() {
    let house = House::new();
    let conversation = house.group("ada", &["bob"]).await;
    house.bells.come("ada", "gw-1").await;

    assert_eq!(say(&house, "ada", &conversation).await, SignalReply::Passed);
    let alone = house.group("ada", &[]).await;
    assert_eq!(say(&house, "ada", &alone).await, SignalReply::Passed);

    assert_eq!(house.bells.doors.shown(), []);
}

#[tokio::test]
async fn strangers_and_who_has_left_are_refused_like_who_names_nothing() {
    let house = House::new();
    let conversation = house.group("ada", &["bob", "eve"]).await;
    house.bells.come("ada", "gw-1").await;
    let leave = json!({"conversation": conversation, "users": ["eve"]});
    house.ok("eve", "members.remove", leave).await;

    for (from, conversation) in [("zoe", &*conversation), ("eve", &conversation), ("ada", "nowhere")] {
        assert_eq!(refusal(say(&house, from, conversation).await), ErrorCode::NotFound, "{from}");
    }
    let inbox = house.service().signal(signal("ada", "inbox:ada")).await.unwrap();
    assert_eq!(refusal(inbox), ErrorCode::Invalid);

    assert_eq!(house.bells.doors.shown(), []);
}

#[tokio::test]
async fn a_large_conversation_takes_none_and_tells_a_stranger_nothing() {
    let house = House::with(Config { small_audience_max: 3, ..config() });
    let small = house.group("ada", &["bob", "eve"]).await;
    let large = house.group("ada", &["bob", "eve", "joe"]).await;

    assert_eq!(say(&house, "ada", &small).await, SignalReply::Passed);
    assert_eq!(refusal(say(&house, "ada", &large).await), ErrorCode::Forbidden);
    assert_eq!(refusal(say(&house, "zoe", &large).await), ErrorCode::NotFound);
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_hangs_or_is_busy_or_gone_costs_the_others_nothing() {
    let house = House::new();
    let conversation = house.group("ada", &["bob", "eve", "joe", "kim"]).await;
    for (user, behaviour) in [
        ("bob", Behaviour::Hangs),
        ("eve", Behaviour::Busy),
        ("joe", Behaviour::Gone),
        ("kim", Behaviour::Shows),
    ] {
        house.bells.come(user, &format!("gw-{user}")).await;
        house.bells.doors.make(&format!("gw-{user}"), behaviour);
    }

    let began = tokio::time::Instant::now();
    assert_eq!(say(&house, "ada", &conversation).await, SignalReply::Passed);

    assert!(began.elapsed() <= Duration::from_millis(260), "{:?}", began.elapsed());
    assert_eq!(house.bells.doors.shown(), [shown("gw-kim", &["kim"])]);
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_hangs_or_fails_drops_the_signal() {
    let house = House::new();
    let conversation = house.group("ada", &["bob"]).await;
    house.bells.come("bob", "gw-1").await;

    house.bells.directory.hold();
    assert_eq!(say(&house, "ada", &conversation).await, SignalReply::Dropped);
    house.bells.directory.let_go();
    house.bells.directory.fail();
    assert_eq!(say(&house, "ada", &conversation).await, SignalReply::Dropped);

    assert_eq!(house.bells.doors.shown(), []);
}

#[tokio::test]
async fn beyond_the_bound_signals_are_dropped_at_once_and_calls_are_answered() {
    let max = NonZeroU32::new(2).unwrap();
    let patient = Duration::from_secs(600);
    let house = House::with(Config { signals_in_flight_max: max, signal_deadline: patient, ..config() });
    let conversation = house.group("ada", &["bob"]).await;
    house.bells.come("bob", "gw-1").await;
    house.bells.directory.hold();
    let service = Arc::clone(house.service());
    let mut waiting: Vec<_> =
        (0..2).map(|_| service.signal(signal("ada", &format!("conversation:{conversation}")))).collect();
    for signal in &mut waiting {
        assert!(matches!(futures_util::poll!(signal), Poll::Pending));
    }

    assert_eq!(say(&house, "ada", &conversation).await, SignalReply::Dropped);
    house.send("ada", &conversation, "hello").await;
    house.ok("bob", "conversations.get", json!({"conversation": conversation})).await;

    house.bells.directory.let_go();
    for signal in waiting {
        assert_eq!(signal.await.unwrap(), SignalReply::Passed);
    }
    assert_eq!(house.bells.doors.shown().len(), 2);
}
