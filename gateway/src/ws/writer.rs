//! Server frames: never masked, never fragmented, lengths in the fewest bytes.

use doorbell_protocol::close::REASON_BYTES_MAX;

use super::MessageKind;
use super::header::CONTROL_BYTES_MAX;

/// The longest header of a server frame: two bytes and eight of length.
pub const HEADER_BYTES_MAX: usize = 10;

const FIN: u8 = 0x80;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;

const fn opcode(kind: MessageKind) -> u8 {
    match kind {
        MessageKind::Text => 0x1,
        MessageKind::Binary => 0x2,
    }
}

/// Appends one message as one frame.
pub fn write_message(kind: MessageKind, payload: &[u8], out: &mut Vec<u8>) {
    write_frame(opcode(kind), payload, out);
}

/// Writes the header of a message in front of a payload that already lies in `buffer`.
///
/// The payload begins at [`HEADER_BYTES_MAX`]; the header ends there. The answer is where it begins: the frame is
/// `buffer[start..]`. So a frame is encoded straight into its final place: reserve, encode, put the header.
///
/// # Panics
/// Where `buffer` is shorter than [`HEADER_BYTES_MAX`]: a bug of the caller.
#[must_use]
pub fn put_header(kind: MessageKind, buffer: &mut [u8]) -> usize {
    let (space, payload) =
        buffer.split_first_chunk_mut::<HEADER_BYTES_MAX>().expect("the caller reserved room for the header");
    let (header, used) = header(opcode(kind), payload.len());
    let start = HEADER_BYTES_MAX - used;
    space[start..].copy_from_slice(&header[..used]);
    start
}

/// Appends a ping; of a payload beyond 125 bytes only those are sent.
pub fn write_ping(payload: &[u8], out: &mut Vec<u8>) {
    write_control(PING, payload, out);
}

/// Appends a pong; of a payload beyond 125 bytes, which no ping has, only those are sent.
pub fn write_pong(payload: &[u8], out: &mut Vec<u8>) {
    write_control(PONG, payload, out);
}

/// Appends a close with a code and a reason; a reason beyond 123 bytes is cut between two characters.
pub fn write_close(code: u16, reason: &str, out: &mut Vec<u8>) {
    let reason = &reason.as_bytes()[..reason.floor_char_boundary(REASON_BYTES_MAX)];
    out.reserve(4 + reason.len());
    out.extend_from_slice(&header(CLOSE, 2 + reason.len()).0[..2]);
    out.extend_from_slice(&code.to_be_bytes());
    out.extend_from_slice(reason);
}

/// Appends the answer to a client's close: the same code, or none.
pub fn write_close_echo(code: Option<u16>, out: &mut Vec<u8>) {
    match code {
        Some(code) => write_close(code, "", out),
        None => write_frame(CLOSE, &[], out),
    }
}

fn write_control(opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
    write_frame(opcode, &payload[..payload.len().min(CONTROL_BYTES_MAX)], out);
}

fn write_frame(opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
    let (header, used) = header(opcode, payload.len());
    out.reserve(used + payload.len());
    out.extend_from_slice(&header[..used]);
    out.extend_from_slice(payload);
}

/// The header, and how many of its bytes count.
fn header(opcode: u8, length: usize) -> ([u8; HEADER_BYTES_MAX], usize) {
    let mut header = [0; HEADER_BYTES_MAX];
    header[0] = FIN | opcode;
    if let (Ok(short), true) = (u8::try_from(length), length < 126) {
        header[1] = short;
        (header, 2)
    } else if let Ok(medium) = u16::try_from(length) {
        header[1] = 126;
        header[2..4].copy_from_slice(&medium.to_be_bytes());
        (header, 4)
    } else {
        header[1] = 127;
        header[2..].copy_from_slice(&(length as u64).to_be_bytes());
        (header, HEADER_BYTES_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_written_in_the_fewest_bytes() {
        for (length, expected) in [
            (0, &[0x82, 0][..]),
            (125, &[0x82, 125]),
            (126, &[0x82, 126, 0, 126]),
            (65_535, &[0x82, 126, 0xff, 0xff]),
            (65_536, &[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let mut out = Vec::new();
            write_message(MessageKind::Binary, &vec![7; length], &mut out);
            assert_eq!(&out[..expected.len()], expected);
            assert_eq!(out.len(), expected.len() + length);
        }
    }

    #[test]
    fn a_header_put_in_front_makes_the_same_frame() {
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            let mut frame = Vec::new();
            write_message(MessageKind::Text, &vec![b'x'; length], &mut frame);
            let mut buffer = vec![0; HEADER_BYTES_MAX];
            buffer.resize(HEADER_BYTES_MAX + length, b'x');
            let start = put_header(MessageKind::Text, &mut buffer);
            assert_eq!(&buffer[start..], frame);
        }
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let mut out = Vec::new();
        write_close(1000, &"é".repeat(100), &mut out);
        assert_eq!(&out[..4], [0x88, 124, 0x03, 0xe8]);
        assert_eq!(std::str::from_utf8(&out[4..]).unwrap(), "é".repeat(61));
    }

    #[test]
    fn a_close_without_a_code_is_answered_without_one() {
        let (mut none, mut some) = (Vec::new(), Vec::new());
        write_close_echo(None, &mut none);
        write_close_echo(Some(4999), &mut some);
        assert_eq!(none, [0x88, 0]);
        assert_eq!(some, [0x88, 2, 0x13, 0x87]);
    }

    #[test]
    fn control_payloads_never_exceed_their_limit() {
        let (mut ping, mut pong) = (Vec::new(), Vec::new());
        write_ping(&[1; 300], &mut ping);
        write_pong(b"hi", &mut pong);
        assert_eq!((ping[0], ping[1], ping.len()), (0x89, 125, 127));
        assert_eq!(pong, [0x8a, 2, b'h', b'i']);
    }
}
