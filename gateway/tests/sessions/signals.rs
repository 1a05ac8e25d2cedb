//! Signals: passed on, refused, and shown to sessions whose sockets take them at once; to no other.

use std::num::NonZeroUsize;
use std::time::Duration;

use doorbell_gateway::Config;
use doorbell_protocol::{ClientFrame, Encoding, ErrorBody, ErrorCode, Payload, ServerFrame, TopicId, UserId};
use doorbell_rpc::{GatewayApi, Signal, SignalRequest};
use serde_json::json;

use crate::client::Client;
use crate::neighbours::Says;
use crate::rig::Rig;

const TOPIC: &str = "conversation:c";

fn topic(name: &str) -> TopicId {
    TopicId::new(name).unwrap()
}

fn typing(encoding: Encoding) -> Payload {
    Payload::encode(encoding, &json!({"typing": true}))
}

fn frame(about: &str) -> ClientFrame {
    ClientFrame::Signal { topic: topic(about), data: typing(Encoding::Json) }
}

/// A signal of ada's, as it reaches a client.
fn heard(encoding: Encoding) -> ServerFrame {
    let from = UserId::new("ada").unwrap();
    ServerFrame::Signal { topic: topic(TOPIC), from, data: typing(encoding) }
}

fn request(users: &[&str], data: Payload) -> SignalRequest {
    let signal = Signal { topic: topic(TOPIC), from: UserId::new("ada").unwrap(), data };
    SignalRequest { signal, users: users.iter().map(|user| UserId::new(*user).unwrap()).collect() }
}

impl Rig {
    async fn show(&self, users: &[&str]) {
        self.gateway.signal(request(users, typing(Encoding::Json))).await.unwrap();
    }

    fn signals(&self, family: &str, outcome: &str) -> u64 {
        let name = format!("doorbell_gateway_signals_{family}_total");
        let families = self.metrics.gather();
        let family = families.iter().find(|family| family.name() == name).unwrap();
        let of_outcome = family.get_metric().iter().find(|m| m.get_label()[0].value() == outcome);
        // A counter counts whole events.
        of_outcome.unwrap().get_counter().get_value() as u64
    }
}

#[tokio::test]
async fn a_signal_is_passed_on_under_the_senders_name_and_answered_by_nothing() {
    let rig = Rig::new();
    let mut ada = rig.session("ada").await;

    ada.send(&frame(TOPIC)).await;

    rig.until("it is passed on", || rig.signals("sent", "passed") == 1).await;
    let came = rig.passer.came.lock().clone();
    let expected =
        Signal { topic: topic(TOPIC), from: UserId::new("ada").unwrap(), data: typing(Encoding::Json) };
    assert_eq!(came, [expected]);
    assert_eq!(ada.settle().await, []);
}

#[tokio::test]
async fn a_refusal_is_told_and_the_socket_stays() {
    let rig = Rig::new();
    let mut ada = rig.session("ada").await;
    rig.passer.say(Says::Refused(ErrorBody::new(ErrorCode::NotFound, "not yours")));

    ada.send(&frame(TOPIC)).await;

    assert_eq!(ada.error().await.code, ErrorCode::NotFound);
    assert_eq!(ada.settle().await, []);
}

#[tokio::test]
async fn who_signals_about_one_topic_too_often_is_told_when_to_come_back() {
    let rig = Rig::new();
    let mut ada = rig.session("ada").await;
    let mut elsewhere = rig.session("ada").await;
    ada.send(&frame(TOPIC)).await;
    rig.until("it is passed on", || rig.passer.came() == 1).await;

    ada.send(&frame(TOPIC)).await;
    let error = ada.error().await;
    elsewhere.send(&frame(TOPIC)).await;

    assert_eq!(error.code, ErrorCode::RateLimited);
    assert!(error.retry_after_ms.is_some_and(|ms| (1..=2_000).contains(&ms)), "{error:?}");
    assert_eq!(elsewhere.error().await.code, ErrorCode::RateLimited, "the user's, not the session's");
    ada.send(&frame("conversation:other")).await;
    rig.until("that of another topic is passed on", || rig.passer.came() == 2).await;
}

#[tokio::test]
async fn data_beyond_its_limit_is_refused_before_anybody_sees_it() {
    let rig = Rig::new();
    let mut ada = rig.session("ada").await;
    let data = Payload::encode(Encoding::Json, &"x".repeat(1_023));

    ada.send(&ClientFrame::Signal { topic: topic(TOPIC), data }).await;

    assert_eq!(ada.error().await.code, ErrorCode::TooLarge);
    assert_eq!(rig.passer.came(), 0);
}

#[tokio::test]
async fn a_signal_before_the_welcome_is_passed_on_after_it() {
    let rig = Rig::new();
    rig.registry.hold_enters();
    let mut ada = rig.connect().await;
    ada.hello("ada").await;
    ada.send(&frame(TOPIC)).await;
    rig.until("the enter is on its way", || rig.metric("doorbell_gateway_frames_in_total") >= 2.0).await;
    assert_eq!(rig.passer.came(), 0);

    rig.registry.let_enters_go();

    ada.welcome().await;
    rig.until("it is passed on", || rig.passer.came() == 1).await;
}

#[tokio::test]
async fn a_service_that_says_nothing_holds_up_neither_calls_nor_hints_and_drops_what_is_too_many() {
    let config = Config { signals_in_flight_max: NonZeroUsize::new(2).unwrap(), ..Config::default() };
    let rig = Rig::with(Config { signal_timeout: Duration::from_secs(600), ..config });
    let mut ada = rig.session("ada").await;
    rig.passer.say(Says::Nothing);

    for number in 0..10 {
        ada.send(&frame(&format!("conversation:{number}"))).await;
    }
    ada.call(1, "echo").await;

    assert!(ada.reply().await.1.is_ok());
    rig.ring("ada", TOPIC, 7).await;
    assert_eq!(ada.hint().await.topics.len(), 1);
    assert_eq!((rig.passer.came(), rig.signals("sent", "busy")), (2, 8));
    assert_eq!(ada.settle().await, [], "what is dropped is dropped without a word");
}

#[tokio::test]
async fn what_is_late_or_finds_nobody_is_dropped_without_a_word() {
    let rig = Rig::with(Config { signal_timeout: Duration::from_millis(1), ..Config::default() });
    let mut ada = rig.session("ada").await;

    for (says, outcome) in
        [(Says::Nothing, "late"), (Says::Unavailable, "failed"), (Says::Dropped, "dropped")]
    {
        rig.passer.say(says);
        ada.send(&frame(&format!("conversation:{outcome}"))).await;
        rig.until(outcome, || rig.signals("sent", outcome) == 1).await;
    }

    assert_eq!(ada.settle().await, []);
}

#[tokio::test]
async fn every_session_of_the_users_named_hears_a_signal_each_in_its_encoding() {
    let rig = Rig::new();
    let mut json = rig.session("bob").await;
    let mut msgpack = rig.connect_in(Encoding::MsgPack).await;
    msgpack.hello("eve").await;
    msgpack.welcome().await;
    let mut other = rig.session("zoe").await;

    rig.show(&["bob", "eve", "nobody"]).await;

    assert_eq!(json.next().await, Ok(heard(Encoding::Json)));
    assert_eq!(msgpack.next().await, Ok(heard(Encoding::MsgPack)));
    assert_eq!(other.settle().await, []);
    assert_eq!(rig.signals("shown", "written"), 2);
}

#[tokio::test]
async fn a_session_without_its_welcome_hears_nothing() {
    let rig = Rig::new();
    rig.registry.hold_enters();
    let mut bob = rig.connect().await;
    bob.hello("bob").await;
    rig.until("bob enters", || rig.metric("doorbell_gateway_enters_waiting") > 0.0).await;

    rig.show(&["bob"]).await;
    rig.registry.let_enters_go();

    bob.welcome().await;
    assert_eq!(bob.settle().await, []);
    assert_eq!(rig.signals("shown", "gone"), 1);
}

#[tokio::test]
async fn who_gathers_hints_hears_signals_at_once() {
    let rig = Rig::new();
    let mut bob = rig.connect().await;
    bob.say_hello("bob", None, 10_000).await;
    bob.welcome().await;
    rig.ring("bob", TOPIC, 3).await;

    rig.show(&["bob"]).await;

    assert_eq!(bob.next().await, Ok(heard(Encoding::Json)));
}

#[tokio::test]
async fn a_client_that_does_not_read_loses_signals_and_no_hint_and_costs_the_others_nothing() {
    const SIGNALS: usize = 3_000;
    let rig = Rig::new();
    let mut asleep = rig.session("bob").await;
    let mut awake = rig.session("eve").await;
    let data = Payload::encode(Encoding::Json, &"x".repeat(1_000));

    for number in 1..=SIGNALS {
        rig.gateway.signal(request(&["bob", "eve"], data.clone())).await.unwrap();
        assert!(matches!(awake.next().await, Ok(ServerFrame::Signal { .. })));
        rig.ring("bob", TOPIC, number as u64).await;
    }

    let written = rig.signals("shown", "written") as usize - SIGNALS;
    assert_eq!(written + rig.signals("shown", "slow") as usize, SIGNALS, "all is accounted for");
    assert!(written < SIGNALS / 2, "{written} fit the buffers of the socket, and nothing else holds any");
    let came = read_up_to(&mut asleep, SIGNALS as u64).await;
    assert_eq!(came, written);
}

/// Reads until a hint names the head; answers how many signals came before it.
async fn read_up_to(client: &mut Client, head: u64) -> usize {
    let mut signals = 0;
    loop {
        match client.next().await.unwrap() {
            ServerFrame::Signal { .. } => signals += 1,
            ServerFrame::Hint(hint) if hint.topics[0].1.get() == head => return signals,
            ServerFrame::Hint(_) => {}
            other => panic!("neither signal nor hint: {other:?}"),
        }
    }
}
