//! Golden vectors: the bytes in `vectors/` are the frames of the table, both ways and in both encodings.
//!
//! Clients in other languages read the same files, see `vectors/README.md`. A frame that is added gets a vector; one that
//! stands there does not change within version 1 of the protocol.

mod table;

use std::collections::BTreeSet;
use std::fmt::Debug;

use doorbell_protocol::codec::{decode_client, decode_server, encode_client, encode_server};
use doorbell_protocol::{CallId, ClientFrame, CloseCode, DecodeError, Encoding, ErrorCode, ServerFrame};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Golden {
    name: String,
    json: String,
    msgpack: String,
}

/// Bytes that are read but would not be written so.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Variant {
    name: String,
    from: From,
    same_as: String,
    json: Option<String>,
    msgpack: Option<String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum From {
    Client,
    Server,
}

/// What a gateway must not take from a client.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Invalid {
    name: String,
    json: Option<String>,
    msgpack: Option<String>,
    close: Option<u16>,
    reason: Option<String>,
    error: Option<ErrorCode>,
    id: Option<CallId>,
    message: Option<String>,
}

#[test]
fn client_frames_are_the_vectors() {
    let golden: Vec<Golden> = read(include_str!("../../vectors/client-frames.json"));
    check(&golden, &table::client(), decode_client, encode_client, to_encoding_client);
}

#[test]
fn server_frames_are_the_vectors() {
    let golden: Vec<Golden> = read(include_str!("../../vectors/server-frames.json"));
    check(&golden, &table::server(), decode_server, encode_server, to_encoding_server);
}

fn check<F: PartialEq + Debug + Clone>(
    golden: &[Golden],
    table: &[(&str, F)],
    decode: fn(Encoding, &[u8]) -> Result<F, DecodeError>,
    encode: fn(Encoding, &F, &mut Vec<u8>),
    to: fn(F, Encoding) -> F,
) {
    let names: Vec<_> = golden.iter().map(|golden| golden.name.as_str()).collect();
    assert_eq!(
        names,
        table.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
        "vectors and table, in this order"
    );
    for (golden, (name, frame)) in golden.iter().zip(table) {
        let bytes = |encoding| {
            let mut out = Vec::new();
            encode(encoding, frame, &mut out);
            out
        };
        let json = String::from_utf8(bytes(Encoding::Json)).expect("JSON is text");
        assert_eq!(json, golden.json, "{name}");
        assert_eq!(hex(&bytes(Encoding::MsgPack)), golden.msgpack, "{name}");
        for encoding in [Encoding::Json, Encoding::MsgPack] {
            let decoded = decode(encoding, &bytes(encoding)).expect(name);
            assert_eq!(decoded, to(frame.clone(), encoding), "{name}");
        }
    }
}

#[test]
fn variants_are_read_as_the_frame_they_are() {
    let variants: Vec<Variant> = read(include_str!("../../vectors/variants.json"));
    for Variant { name, from, same_as, json, msgpack } in variants {
        let (encoding, bytes) = input(json, msgpack);
        match from {
            From::Client => {
                let frame = named(table::client(), &same_as);
                assert_eq!(
                    decode_client(encoding, &bytes),
                    Ok(to_encoding_client(frame, encoding)),
                    "{name}"
                );
            }
            From::Server => {
                let frame = named(table::server(), &same_as);
                assert_eq!(
                    decode_server(encoding, &bytes),
                    Ok(to_encoding_server(frame, encoding)),
                    "{name}"
                );
            }
        }
    }
}

#[test]
fn invalid_input_gets_the_verdict_that_stands_beside_it() {
    let invalid: Vec<Invalid> = read(include_str!("../../vectors/invalid.json"));
    for Invalid { name, json, msgpack, close, reason, error, id, message } in invalid {
        let (encoding, bytes) = input(json, msgpack);
        match decode_client(encoding, &bytes) {
            Err(DecodeError::NotProtocol(said)) => {
                assert_eq!((close, reason.as_deref(), error), (Some(4400), Some(said), None), "{name}");
                assert!(said.len() <= doorbell_protocol::close::REASON_BYTES_MAX, "{said}");
            }
            Err(DecodeError::Rejected { id: told, error: body }) => {
                assert_eq!((close, error, id), (None, Some(body.code), told), "{name}: {body:?}");
                assert_eq!(message.as_ref(), Some(&body.message), "{name}");
            }
            Ok(frame) => panic!("{name} was taken: {frame:?}"),
        }
    }
}

#[test]
fn every_close_code_stands_in_its_file() {
    let codes: Vec<_> = CloseCode::ALL
        .iter()
        .map(|code| json!({"number": code.number(), "name": code, "verdict": code.verdict(), "meaning": code.meaning()}))
        .collect();
    let file: Value = read(include_str!("../../vectors/close-codes.json"));
    assert_eq!(file["codes"], json!(codes), "the codes should be:\n{}", lines(&codes));
    for range in file["unknown"].as_array().expect("ranges of unknown codes") {
        let bound = |name: &str| u16::try_from(range[name].as_u64().expect(name)).expect(name);
        for number in
            (bound("from")..=bound("to")).filter(|n| CloseCode::ALL.iter().all(|c| c.number() != *n))
        {
            assert_eq!(json!(CloseCode::verdict_of(number)), range["verdict"], "{number}");
        }
    }
}

#[test]
fn every_error_code_stands_in_its_file() {
    let file: Vec<ErrorCode> = read(include_str!("../../vectors/error-codes.json"));
    assert_eq!(file, ErrorCode::ALL);
    assert!(ErrorCode::ALL.iter().all(|code| code.as_str().parse() == Ok(*code)));
}

/// A match with an arm for each kind of frame, and the list of its names: a new kind does not compile until it stands
/// here, and then fails until it has a vector.
macro_rules! kinds {
    ($of:ident, $all:ident, $frame:ident, $($kind:ident = $name:literal),+) => {
        const $all: &[&str] = &[$($name),+];

        fn $of(frame: &$frame) -> &'static str {
            match frame { $($frame::$kind { .. } => $name),+ }
        }
    };
}

kinds!(
    client_kind,
    CLIENT_KINDS,
    ClientFrame,
    Hello = "hello",
    Token = "token",
    Subscribe = "subscribe",
    Unsubscribe = "unsubscribe",
    Call = "call",
    Signal = "signal",
    Ping = "ping"
);
kinds!(
    server_kind,
    SERVER_KINDS,
    ServerFrame,
    Welcome = "welcome",
    Hint = "hint",
    Reply = "reply",
    Signal = "signal",
    Pong = "pong",
    Goaway = "goaway",
    Error = "error"
);

#[test]
fn every_kind_of_frame_has_a_vector() {
    let client: BTreeSet<_> = table::client().iter().map(|(_, frame)| client_kind(frame)).collect();
    assert_eq!(client, CLIENT_KINDS.iter().copied().collect());
    let server: BTreeSet<_> = table::server().iter().map(|(_, frame)| server_kind(frame)).collect();
    assert_eq!(server, SERVER_KINDS.iter().copied().collect());
}

fn to_encoding_client(mut frame: ClientFrame, encoding: Encoding) -> ClientFrame {
    match &mut frame {
        ClientFrame::Call { params: payload, .. } | ClientFrame::Signal { data: payload, .. } => {
            *payload = payload.to(encoding);
        }
        _ => {}
    }
    frame
}

fn to_encoding_server(mut frame: ServerFrame, encoding: Encoding) -> ServerFrame {
    match &mut frame {
        ServerFrame::Reply { outcome: Ok(payload), .. } | ServerFrame::Signal { data: payload, .. } => {
            *payload = payload.to(encoding);
        }
        _ => {}
    }
    frame
}

fn read<T: DeserializeOwned>(file: &str) -> T {
    serde_json::from_str(file).expect("a vector file has the shape that README.md describes")
}

fn input(json: Option<String>, msgpack: Option<String>) -> (Encoding, Vec<u8>) {
    match (json, msgpack) {
        (Some(json), None) => (Encoding::Json, json.into_bytes()),
        (None, Some(msgpack)) => (Encoding::MsgPack, unhex(&msgpack)),
        _ => panic!("either json or msgpack"),
    }
}

fn named<F>(table: Vec<(&str, F)>, wanted: &str) -> F {
    table.into_iter().find(|(name, _)| *name == wanted).expect(wanted).1
}

fn lines(values: &[Value]) -> String {
    values.iter().map(|value| format!("{value},\n")).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal digits");
    (0..text.len()).step_by(2).map(byte).collect()
}
