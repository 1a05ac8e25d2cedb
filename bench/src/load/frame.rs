//! What a server sends, frame by frame: whole, unmasked, short. What RFC 6455 forbids a server is refused, and so are
//! fragments, which no Doorbell sends.

/// The longest message that the protocol lets a server send, in bytes.
pub const PAYLOAD_BYTES_MAX: usize = 256 * 1024;
/// The longest head of a frame without a mask.
pub const HEAD_BYTES_MAX: usize = 10;

/// One frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it is.
    pub kind: Kind,
    /// Its content.
    pub payload: &'a [u8],
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A message of text.
    Text,
    /// A message of bytes.
    Binary,
    /// The end, with a code.
    Close,
    /// A sign of life is asked for.
    Ping,
    /// One is given.
    Pong,
}

/// Why bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Illegal(pub &'static str);

/// The first frame of `bytes`, and how many of them it takes; `None` where it is not whole yet.
///
/// # Errors
/// [`Illegal`]: the socket cannot go on.
pub fn first(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, Illegal> {
    let &[begin, length, ref rest @ ..] = bytes else { return Ok(None) };
    let kind = kind(begin)?;
    let (head, length) = match (length, rest) {
        (128.., _) => return Err(Illegal("a masked frame from a server")),
        (0..126, _) => (2, usize::from(length)),
        (126, &[high, low, ..]) => (4, usize::from(u16::from_be_bytes([high, low]))),
        (127, &[a, b, c, d, e, f, g, h, ..]) => {
            let length = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
            (HEAD_BYTES_MAX, usize::try_from(length).unwrap_or(usize::MAX))
        }
        (126 | 127, _) => return Ok(None),
    };
    if length > PAYLOAD_BYTES_MAX {
        return Err(Illegal("a frame of more than 256 KiB"));
    }
    if matches!(kind, Kind::Close | Kind::Ping | Kind::Pong) && head > 2 {
        return Err(Illegal("a control frame of more than 125 bytes"));
    }
    if (head == 4 && length < 126) || (head == HEAD_BYTES_MAX && length <= usize::from(u16::MAX)) {
        return Err(Illegal("a length in more bytes than it needs"));
    }
    let end = head + length;
    Ok(bytes.get(head..end).map(|payload| (Frame { kind, payload }, end)))
}

fn kind(begin: u8) -> Result<Kind, Illegal> {
    match begin {
        0x81 => Ok(Kind::Text),
        0x82 => Ok(Kind::Binary),
        0x88 => Ok(Kind::Close),
        0x89 => Ok(Kind::Ping),
        0x8a => Ok(Kind::Pong),
        _ if begin & 0x70 != 0 => Err(Illegal("a reserved bit is set")),
        0x00..=0x02 | 0x80 => Err(Illegal("a fragmented message, which this tool does not read")),
        _ => Err(Illegal("an unknown opcode, or a control frame in fragments")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_head(head: &[u8], length: usize) -> Vec<u8> {
        [head, &vec![b'x'; length]].concat()
    }

    #[test]
    fn frames_come_one_after_the_other_and_a_torn_one_waits() {
        let bytes = [&[0x89, 1, b'!'][..], &[0x81, 2, b'h', b'i'], &[0x82, 3, b'a']].concat();

        let (ping, used) = first(&bytes).unwrap().unwrap();
        assert_eq!(ping, Frame { kind: Kind::Ping, payload: b"!" });
        let (text, more) = first(&bytes[used..]).unwrap().unwrap();
        assert_eq!(text, Frame { kind: Kind::Text, payload: b"hi" });

        assert_eq!(first(&bytes[used + more..]), Ok(None));
    }

    #[test]
    fn each_beginning_of_a_legal_frame_waits_for_the_rest() {
        for whole in [
            with_head(&[0x81, 5], 5),
            with_head(&[0x82, 126, 0, 126], 126),
            with_head(&[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0], 65_536),
            with_head(&[0x88, 125], 125),
        ] {
            for cut in 0..whole.len() {
                assert_eq!(first(&whole[..cut]), Ok(None), "{cut} bytes");
            }
            assert_eq!(first(&whole).unwrap().unwrap().1, whole.len());
        }
    }

    #[test]
    fn what_a_server_must_not_send_is_refused_at_its_head() {
        for (bad, why) in [
            (&[0x81, 0x80 | 5][..], "masked"),
            (&[0xc1, 1], "reserved"),
            (&[0x01, 1], "fragmented"),
            (&[0x80, 1], "fragmented"),
            (&[0x09, 1], "fragments"),
            (&[0x83, 1], "opcode"),
            (&[0x89, 126, 0, 200], "control"),
            (&[0x81, 126, 0, 125], "length"),
            (&[0x81, 127, 0, 0, 0, 0, 0, 0, 255, 255], "length"),
            (&[0x81, 127, 0, 0, 0, 0, 0, 4, 0, 1], "256 KiB"),
            (&[0x81, 127, 255, 0, 0, 0, 0, 0, 0, 0], "256 KiB"),
        ] {
            let Illegal(said) = first(bad).unwrap_err();
            assert!(said.contains(why), "{bad:02x?}: {said}");
        }
    }
}
