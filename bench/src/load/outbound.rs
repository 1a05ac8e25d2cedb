//! What a client sends: the upgrade, and masked frames.

use doorbell_protocol::codec::encode_client;
use doorbell_protocol::{ClientFrame, Encoding};

use super::orders::Place;

/// Every client's frame is masked (RFC 6455, 5.3); that the key is no secret here harms nobody.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
/// The same key for all, the example of RFC 6455, 1.3: what it must be answered with is known.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// What [`KEY`] is answered with.
pub const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const MASKED: u8 = 0x80;
const PONG: u8 = 0x8a;

/// The request for an upgrade.
pub fn upgrade(Place { host, prefix, .. }: &Place, encoding: Encoding) -> Vec<u8> {
    let protocol = encoding.subprotocol();
    format!(
        "GET {prefix}/v1/ws HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Protocol: {protocol}\r\n\r\n"
    )
    .into_bytes()
}

/// A frame of the protocol, ready to be written.
pub fn message(encoding: Encoding, frame: &ClientFrame) -> Vec<u8> {
    let mut payload = Vec::new();
    encode_client(encoding, frame, &mut payload);
    masked(opcode(encoding), &payload)
}

/// The answer to a ping.
pub fn pong(payload: &[u8]) -> Vec<u8> {
    masked(PONG, payload)
}

/// How messages in an encoding begin.
pub const fn opcode(encoding: Encoding) -> u8 {
    match encoding {
        Encoding::Json => 0x81,
        Encoding::MsgPack => 0x82,
    }
}

fn masked(begin: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(payload.len() + 14);
    frame.push(begin);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short @ 0..126), _) => frame.push(MASKED | short),
        (_, Ok(length)) => {
            frame.push(MASKED | 126);
            frame.extend_from_slice(&length.to_be_bytes());
        }
        _ => {
            frame.push(MASKED | 127);
            frame.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_masked_and_says_its_length() {
        for (length, head) in [(0, 6), (125, 6), (126, 8), (65_535, 8), (65_536, 14)] {
            let payload = vec![b'a'; length];
            let frame = masked(0x81, &payload);

            assert_eq!(frame.len(), head + length);
            assert!(frame[1] & MASKED != 0 && frame[head - 4..head] == MASK);
            let plain: Vec<u8> = frame[head..].iter().zip(MASK.iter().cycle()).map(|(a, b)| a ^ b).collect();
            assert_eq!(plain, payload);
        }
    }
}
