//! One frame's header, checked in the order of its bytes, so that a verdict never depends on how TCP cut them.

use super::Violation;

/// The longest header of a client frame: two bytes, eight of length, four of mask.
pub(super) const CLIENT_HEADER_BYTES_MAX: usize = 14;
/// The longest payload of a control frame (RFC 6455, 5.5).
pub(super) const CONTROL_BYTES_MAX: usize = 125;

const RESERVED_BITS: Violation = Violation::protocol("reserved bits are set: no extension was agreed");
const RESERVED_OPCODE: Violation = Violation::protocol("reserved opcode");
const FRAGMENTED_CONTROL: Violation = Violation::protocol("a control frame must not be fragmented");
const NOTHING_TO_CONTINUE: Violation = Violation::protocol("continuation without a message to continue");
const UNFINISHED: Violation = Violation::protocol("new message before the last fragment of the one before");
const UNMASKED: Violation = Violation::protocol("client frames must be masked");
const LONG_CONTROL: Violation = Violation::protocol("a control frame carries at most 125 bytes");
const NOT_MINIMAL: Violation = Violation::protocol("a length must be written in the fewest bytes");
const LENGTH_SIGN: Violation = Violation::protocol("a length has 63 bits");

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Opcode {
    pub(super) const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// Whether a fragmented message is under way: decides which data frames may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    BetweenMessages,
    InsideMessage,
}

/// Whether more fragments follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fin {
    Last,
    More,
}

/// A checked header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) opcode: Opcode,
    pub(super) fin: Fin,
    pub(super) mask: [u8; 4],
    /// Of the payload; below 2^63.
    pub(super) length: u64,
}

/// Reads a header from the front of `bytes`: with the number of bytes it took, or `None` while it is not all there.
/// A violation is found at the first byte that shows it.
pub(super) fn parse(bytes: &[u8], place: Place) -> Result<Option<(Header, usize)>, Violation> {
    let Some(&first) = bytes.first() else { return Ok(None) };
    let (opcode, fin) = first_byte(first, place)?;
    let Some(&second) = bytes.get(1) else { return Ok(None) };
    let short = second_byte(second, opcode)?;
    let Some((length, mask_at)) = length(bytes, short)? else { return Ok(None) };
    let Some(&mask) = bytes.get(mask_at..).and_then(<[u8]>::first_chunk::<4>) else { return Ok(None) };
    Ok(Some((Header { opcode, fin, mask, length }, mask_at + 4)))
}

fn first_byte(first: u8, place: Place) -> Result<(Opcode, Fin), Violation> {
    if first & 0x70 != 0 {
        return Err(RESERVED_BITS);
    }
    let opcode = match first & 0x0f {
        0x0 => Opcode::Continuation,
        0x1 => Opcode::Text,
        0x2 => Opcode::Binary,
        0x8 => Opcode::Close,
        0x9 => Opcode::Ping,
        0xa => Opcode::Pong,
        _ => return Err(RESERVED_OPCODE),
    };
    let fin = if first & 0x80 == 0 { Fin::More } else { Fin::Last };
    match (opcode, place, fin) {
        (Opcode::Close | Opcode::Ping | Opcode::Pong, _, Fin::More) => Err(FRAGMENTED_CONTROL),
        (Opcode::Continuation, Place::BetweenMessages, _) => Err(NOTHING_TO_CONTINUE),
        (Opcode::Text | Opcode::Binary, Place::InsideMessage, _) => Err(UNFINISHED),
        _ => Ok((opcode, fin)),
    }
}

/// The seven bits of length: below 126 the length itself, otherwise where to find it.
fn second_byte(second: u8, opcode: Opcode) -> Result<u8, Violation> {
    if second & 0x80 == 0 {
        return Err(UNMASKED);
    }
    let short = second & 0x7f;
    if opcode.is_control() && usize::from(short) > CONTROL_BYTES_MAX {
        return Err(LONG_CONTROL);
    }
    Ok(short)
}

/// The length, and where the mask begins.
fn length(bytes: &[u8], short: u8) -> Result<Option<(u64, usize)>, Violation> {
    let rest = bytes.get(2..).unwrap_or_default();
    match short {
        126 => {
            let Some(&raw) = rest.first_chunk::<2>() else { return Ok(None) };
            let length = u16::from_be_bytes(raw);
            if length < 126 {
                return Err(NOT_MINIMAL);
            }
            Ok(Some((u64::from(length), 4)))
        }
        127 => {
            let Some(&raw) = rest.first_chunk::<8>() else { return Ok(None) };
            let length = u64::from_be_bytes(raw);
            if length >> 63 != 0 {
                return Err(LENGTH_SIGN);
            }
            if length <= u64::from(u16::MAX) {
                return Err(NOT_MINIMAL);
            }
            Ok(Some((length, 10)))
        }
        _ => Ok(Some((u64::from(short), 2))),
    }
}
