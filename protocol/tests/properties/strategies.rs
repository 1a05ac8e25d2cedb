//! Any good frame.

use doorbell_protocol::frames::{Goaway, Hello, HintFrame, Limits, Token, Welcome};
use doorbell_protocol::{
    CallId, ClientFrame, DeviceId, Encoding, ErrorBody, ErrorCode, Payload, ServerFrame, SessionId,
    Timestamp, TopicId, UserId, Version,
};
use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value};

pub fn client_frame() -> impl Strategy<Value = ClientFrame> {
    let hello = (of("\\PC{0,40}"), of(user()), of("[ -~é]{1,40}"), 0_u32..=10_000).prop_map(
        |(token, device, client, hint_window_ms)| {
            let token = token.map(Token);
            let device =
                device.map(|name| DeviceId::new(name.as_str()).expect("the same rule as for a user"));
            ClientFrame::Hello(Hello { token, device, client, hint_window_ms })
        },
    );
    prop_oneof![
        hello,
        any::<String>().prop_map(|token| ClientFrame::Token(Token(token))),
        (call_id(), versions()).prop_map(|(id, topics)| ClientFrame::Subscribe { id, topics }),
        (call_id(), vec(topic(), 0..5)).prop_map(|(id, topics)| ClientFrame::Unsubscribe { id, topics }),
        (call_id(), "[a-z.]{1,64}", object()).prop_map(|(id, method, params)| ClientFrame::Call {
            id,
            method,
            params
        }),
        (topic(), "\\PC{0,100}").prop_map(|(topic, text)| ClientFrame::Signal {
            topic,
            data: Payload::encode(Encoding::Json, &text)
        }),
        of(call_id()).prop_map(|id| ClientFrame::Ping { id }),
    ]
}

pub fn server_frame() -> impl Strategy<Value = ServerFrame> {
    prop_oneof![
        welcome(),
        (versions(), of(any::<u32>()), any::<bool>(), any::<bool>()).prop_map(
            |(topics, pull_after_ms, more, resync)| {
                ServerFrame::Hint(HintFrame { topics, pull_after_ms, more, resync })
            }
        ),
        (call_id(), payload()).prop_map(|(id, result)| ServerFrame::Reply { id, outcome: Ok(result) }),
        (call_id(), error()).prop_map(|(id, error)| ServerFrame::Reply { id, outcome: Err(error) }),
        (topic(), user(), payload()).prop_map(|(topic, from, data)| ServerFrame::Signal {
            topic,
            from,
            data
        }),
        of(call_id()).prop_map(|id| ServerFrame::Pong { id }),
        (any::<String>(), any::<u32>(), any::<u32>(), of(any::<String>())).prop_map(
            |(reason, reconnect_after_ms, deadline_ms, url)| {
                ServerFrame::Goaway(Goaway { reason, reconnect_after_ms, deadline_ms, url })
            }
        ),
        error().prop_map(ServerFrame::Error),
    ]
}

fn welcome() -> impl Strategy<Value = ServerFrame> {
    (any::<u64>(), user(), any::<u64>(), any::<[u32; 4]>()).prop_map(|(session, user, time, numbers)| {
        let [heartbeat_ms, frame_bytes, subscriptions, calls_per_second] = numbers;
        ServerFrame::Welcome(Welcome {
            session: SessionId::from_bits(session),
            user,
            device: None,
            server_time_ms: Timestamp::from_millis(time),
            heartbeat_ms,
            limits: Limits { frame_bytes, subscriptions, calls_per_second },
        })
    })
}

fn error() -> impl Strategy<Value = ErrorBody> {
    // `null` details are the same as none.
    let details = of(value().prop_filter("null is absent", |value| !value.is_null()));
    (select(ErrorCode::ALL), any::<String>(), of(any::<u64>()), details).prop_map(
        |(code, message, retry_after_ms, details)| ErrorBody { code, message, retry_after_ms, details },
    )
}

fn call_id() -> impl Strategy<Value = CallId> {
    prop_oneof![
        (0..=Version::MAX.get()).prop_map(CallId::Number),
        (0..300_u64).prop_map(CallId::Number),
        "\\PC{1,16}".prop_filter_map("no control characters", |text| CallId::text(&text).ok()),
    ]
}

fn user() -> impl Strategy<Value = UserId> {
    prop_oneof!["[a-z]{1,128}", "\\PC{1,20}"].prop_filter_map("a good id", |text| UserId::new(text).ok())
}

fn topic() -> impl Strategy<Value = TopicId> {
    prop_oneof!["[a-z][a-z0-9-]{0,8}:[a-zA-Z0-9]{1,40}", "[a-z]:\\PC{1,20}"]
        .prop_filter_map("a good topic", |text| TopicId::new(text).ok())
}

fn versions() -> impl Strategy<Value = Vec<(TopicId, Version)>> {
    let version = prop_oneof![0..1_000_u64, 0..=Version::MAX.get()]
        .prop_map(|number| Version::new(number).expect("at most the greatest"));
    btree_map(topic(), version, 0..5).prop_map(|map| map.into_iter().collect())
}

fn object() -> impl Strategy<Value = Payload> {
    btree_map("\\PC{0,8}", value(), 0..4)
        .prop_map(|map| Payload::encode(Encoding::Json, &map.into_iter().collect::<Map<_, _>>()))
}

fn payload() -> impl Strategy<Value = Payload> {
    value().prop_map(|value| Payload::encode(Encoding::Json, &value))
}

/// What JSON can say: finite numbers, no depth to speak of.
pub fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_filter("finite", |number| number.is_finite()).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::from),
            btree_map(any::<String>(), inner, 0..5).prop_map(|map| map.into_iter().collect::<Value>()),
        ]
    })
}

/// The same frame with its payload in `encoding`.
pub fn client_to(mut frame: ClientFrame, encoding: Encoding) -> ClientFrame {
    if let ClientFrame::Call { params: payload, .. } | ClientFrame::Signal { data: payload, .. } = &mut frame
    {
        *payload = payload.to(encoding);
    }
    frame
}

/// The same frame with its payload in `encoding`.
pub fn server_to(mut frame: ServerFrame, encoding: Encoding) -> ServerFrame {
    if let ServerFrame::Reply { outcome: Ok(payload), .. } | ServerFrame::Signal { data: payload, .. } =
        &mut frame
    {
        *payload = payload.to(encoding);
    }
    frame
}
