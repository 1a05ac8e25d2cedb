//! Frames to bytes and back, in both encodings, within limits.

use crate::error::DecodeError;
use crate::frames::{ClientFrame, ServerFrame};
use crate::payload::Encoding;

/// Reads one client frame.
///
/// # Errors
/// [`DecodeError`]: close with 4400, or answer and go on.
pub fn decode_client(encoding: Encoding, bytes: &[u8]) -> Result<ClientFrame, DecodeError> {
    let _ = (encoding, bytes);
    unimplemented!("codec")
}

/// Reads one server frame: for clients written in Rust, tests and the load tool.
///
/// # Errors
/// As [`decode_client`].
pub fn decode_server(encoding: Encoding, bytes: &[u8]) -> Result<ServerFrame, DecodeError> {
    let _ = (encoding, bytes);
    unimplemented!("codec")
}

/// Appends one client frame to `out`.
pub fn encode_client(encoding: Encoding, frame: &ClientFrame, out: &mut Vec<u8>) {
    let _ = (encoding, frame, out);
    unimplemented!("codec")
}

/// Appends one server frame to `out`.
pub fn encode_server(encoding: Encoding, frame: &ServerFrame, out: &mut Vec<u8>) {
    let _ = (encoding, frame, out);
    unimplemented!("codec")
}
