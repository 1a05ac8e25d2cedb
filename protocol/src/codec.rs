//! Frames to bytes and back, in both encodings, within limits.
//!
//! Decoding takes three steps: split the object into its known fields as raw slices (`fields`), pick the kind by
//! `type`, and read each field of that kind by name (`client`, `server`). What a frame does not know is skipped
//! and never stored. `null` in an optional field counts as absent.

mod client;
mod fields;
mod json;
mod msgpack;
mod raw;
mod server;
mod write;

pub(crate) use msgpack::is_one_value;

use crate::error::DecodeError;
use crate::frames::{ClientFrame, HintFrame, ServerFrame};
use crate::payload::Encoding;
use fields::Fields;

/// Reads one client frame.
///
/// # Errors
/// [`DecodeError`]: close with 4400, or answer and go on.
pub fn decode_client(encoding: Encoding, bytes: &[u8]) -> Result<ClientFrame, DecodeError> {
    client::decode(&Fields::split(encoding, bytes)?)
}

/// Reads one server frame: for clients written in Rust, tests and the load tool.
///
/// # Errors
/// As [`decode_client`].
pub fn decode_server(encoding: Encoding, bytes: &[u8]) -> Result<ServerFrame, DecodeError> {
    server::decode(&Fields::split(encoding, bytes)?)
}

/// Appends one client frame to `out`.
pub fn encode_client(encoding: Encoding, frame: &ClientFrame, out: &mut Vec<u8>) {
    client::encode(encoding, frame, out);
}

/// Appends one server frame to `out`. A payload in the other encoding is rewritten, see
/// [`Payload::to`](crate::Payload::to).
pub fn encode_server(encoding: Encoding, frame: &ServerFrame, out: &mut Vec<u8>) {
    server::encode(encoding, frame, out);
}

/// Appends one `hint` to `out`: [`encode_server`] for a fan-out that has no other frame in hand.
pub fn encode_hint(encoding: Encoding, hint: &HintFrame, out: &mut Vec<u8>) {
    server::encode_hint(encoding, hint, out);
}
