//! The cost of a frame: what a gateway reads and writes most.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use doorbell_protocol::codec::{decode_client, encode_client, encode_server};
use doorbell_protocol::frames::{HintFrame, Limits, Welcome};
use doorbell_protocol::{
    CallId, ClientFrame, Encoding, Payload, ServerFrame, SessionId, Timestamp, TopicId, UserId, Version,
};
use serde_json::json;

const BOTH: [(Encoding, &str); 2] = [(Encoding::Json, "json"), (Encoding::MsgPack, "msgpack")];

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    for (encoding, name) in BOTH {
        for (kind, frame) in client_frames(encoding) {
            let mut bytes = Vec::new();
            encode_client(encoding, &frame, &mut bytes);
            group.throughput(Throughput::Bytes(bytes.len() as u64));
            group.bench_function(format!("{kind}/{name}"), |bencher| {
                bencher.iter(|| decode_client(encoding, black_box(&bytes)).expect("a good frame"));
            });
        }
    }
}

fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode");
    for (encoding, name) in BOTH {
        for (kind, frame) in server_frames(encoding) {
            let mut out = Vec::with_capacity(4096);
            encode_server(encoding, &frame, &mut out);
            group.throughput(Throughput::Bytes(out.len() as u64));
            group.bench_function(format!("{kind}/{name}"), |bencher| {
                bencher.iter(|| {
                    out.clear();
                    encode_server(encoding, black_box(&frame), &mut out);
                });
            });
        }
    }
}

fn client_frames(encoding: Encoding) -> [(&'static str, ClientFrame); 2] {
    let params = json!({
        "conversation": "c01JD2Q8Z0000000000000000AB", "key": "0193f3a1-7b5c-7d3e-8f00-123456789abc",
        "text": "see you at the station at eight, platform four",
    });
    let send = ClientFrame::Call {
        id: CallId::Number(42),
        method: "messages.send".into(),
        params: Payload::encode(encoding, &params),
    };
    [("ping", ClientFrame::Ping { id: Some(CallId::Number(7)) }), ("messages.send", send)]
}

fn server_frames(encoding: Encoding) -> [(&'static str, ServerFrame); 3] {
    let topic = TopicId::new("conversation:c01JD2Q8Z0000000000000000AB").expect("a good topic");
    let topics = vec![(topic, Version::new(1234).expect("a small number"))];
    let result = json!({
        "conversation": "c01JD2Q8Z0000000000000000AB", "version": 1234, "id": "m01JD2Q8Z0000000000000000CD",
        "sent_at_ms": 1_732_181_400_000_u64,
    });
    let welcome = Welcome {
        session: SessionId::from_bits(0x0123_4567_89ab_cdef),
        user: UserId::new("alice").expect("a good name"),
        device: None,
        server_time_ms: Timestamp::from_millis(1_732_181_400_000),
        heartbeat_ms: 25_000,
        limits: Limits { frame_bytes: 131_072, subscriptions: 1_000, calls_per_second: 20 },
    };
    [
        ("hint", ServerFrame::Hint(HintFrame { topics, ..HintFrame::default() })),
        ("welcome", ServerFrame::Welcome(welcome)),
        (
            "reply",
            ServerFrame::Reply { id: CallId::Number(42), outcome: Ok(Payload::encode(encoding, &result)) },
        ),
    ]
}

criterion_group!(benches, decode, encode);
criterion_main!(benches);
