use super::*;
use doorbell_protocol::CloseCode;

const LIMITS: ReadLimits = ReadLimits { message_bytes_max: 1000, fragments_max: 8 };

/// An event with its own bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong,
    Close(Option<u16>),
    Violation(u16),
}

fn seen(event: &Event<'_>) -> Seen {
    match *event {
        Event::Message(MessageKind::Text, bytes) => Seen::Text(String::from_utf8(bytes.to_vec()).unwrap()),
        Event::Message(MessageKind::Binary, bytes) => Seen::Binary(bytes.to_vec()),
        Event::Ping(bytes) => Seen::Ping(bytes.to_vec()),
        Event::Pong => Seen::Pong,
        Event::Close(code) => Seen::Close(code),
    }
}

/// Feeds `bytes` in pieces of `piece` bytes and lists what came out.
fn read_in_pieces(reader: &mut Reader, bytes: &[u8], piece: usize) -> Vec<Seen> {
    let mut all = Vec::new();
    for chunk in bytes.chunks(piece.max(1)) {
        let mut chunk = chunk.to_vec();
        let mut input = chunk.as_mut_slice();
        loop {
            match reader.next(&mut input) {
                Ok(Some(event)) => all.push(seen(&event)),
                Ok(None) => break,
                Err(violation) => all.push(Seen::Violation(violation.code.number())),
            }
        }
        assert!(input.is_empty(), "all input is used up");
    }
    all
}

/// Reads whole and in pieces of 1, 2, 3, 7 bytes; the answer must be the same.
fn check(bytes: &[u8], expected: &[Seen]) {
    for piece in [bytes.len(), 1, 2, 3, 7] {
        let got = read_in_pieces(&mut Reader::new(LIMITS), bytes, piece);
        assert_eq!(got, expected, "in pieces of {piece}: {bytes:02x?}");
    }
}

/// A client frame with the first byte as given.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = payload.len();
    let mut out = vec![first];
    if length < 126 {
        out.push(0x80 | u8::try_from(length).unwrap());
    } else if let Ok(medium) = u16::try_from(length) {
        out.push(0x80 | 126);
        out.extend(medium.to_be_bytes());
    } else {
        out.push(0x80 | 127);
        out.extend((length as u64).to_be_bytes());
    }
    let mask = [0x11, 0x8e, 0x53, 0xf7];
    out.extend(mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
    out
}

fn text(of: &str) -> Seen {
    Seen::Text(of.into())
}

const PROTOCOL: Seen = Seen::Violation(1002);
const INVALID_TEXT: Seen = Seen::Violation(1007);
const TOO_LARGE: Seen = Seen::Violation(1009);

#[test]
fn whole_messages_of_every_length_form_are_read() {
    for length in [0, 1, 124, 125, 126, 127, 128, 999, 1000] {
        let payload = "x".repeat(length);
        check(&frame(0x81, payload.as_bytes()), &[text(&payload)]);
        check(&frame(0x82, payload.as_bytes()), &[Seen::Binary(payload.into_bytes())]);
    }
    let large = ReadLimits { message_bytes_max: 70_000, fragments_max: 1 };
    let payload = vec![9; 65_536];
    let got = read_in_pieces(&mut Reader::new(large), &frame(0x82, &payload), 4096);
    assert_eq!(got, [Seen::Binary(payload)]);
}

#[test]
fn fragments_are_joined_with_control_frames_between() {
    let bytes = [
        frame(0x01, b"he"),
        frame(0x89, b"mid"),
        frame(0x00, b""),
        frame(0x8a, b"unasked"),
        frame(0x80, b"llo"),
        frame(0x82, b"\xff"),
    ];
    check(&bytes.concat(), &[Seen::Ping(b"mid".into()), Seen::Pong, text("hello"), Seen::Binary(vec![0xff])]);
}

#[test]
fn framing_violations_are_1002() {
    let mut cases: Vec<Vec<u8>> = Vec::new();
    cases.extend([0x40, 0x20, 0x10, 0x70].map(|rsv| frame(0x81 | rsv, b"x")));
    cases.extend([0x3, 0x4, 0x5, 0x6, 0x7, 0xb, 0xc, 0xd, 0xe, 0xf].map(|opcode| frame(0x80 | opcode, b"")));
    cases.extend([0x08, 0x09, 0x0a].map(|unfinished| frame(unfinished, b"")));
    cases.extend([0x88, 0x89, 0x8a].map(|control| frame(control, &[b'x'; 126])));
    cases.extend([0x80, 0x00].map(|lone| frame(lone, b"nothing to continue")));
    cases.push([frame(0x01, b"a"), frame(0x81, b"b")].concat());
    cases.push([frame(0x01, b"a"), frame(0x02, b"b")].concat());
    cases.push(vec![0x81, 0x01, b'x']); // unmasked
    cases.push(vec![0x88, 0x00]); // unmasked
    cases.push(vec![0x81, 0x80 | 126, 0, 125, 0, 0, 0, 0]); // fits seven bits
    cases.push(vec![0x81, 0x80 | 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0]); // fits sixteen
    cases.push(vec![0x81, 0x80 | 127, 0x80, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0]); // a 64th bit
    for case in cases {
        check(&[case, frame(0x81, b"never read")].concat(), &[PROTOCOL]);
    }
}

#[test]
fn a_violation_is_found_at_the_first_byte_that_shows_it() {
    let control_with_medium_length = [0x89, 0x80 | 126];
    for (bytes, code) in [
        (&[0xc1][..], 1002),
        (&[0x83], 1002),
        (&[0x80], 1002),
        (&[0x81, 0x05], 1002),
        (&control_with_medium_length, 1002),
        (&[0x82, 0x80 | 126, 0, 1], 1002),
        (&[0x82, 0x80 | 126, 0x03, 0xe9, 1, 2, 3, 4], 1009),
        (&[0x82, 0x80 | 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4], 1009),
        (&[0x01, 0x84, 0, 0, 0, 0, 0xf4, 0x90], 1007),
        (&[0x81, 0x88, 0, 0, 0, 0, b'a', 0xff], 1007),
    ] {
        check(bytes, &[Seen::Violation(code)]);
    }
}

#[test]
fn text_is_checked_across_fragments_and_at_its_end() {
    for good in ["", "κόσμε", "\u{10ffff}", "\u{fffe}", "a\u{feff}b", "👨\u{200d}👩\u{200d}👧"] {
        check(&frame(0x81, good.as_bytes()), &[text(good)]);
        for cut in 0..good.len() {
            let (front, back) = good.as_bytes().split_at(cut);
            check(&[frame(0x01, front), frame(0x80, back)].concat(), &[text(good)]);
        }
    }
    for bad in [
        &b"\xed\xa0\x80"[..],
        b"\xed\xbf\xbf",
        b"\xf4\x90\x80\x80",
        b"\xf5\x80\x80\x80",
        b"\xc0\xaf",
        b"\xe0\x80\xaf",
        b"\xf0\x8f\xbf\xbf",
        b"\x80",
        b"\xe1 ",
        b"\xff",
        b"ok\xe1\xbd",
        b"\xf0\x9f\x92",
    ] {
        check(&frame(0x81, bad), &[INVALID_TEXT]);
        let (front, back) = bad.split_at(1);
        check(&[frame(0x01, front), frame(0x80, back)].concat(), &[INVALID_TEXT]);
        check(&frame(0x82, bad), &[Seen::Binary(bad.into())]);
        check(&frame(0x89, bad), &[Seen::Ping(bad.into())]);
    }
}

#[test]
fn closes_carry_a_code_that_may_be_sent_and_a_readable_reason() {
    for good in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4000, 4999_u16]
    {
        let payload = [&good.to_be_bytes()[..], b"bye"].concat();
        check(&frame(0x88, &payload), &[Seen::Close(Some(good))]);
    }
    for bad in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535_u16] {
        check(&frame(0x88, &bad.to_be_bytes()), &[PROTOCOL]);
    }
    check(&frame(0x88, b""), &[Seen::Close(None)]);
    check(&frame(0x88, b"\x03"), &[PROTOCOL]);
    check(&frame(0x88, b"\x03\xe8\xed\xa0\x80"), &[INVALID_TEXT]);
    check(&frame(0x88, &[&[0x03, 0xe8][..], &[b'r'; 123]].concat()), &[Seen::Close(Some(1000))]);
}

#[test]
fn nothing_is_read_after_a_close() {
    let bytes = [frame(0x01, b"ab"), frame(0x88, b"\x03\xe8"), frame(0x80, b"c"), frame(0x89, b"")].concat();
    check(&bytes, &[Seen::Close(Some(1000))]);
    let mut reader = Reader::new(LIMITS);
    read_in_pieces(&mut reader, &bytes, 5);
    assert!(reader.partial.is_none(), "the unfinished message is given back as well");
    assert!(!reader.is_idle(), "a new reader would read on");
    assert_eq!(read_in_pieces(&mut reader, &[0xff; 50], 50), []);
}

#[test]
fn a_message_beyond_the_limit_is_refused_whole_or_as_a_sum() {
    check(&frame(0x81, &[b'x'; 1001]), &[TOO_LARGE]);
    let first = frame(0x01, &[b'x'; 600]);
    check(&[first.clone(), frame(0x80, &[b'x'; 400])].concat(), &[text(&"x".repeat(1000))]);
    check(&[first, frame(0x80, &[b'x'; 401])].concat(), &[TOO_LARGE]);
}

#[test]
fn empty_fragments_are_counted() {
    let more = frame(0x00, b"");
    let exactly = [vec![frame(0x01, b"a")], vec![more.clone(); 6], vec![frame(0x80, b"b")]].concat();
    check(&exactly.concat(), &[text("ab")]);
    let beyond = [vec![frame(0x01, b"a")], vec![more; 8]].concat();
    check(&beyond.concat(), &[TOO_LARGE]);
}

#[test]
fn an_idle_reader_is_small_and_keeps_nothing() {
    assert!(size_of::<Reader>() <= 48, "{}", size_of::<Reader>());
    let mut reader = Reader::new(LIMITS);
    assert!(reader.is_idle());
    for piece in [1, 3, 4096] {
        let bytes = [frame(0x01, b"he"), frame(0x89, b"p"), frame(0x80, b"llo"), frame(0x8a, b"q")].concat();
        read_in_pieces(&mut reader, &bytes, piece);
        assert!(reader.is_idle());
    }
    let front = &frame(0x81, b"hello")[..8];
    assert_eq!(read_in_pieces(&mut reader, front, 8), []);
    assert!(!reader.is_idle(), "half a frame is kept");
}

#[test]
fn memory_follows_what_arrived_and_stops_at_the_limit() {
    let limits = ReadLimits { message_bytes_max: 1 << 20, fragments_max: 8 };
    let mut reader = Reader::new(limits);
    let whole = frame(0x82, &vec![1; 1 << 20]);
    let capacity = |reader: &Reader| {
        reader.partial.as_ref().unwrap().message.as_ref().map_or(0, |message| message.bytes.capacity())
    };

    read_in_pieces(&mut reader, &whole[..14 + 100], 4096);
    assert!(capacity(&reader) <= 200, "{}", capacity(&reader));

    read_in_pieces(&mut reader, &whole[14 + 100..whole.len() - 1], 4096);
    assert!(capacity(&reader) <= 1 << 20, "{}", capacity(&reader));
    assert_eq!(read_in_pieces(&mut reader, &whole[whole.len() - 1..], 1), [Seen::Binary(vec![1; 1 << 20])]);
}

#[test]
fn one_call_takes_one_event_and_leaves_the_rest() {
    let (first, second) = (frame(0x81, b"one"), frame(0x81, b"two"));
    let mut bytes = [first, second.clone()].concat();
    let mut input = bytes.as_mut_slice();
    let mut reader = Reader::new(LIMITS);
    assert_eq!(reader.next(&mut input), Ok(Some(Event::Message(MessageKind::Text, b"one"))));
    assert_eq!(input, second);
    assert_eq!(reader.next(&mut input), Ok(Some(Event::Message(MessageKind::Text, b"two"))));
    assert!(input.is_empty());
    assert_eq!(reader.next(&mut input), Ok(None));
}

#[test]
fn violations_carry_a_reason_that_fits_a_close_frame() {
    let mut bytes = frame(0x91, b"");
    let mut reader = Reader::new(LIMITS);
    let violation = reader.next(&mut bytes.as_mut_slice()).unwrap_err();
    assert_eq!(violation.code, CloseCode::ProtocolError);
    assert!(violation.reason.len() <= doorbell_protocol::close::REASON_BYTES_MAX);
}
