//! Any bytes as a frame and as a payload, in both encodings: no panic, and what is taken is whole.
#![no_main]

#[path = "../../tests/properties/digest.rs"]
mod digest;

use doorbell_protocol::Encoding;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for encoding in [Encoding::Json, Encoding::MsgPack] {
        digest::digest(encoding, bytes);
    }
});
