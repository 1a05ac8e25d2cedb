//! The frames that the golden vectors hold, by name.
#![expect(clippy::unwrap_used, reason = "the constants below are good; a test that panics says so")]

use doorbell_protocol::frames::{Goaway, Hello, HintFrame, Limits, Token, Welcome};
use doorbell_protocol::{
    CallId, ClientFrame, DeviceId, Encoding, ErrorBody, ErrorCode, Payload, ServerFrame, SessionId,
    Timestamp, TopicId, UserId, Version,
};
use serde_json::{Value, json};

pub fn client() -> Vec<(&'static str, ClientFrame)> {
    let hello = |hello| ClientFrame::Hello(hello);
    let token = || Token("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2ln".into());
    let mut frames = vec![
        ("hello", hello(Hello::default())),
        (
            "hello with everything",
            hello(Hello {
                token: Some(token()),
                device: Some(DeviceId::new("Ada's phone 📱").unwrap()),
                client: Some("doorbell-js/0.1.0".into()),
                hint_window_ms: 10_000,
            }),
        ),
        ("token", ClientFrame::Token(token())),
        (
            "subscribe",
            ClientFrame::Subscribe {
                id: CallId::Number(1),
                topics: versions(&[("presence:bob", 0), ("feed:alice", 9_007_199_254_740_991)]),
            },
        ),
        ("subscribe to nothing", ClientFrame::Subscribe { id: CallId::Number(2), topics: vec![] }),
        (
            "unsubscribe",
            ClientFrame::Unsubscribe {
                id: text("u-1"),
                topics: vec![topic("presence:bob"), topic("feed:alice")],
            },
        ),
        (
            "signal",
            ClientFrame::Signal { topic: topic("conversation:c1"), data: payload(json!({"typing": true})) },
        ),
        (
            "signal with text",
            ClientFrame::Signal { topic: topic("conversation:c1"), data: payload(json!("typing")) },
        ),
        ("ping", ClientFrame::Ping { id: None }),
        ("ping with an id", ClientFrame::Ping { id: Some(CallId::Number(4)) }),
    ];
    frames.extend(calls());
    frames
}

fn calls() -> Vec<(&'static str, ClientFrame)> {
    let call =
        |id, method: &str, params| ClientFrame::Call { id, method: method.into(), params: payload(params) };
    let send = json!({
        "conversation": "c1", "key": "01JD2Q8Z0000000000000000AB", "text": "Grüße, \"Bob\"\n🔔"
    });
    let nested = json!({"meta": {"a": [null, true, false, 0, -1, -129, 255, 65536, 1.5, {"": []}]}});
    let users = json!({"users": ["alice", "bob"]});
    vec![
        ("call", call(CallId::Number(3), "messages.send", send)),
        ("call without parameters", call(text("a/1"), "conversations.list", json!({}))),
        ("call with the greatest id", call(CallId::Number(9_007_199_254_740_991), "status.get", users)),
        ("call with nested parameters", call(CallId::Number(0), "messages.send", nested)),
    ]
}

pub fn server() -> Vec<(&'static str, ServerFrame)> {
    let pong = |id| ServerFrame::Pong { id };
    let reply = |id, outcome| ServerFrame::Reply { id, outcome };
    let mut frames = vec![
        ("welcome", welcome(None)),
        ("welcome with a device", welcome(Some(DeviceId::new("Ada's phone 📱").unwrap()))),
        (
            "signal",
            ServerFrame::Signal {
                topic: topic("conversation:c1"),
                from: UserId::new("bob").unwrap(),
                data: payload(json!({"typing": true})),
            },
        ),
        ("pong", pong(None)),
        ("pong with an id", pong(Some(CallId::Number(4)))),
        ("pong with text as its id", pong(Some(text("p")))),
        (
            "reply with a result",
            reply(
                CallId::Number(3),
                Ok(payload(json!({
                    "conversation": "c1", "id": "m1", "sent_at_ms": 1_732_181_400_000_u64, "version": 7
                }))),
            ),
        ),
        ("reply with null as its result", reply(text("a/1"), Ok(payload(Value::Null)))),
        (
            "reply with an error",
            reply(
                CallId::Number(3),
                Err(ErrorBody::new(ErrorCode::NotFound, "there is no such conversation")),
            ),
        ),
        (
            "reply with an error to retry",
            reply(
                text("a/1"),
                Err(ErrorBody::retry_after(ErrorCode::RateLimited, "at most 10 messages in 10 s", 900)),
            ),
        ),
    ];
    frames.extend(hints());
    frames.extend(goaways());
    frames.extend(errors());
    frames
}

fn welcome(device: Option<DeviceId>) -> ServerFrame {
    ServerFrame::Welcome(Welcome {
        session: SessionId::from_bits(0x0123_4567_89ab_cdef),
        user: UserId::new("alice").unwrap(),
        device,
        server_time_ms: Timestamp::from_millis(1_732_181_400_000),
        heartbeat_ms: 25_000,
        limits: Limits { frame_bytes: 131_072, subscriptions: 1_000, calls_per_second: 20 },
    })
}

fn hints() -> Vec<(&'static str, ServerFrame)> {
    let hint = |hint| ServerFrame::Hint(hint);
    vec![
        ("hint", hint(HintFrame { topics: versions(&[("conversation:c1", 7)]), ..HintFrame::default() })),
        (
            "hint with everything",
            hint(HintFrame {
                topics: versions(&[("conversation:c1", 7), ("inbox:Ada \"L\" ❤", 9_007_199_254_740_991)]),
                pull_after_ms: Some(1_500),
                more: true,
                resync: true,
            }),
        ),
        (
            "hint to pull at once",
            hint(HintFrame {
                topics: versions(&[("feed:bob", 300)]),
                pull_after_ms: Some(0),
                ..HintFrame::default()
            }),
        ),
        ("hint to resync", hint(HintFrame { resync: true, ..HintFrame::default() })),
    ]
}

fn goaways() -> Vec<(&'static str, ServerFrame)> {
    let goaway = |url| {
        ServerFrame::Goaway(Goaway {
            reason: "this gateway restarts".into(),
            reconnect_after_ms: 2_500,
            deadline_ms: 30_000,
            url,
        })
    };
    vec![
        ("goaway", goaway(None)),
        ("goaway to another address", goaway(Some("wss://gw2.example.org/v1/ws".into()))),
    ]
}

fn errors() -> Vec<(&'static str, ServerFrame)> {
    let mut full = ErrorBody::retry_after(ErrorCode::Unavailable, "the store restarts", 1_000);
    full.details = Some(json!({"shard": 3}));
    vec![
        ("error", ServerFrame::Error(ErrorBody::new(ErrorCode::Invalid, "signal: `topic` is missing"))),
        ("error with everything", ServerFrame::Error(full)),
    ]
}

/// Payloads of the table are in JSON; a test brings them into the encoding that it looks at.
fn payload(value: Value) -> Payload {
    Payload::encode(Encoding::Json, &value)
}

fn text(id: &str) -> CallId {
    CallId::text(id).unwrap()
}

fn topic(topic: &str) -> TopicId {
    TopicId::new(topic).unwrap()
}

fn versions(versions: &[(&str, u64)]) -> Vec<(TopicId, Version)> {
    versions.iter().map(|&(name, version)| (topic(name), Version::new(version).unwrap())).collect()
}
