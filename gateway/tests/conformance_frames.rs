//! The frame reader against tungstenite as the reference, and against itself with the same bytes cut differently.
//!
//! Where the two differ on purpose stands in [`agree`], case by case; anything else is a bug in one of them.

use std::io::{self, Read, Write};

use doorbell_gateway::ws::{Event, MessageKind, ReadLimits, Reader, Violation};
use proptest::prelude::*;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket};

const MESSAGE_BYTES_MAX: usize = 300;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Text(Vec<u8>),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong,
    Close(Option<u16>),
}

/// How a run of bytes ends.
#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    /// All bytes are used and more are awaited, or a close came.
    Starved,
    /// Refused: the close code, and the reader's reason where it has one.
    Refused(u16, &'static str),
}

fn ours(bytes: &[u8], cuts: &[usize]) -> (Vec<Seen>, End) {
    let limits = ReadLimits { message_bytes_max: MESSAGE_BYTES_MAX, fragments_max: usize::MAX };
    let (mut reader, mut seen, mut from) = (Reader::new(limits), Vec::new(), 0);
    for to in cuts.iter().copied().chain([bytes.len()]) {
        let mut chunk = bytes[from..to].to_vec();
        from = to;
        let mut input = chunk.as_mut_slice();
        loop {
            match reader.next(&mut input) {
                Ok(Some(event)) => seen.push(own(&event)),
                Ok(None) => break,
                Err(Violation { code, reason }) => return (seen, End::Refused(code.number(), reason)),
            }
        }
    }
    (seen, End::Starved)
}

fn own(event: &Event<'_>) -> Seen {
    match *event {
        Event::Message(MessageKind::Text, bytes) => Seen::Text(bytes.to_vec()),
        Event::Message(MessageKind::Binary, bytes) => Seen::Binary(bytes.to_vec()),
        Event::Ping(bytes) => Seen::Ping(bytes.to_vec()),
        Event::Pong => Seen::Pong,
        Event::Close(code) => Seen::Close(code),
    }
}

/// A socket whose peer has sent some bytes and waits.
struct Sent<'a>(&'a [u8]);

impl Read for Sent<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.0.is_empty() { Err(io::ErrorKind::WouldBlock.into()) } else { self.0.read(into) }
    }
}

impl Write for Sent<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn theirs(bytes: &[u8]) -> (Vec<Seen>, End) {
    let config = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX))
        .read_buffer_size(4096);
    let mut socket = WebSocket::from_raw_socket(Sent(bytes), Role::Server, Some(config));
    let mut seen = Vec::new();
    loop {
        seen.push(match socket.read() {
            Ok(Message::Text(text)) => Seen::Text(text.as_bytes().to_vec()),
            Ok(Message::Binary(bytes)) => Seen::Binary(bytes.to_vec()),
            Ok(Message::Ping(bytes)) => Seen::Ping(bytes.to_vec()),
            Ok(Message::Pong(_)) => Seen::Pong,
            // It answers a code that must not be sent with this close of its own.
            Ok(Message::Close(Some(close))) if close.reason == "Protocol violation" => {
                return (seen, End::Refused(1002, ""));
            }
            Ok(Message::Close(close)) => {
                seen.push(Seen::Close(close.map(|close| close.code.into())));
                return (seen, End::Starved);
            }
            Ok(Message::Frame(_)) => unreachable!("read never answers a raw frame"),
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                return (seen, End::Starved);
            }
            Err(Error::Protocol(_)) => return (seen, End::Refused(1002, "")),
            Err(Error::Utf8(_)) => return (seen, End::Refused(1007, "")),
            Err(Error::Capacity(_)) => return (seen, End::Refused(1009, "")),
            Err(other) => panic!("unexpected: {other}"),
        });
    }
}

/// Whether the two ends are the same, or differ as they should.
fn agree(ours: &(Vec<Seen>, End), theirs: &(Vec<Seen>, End)) -> bool {
    let same_so_far = theirs.0.starts_with(&ours.0);
    match (&ours.1, &theirs.1) {
        // It accepts lengths that are not in the fewest bytes; RFC 6455, 5.2 forbids them. A control frame that
        // has such a length is refused for being too long, before the length itself is read.
        (
            End::Refused(
                1002,
                "a length must be written in the fewest bytes" | "a control frame carries at most 125 bytes",
            ),
            _,
        ) => same_so_far,
        // We refuse at the byte that shows it, it waits for the rest of the frame.
        (End::Refused(..), End::Starved) => ours.0 == theirs.0,
        // It checks sizes before the bits of the header.
        (End::Refused(1002, _), End::Refused(1009, _)) => ours.0 == theirs.0,
        // It checks a close's reason before its code.
        (End::Refused(1002, "this close code must not be sent"), End::Refused(1007, _)) => ours.0 == theirs.0,
        // It does not know 1014 (bad gateway), which IANA has registered since.
        (End::Starved, End::Refused(1002, _)) => {
            ours.0.split_last() == Some((&Seen::Close(Some(1014)), &theirs.0))
        }
        (End::Refused(one, _), End::Refused(other, _)) => one == other && ours.0 == theirs.0,
        (End::Starved, End::Starved) => ours.0 == theirs.0,
        (End::Starved, End::Refused(..)) => false,
    }
}

/// One client frame, by custom a legal one.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        30 => prop::sample::select(&[0x81, 0x82, 0x01, 0x02, 0x00, 0x00, 0x80, 0x80, 0x89, 0x8a][..]),
        2 => Just(0x88_u8),
        1 => any::<u8>(),
    ];
    let masked = prop::bool::weighted(0.98);
    let form = prop_oneof![60 => Just(0_u8), 1 => Just(126), 1 => Just(127)];
    (first, payload(), masked, form, any::<[u8; 4]>()).prop_map(encode)
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    let close = (prop_oneof![990_u16..1020, 2990_u16..5010, any::<u16>()], ".{0,4}")
        .prop_map(|(code, reason)| [&code.to_be_bytes()[..], reason.as_bytes()].concat());
    prop_oneof![
        8 => ".{0,12}".prop_map(String::into_bytes),
        2 => (".{1,6}", 0..4_usize).prop_map(|(text, cut)| {
            let keep = text.len().saturating_sub(cut);
            text.into_bytes()[..keep].to_vec()
        }),
        2 => close,
        1 => prop::collection::vec(any::<u8>(), 0..8),
        1 => (100..320_usize).prop_map(|length| vec![b'x'; length]),
    ]
}

fn encode((first, payload, masked, form, mask): (u8, Vec<u8>, bool, u8, [u8; 4])) -> Vec<u8> {
    let bit = if masked { 0x80 } else { 0 };
    let length = payload.len();
    let form = if length > 125 { form.max(126) } else { form };
    let mut out = vec![first];
    match form {
        127 => {
            out.push(bit | 127);
            out.extend((length as u64).to_be_bytes());
        }
        126 => {
            out.push(bit | 126);
            out.extend(u16::try_from(length).expect("test payloads are short").to_be_bytes());
        }
        _ => out.push(bit | u8::try_from(length).expect("below 126")),
    }
    if !masked {
        out.extend(payload);
        return out;
    }
    out.extend(mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
    out
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    let frames = || prop::collection::vec(frame(), 1..8).prop_map(|frames| frames.concat());
    let cut = (frames(), any::<prop::sample::Index>()).prop_map(|(bytes, at)| {
        let keep = at.index(bytes.len());
        bytes[..keep].to_vec()
    });
    prop_oneof![6 => frames(), 2 => cut, 1 => prop::collection::vec(any::<u8>(), 0..40)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn the_reader_and_tungstenite_give_the_same_verdict(bytes in stream()) {
        let (ours, theirs) = (ours(&bytes, &[]), theirs(&bytes));
        prop_assert!(agree(&ours, &theirs), "ours {ours:?}\ntheirs {theirs:?}");
    }

    #[test]
    fn how_the_bytes_are_cut_changes_nothing(
        bytes in stream(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.sort_unstable();
        prop_assert_eq!(ours(&bytes, &[]), ours(&bytes, &cuts));
    }
}

#[test]
fn every_exception_is_real() {
    let not_minimal = encode((0x81, b"hi".to_vec(), true, 126, [1, 2, 3, 4]));
    assert!(matches!(ours(&not_minimal, &[]).1, End::Refused(1002, _)));
    assert_eq!(theirs(&not_minimal).0, [Seen::Text(b"hi".to_vec())]);

    let bad_gateway = encode((0x88, 1014_u16.to_be_bytes().to_vec(), true, 0, [1, 2, 3, 4]));
    assert_eq!(ours(&bad_gateway, &[]).0, [Seen::Close(Some(1014))]);
    assert_eq!(theirs(&bad_gateway).1, End::Refused(1002, ""));

    let early = [0x81, 0x85, 0, 0, 0, 0, 0xff];
    assert!(matches!(ours(&early, &[]).1, End::Refused(1007, _)));
    assert_eq!(theirs(&early).1, End::Starved);

    let both = encode((0x71, vec![b'x'; 301], true, 0, [1, 2, 3, 4]));
    assert!(matches!(ours(&both, &[]).1, End::Refused(1002, _)));
    assert_eq!(theirs(&both).1, End::Refused(1009, ""));

    let close = encode((0x88, vec![0, 1, 0xff], true, 0, [1, 2, 3, 4]));
    assert!(matches!(ours(&close, &[]).1, End::Refused(1002, _)));
    assert_eq!(theirs(&close).1, End::Refused(1007, ""));
}
