//! What holds for every frame and for every input.

mod digest;
mod inputs;
mod strategies;

use doorbell_protocol::codec::{decode_client, decode_server};
use doorbell_protocol::{Encoding, Payload};
use proptest::prelude::*;

use crate::digest::{client_bytes, digest, server_bytes};
use crate::inputs::Edit;

const BOTH: [Encoding; 2] = [Encoding::Json, Encoding::MsgPack];

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
