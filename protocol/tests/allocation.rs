//! PR-1: decoding n bytes allocates at most `PER_BYTE` * n + `AT_LEAST` bytes, whatever the bytes are.
//!
//! The sum of all allocations counts, also of those that were given back: the peak is lower.

use std::fmt::Write as _;

use bytes::Bytes;
use doorbell_protocol::codec::{decode_client, decode_server};
use doorbell_protocol::{Encoding, Payload};
use proptest::prelude::*;
use serde_json::Value;

/// The worst is a list of the shortest topics, four bytes each in MessagePack: an id of its own (24 bytes) and its place in
/// a vector that doubles (16 bytes, 64 in sum).
const PER_BYTE: u64 = 24;
/// Errors with their text, and the least capacities of what grows.
const AT_LEAST: u64 = 2048;

/// Decodes `bytes` as everything, and tells what the worst of them allocated.
fn allocated(bytes: &[u8]) -> u64 {
    let given = Bytes::copy_from_slice(bytes);
    let mut worst = 0;
    for encoding in [Encoding::Json, Encoding::MsgPack] {
        let decoders: [&dyn Fn(); 3] =
            [&|| drop(decode_client(encoding, bytes)), &|| drop(decode_server(encoding, bytes)), &|| {
                drop(Payload::from_untrusted(encoding, given.clone()))
            }];
        for decode in decoders {
            worst = worst.max(allocation_counter::measure(decode).bytes_total);
        }
    }
    worst
}

fn bounded(name: &str, bytes: &[u8]) {
    let (allocated, n) = (allocated(bytes), bytes.len() as u64);
    assert!(allocated <= PER_BYTE * n + AT_LEAST, "{name}: {n} bytes allocated {allocated}");
}

#[test]
fn the_counter_counts() {
    assert!(allocation_counter::measure(|| drop(Vec::<u8>::with_capacity(1000))).bytes_total >= 1000);
    assert!(allocated(br#"{"type":"token","token":"a token of some length"}"#) >= 23);
}

#[test]
fn declared_lengths_cost_nothing() {
    for head in ["df", "dd", "db", "c6", "c9"] {
        for at in ["", "81a474797065", "82a474797065a470696e67a26964", "82a474797065a568656c6c6fa5746f6b656e"]
        {
            let text = format!("{at}{head}ffffffff");
            let bytes: Vec<u8> = (0..text.len())
                .step_by(2)
                .map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap())
                .collect();
            let allocated = allocated(&bytes);
            assert!(allocated <= AT_LEAST, "{text} allocated {allocated}");
        }
    }
}

#[test]
fn the_worst_shapes_are_bounded() {
    const N: usize = 128 * 1024;
    for depth in [60, 10_000, N] {
        bounded("nested arrays", &[b"[".repeat(depth), b"]".repeat(depth)].concat());
        for field in ["params", "x", "id", "topics", "token", "result", "data", "details"] {
            let deep = format!("{}{}", "{\"a\":[".repeat(depth), "]}".repeat(depth));
            bounded(field, format!(r#"{{"type":"call","id":1,"method":"m","{field}":{deep}}}"#).as_bytes());
            let msgpack = [
                b"\x84\xa4type\xa4call\xa2id\x01\xa6method\xa1m".as_slice(),
                &[0xa0 | u8::try_from(field.len()).unwrap()],
                field.as_bytes(),
                &vec![0x91; depth],
                &[0xc0],
            ];
            bounded(field, &msgpack.concat());
        }
    }
    let wide = format!(r#"{{"type":"call","id":1,"method":"m","params":{{"a":[{}0]}}}}"#, "0,".repeat(N / 2));
    bounded("wide", wide.as_bytes());
    let escapes = format!(r#"{{"type":"token","token":"{}"}}"#, "\\u0041".repeat(N / 6));
    bounded("escapes", escapes.as_bytes());
    let names = format!(
        r#"{{"type":"call","id":1,"method":"m","params":{{{}"":0}}}}"#,
        "\"\\u0041\":0,".repeat(N / 11)
    );
    bounded("names", names.as_bytes());
    bounded("the same field again", format!("{{{}\"type\":\"ping\"}}", "\"id\":1,".repeat(N / 7)).as_bytes());
}

#[test]
fn lists_of_topics_are_bounded() {
    for count in [1, 10, 100, 1_000, 10_000] {
        let mut map = String::new();
        let mut list = String::new();
        for _ in 0..count {
            let _ = write!(map, r#""a:b":0,"#);
            let _ = write!(list, r#""a:b","#);
        }
        bounded("map", format!(r#"{{"type":"subscribe","id":1,"topics":{{{map}"a:b":0}}}}"#).as_bytes());
        bounded("list", format!(r#"{{"type":"unsubscribe","id":1,"topics":[{list}"a:b"]}}"#).as_bytes());
        let head = b"\x83\xa4type\xabunsubscribe\xa2id\x01\xa6topics\xdd";
        let length = u32::try_from(count).unwrap().to_be_bytes();
        bounded("packed", &[head.as_slice(), &length, &b"\xa3a:b".repeat(count)].concat());
    }
}

#[test]
fn golden_vectors_are_bounded() {
    for file in [
        include_str!("../vectors/client-frames.json"),
        include_str!("../vectors/server-frames.json"),
        include_str!("../vectors/invalid.json"),
    ] {
        for vector in serde_json::from_str::<Vec<Value>>(file).unwrap() {
            if let Some(json) = vector["json"].as_str() {
                bounded(json, json.as_bytes());
            }
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_bounded(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        bounded("any", &bytes);
    }

    #[test]
    fn any_json_is_bounded(text in "(\\{|\\}|\\[|\\]|,|:|\"|\\\\|0|a|null|\"type\":|\"call\"|\"params\":|\"a:b\"){0,60}") {
        bounded("JSON", format!("{{{text}").as_bytes());
    }
}
