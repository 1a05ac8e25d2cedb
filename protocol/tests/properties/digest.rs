//! What must hold for any input at all: used by the property tests and by the fuzz target.

use bytes::Bytes;
use doorbell_protocol::codec::{decode_client, decode_server, encode_client, encode_server};
use doorbell_protocol::{ClientFrame, DecodeError, Encoding, Payload, ServerFrame};
use serde_json::Value;

/// Decodes as everything. What is taken must be whole: written and read again it is the same frame.
pub fn digest(encoding: Encoding, bytes: &[u8]) {
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

pub fn client_bytes(encoding: Encoding, frame: &ClientFrame) -> Vec<u8> {
    let mut out = Vec::new();
    encode_client(encoding, frame, &mut out);
    out
}

pub fn server_bytes(encoding: Encoding, frame: &ServerFrame) -> Vec<u8> {
    let mut out = Vec::new();
    encode_server(encoding, frame, &mut out);
    out
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
