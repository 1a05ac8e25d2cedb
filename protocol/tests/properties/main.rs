//! What holds for every frame and for every input.

mod inputs;
mod strategies;

use bytes::Bytes;
use doorbell_protocol::codec::{decode_client, decode_server, encode_client, encode_server};
use doorbell_protocol::{ClientFrame, DecodeError, Encoding, Payload, ServerFrame};
use proptest::prelude::*;
use serde_json::Value;

use crate::inputs::Edit;

const BOTH: [Encoding; 2] = [Encoding::Json, Encoding::MsgPack];

fn client_bytes(encoding: Encoding, frame: &ClientFrame) -> Vec<u8> {
    let mut out = Vec::new();
    encode_client(encoding, frame, &mut out);
    out
}

fn server_bytes(encoding: Encoding, frame: &ServerFrame) -> Vec<u8> {
    let mut out = Vec::new();
    encode_server(encoding, frame, &mut out);
    out
}

/// Decodes as everything. What is taken must be whole: written and read again it is the same frame.
fn digest(encoding: Encoding, bytes: &[u8]) {
    match decode_client(encoding, bytes) {
        Ok(frame) => assert_eq!(decode_client(encoding, &client_bytes(encoding, &frame)), Ok(frame)),
        Err(error) => harmless(&error),
    }
    match decode_server(encoding, bytes) {
        Ok(frame) => {
            assert_eq!(decode_server(encoding, &server_bytes(encoding, &frame)), Ok(frame.clone()));
            let other = if encoding == Encoding::Json { Encoding::MsgPack } else { Encoding::Json };
            assert!(decode_server(other, &server_bytes(other, &frame)).is_ok());
        }
        Err(error) => harmless(&error),
    }
    agree_with_serde(encoding, bytes);
}

/// A refusal fits a close frame, or an error frame of constant size.
fn harmless(error: &DecodeError) {
    match error {
        DecodeError::NotProtocol(reason) => assert!(reason.len() <= 123, "{reason}"),
        DecodeError::Rejected { error, .. } => assert!(error.message.len() <= 256, "{}", error.message),
    }
}

/// What is let in, serde reads as the object it is; what serde reads as an object is let in, except for what the other
/// encoding cannot say and for depth.
fn agree_with_serde(encoding: Encoding, bytes: &[u8]) {
    let serde: Option<Value> = match encoding {
        Encoding::Json => serde_json::from_slice(bytes).ok(),
        Encoding::MsgPack => {
            let mut rest = bytes;
            let value = rmp_serde::from_read(&mut rest).ok();
            value.filter(|_| rest.is_empty())
        }
    };
    match Payload::from_untrusted(encoding, Bytes::copy_from_slice(bytes)) {
        Ok(payload) => {
            let there = payload.to(Encoding::MsgPack).to(Encoding::Json);
            assert_eq!(Some(there.parse::<Value>().expect("it is JSON")), serde.filter(Value::is_object));
        }
        Err(error) => {
            let excused = ["64", "NaN", "$serde_json"].iter().any(|rule| error.message.contains(rule));
            assert!(excused || !serde.is_some_and(|value| value.is_object()), "{error:?}");
        }
    }
}

proptest! {
    #[test]
    fn client_frames_round_trip(frame in strategies::client_frame()) {
        for encoding in BOTH {
            let frame = strategies::client_to(frame.clone(), encoding);
            prop_assert_eq!(decode_client(encoding, &client_bytes(encoding, &frame)), Ok(frame));
        }
    }

    #[test]
    fn server_frames_round_trip(frame in strategies::server_frame()) {
        for encoding in BOTH {
            let frame = strategies::server_to(frame.clone(), encoding);
            prop_assert_eq!(decode_server(encoding, &server_bytes(encoding, &frame)), Ok(frame));
        }
    }

    #[test]
    fn a_payload_keeps_its_value_in_both_encodings(value in strategies::value()) {
        let json = Payload::encode(Encoding::Json, &serde_json::json!({ "value": value }));
        let back = json.to(Encoding::MsgPack).to(Encoding::Json);
        prop_assert_eq!(json, back);
    }

    #[test]
    fn any_bytes_are_digested(bytes in inputs::bytes()) {
        for encoding in BOTH {
            digest(encoding, &bytes);
        }
    }

    #[test]
    fn anything_like_json_is_digested(text in inputs::json_like()) {
        digest(Encoding::Json, text.as_bytes());
    }

    #[test]
    fn anything_like_messagepack_is_digested(bytes in inputs::msgpack_like()) {
        digest(Encoding::MsgPack, &bytes);
    }

    #[test]
    fn mutated_client_frames_are_digested(frame in strategies::client_frame(), edits in inputs::edits()) {
        for encoding in BOTH {
            let bytes = client_bytes(encoding, &frame);
            digest(encoding, &Edit::all(&edits, bytes));
        }
    }

    #[test]
    fn mutated_server_frames_are_digested(frame in strategies::server_frame(), edits in inputs::edits()) {
        for encoding in BOTH {
            let bytes = server_bytes(encoding, &frame);
            digest(encoding, &Edit::all(&edits, bytes));
        }
    }
}
