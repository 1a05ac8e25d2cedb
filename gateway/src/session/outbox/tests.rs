use doorbell_protocol::codec::decode_server;
use doorbell_protocol::{CallId, Payload};

use super::*;
use crate::config::SERVER_FRAME_BYTES_MAX;

fn hint(topics: &[(usize, u64)]) -> HintFrame {
    let topics = topics
        .iter()
        .map(|(topic, version)| {
            (TopicId::new(format!("t:{topic}")).unwrap(), Version::new(*version).unwrap())
        })
        .collect();
    HintFrame { topics, ..HintFrame::default() }
}

/// A socket that takes so many bytes and then would block.
struct Socket {
    takes: usize,
    taken: Vec<u8>,
}

impl Socket {
    fn taking(takes: usize) -> Self {
        Self { takes, taken: Vec::new() }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(self.takes);
        if count == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.takes -= count;
        self.taken.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    /// The frames taken, where they are whole.
    fn frames(&self) -> Vec<ServerFrame> {
        let mut frames = Vec::new();
        let mut rest = &self.taken[..];
        while let [0x81, length, ..] = *rest {
            let (start, length) = match length {
                126 => (4, usize::from(u16::from_be_bytes([rest[2], rest[3]]))),
                length => (2, usize::from(length)),
            };
            frames.push(decode_server(Encoding::Json, &rest[start..start + length]).unwrap());
            rest = &rest[start + length..];
        }
        assert!(rest.is_empty(), "{rest:?}");
        frames
    }
}

fn flush(outbox: &mut Outbox, socket: &mut Socket) -> bool {
    match outbox.flush(Encoding::Json, Hints::Send, |bytes| socket.write(bytes)) {
        Flushed::All => true,
        Flushed::Blocked => false,
        Flushed::Broken(error) => panic!("{error}"),
    }
}

#[test]
fn hints_merge_while_the_socket_takes_nothing_and_the_latest_go_out() {
    let mut outbox = Outbox::default();
    outbox.raw().extend_from_slice(b"\x81\x10{\"type\":\"pong\"}\n");
    let mut socket = Socket::taking(5);
    assert!(!flush(&mut outbox, &mut socket), "a frame begun");

    for version in 1..=100_000 {
        outbox.merge(&hint(&[(1, version), (2, 100_001 - version)]), Source::Queue);
    }
    assert!(outbox.is_blocked() && !outbox.holds_reading());
    socket.takes = usize::MAX;
    assert!(flush(&mut outbox, &mut socket));

    assert!(outbox.is_empty());
    let ServerFrame::Hint(merged) = &socket.frames()[1] else { panic!() };
    assert_eq!(*merged, hint(&[(1, 100_000), (2, 100_000)]));
}

#[test]
fn past_the_cap_it_says_more_and_known_topics_still_rise() {
    let mut outbox = Outbox::default();
    for topic in 0..TOPICS_MAX + 10 {
        outbox.merge(&hint(&[(topic, 1)]), Source::Queue);
    }
    outbox.merge(&hint(&[(0, 7)]), Source::Queue);
    let mut socket = Socket::taking(usize::MAX);
    flush(&mut outbox, &mut socket);

    let [ServerFrame::Hint(merged)] = &socket.frames()[..] else { panic!() };
    assert!(merged.more && merged.topics.len() == TOPICS_MAX);
    assert!(merged.topics.contains(&hint(&[(0, 7)]).topics[0]));
}

#[test]
fn the_largest_hint_fits_a_server_frame() {
    let mut outbox = Outbox::default();
    for number in 0..TOPICS_MAX {
        let key = "\\\"".repeat(120);
        let topic = TopicId::new(format!("t:{number:03}{key}")).unwrap();
        outbox
            .merge(&HintFrame { topics: vec![(topic, Version::MAX)], ..HintFrame::default() }, Source::Queue);
    }
    let mut socket = Socket::taking(usize::MAX);
    flush(&mut outbox, &mut socket);
    assert!(socket.taken.len() < SERVER_FRAME_BYTES_MAX / 4, "{}", socket.taken.len());
}

#[test]
fn a_wait_merges_to_the_earliest_time_named() {
    let paced = |after| HintFrame { pull_after_ms: after, ..hint(&[(1, 1)]) };
    for (first, second, merged) in [(Some(5), Some(3), Some(3)), (Some(5), None, None), (None, Some(3), None)]
    {
        let mut outbox = Outbox::default();
        outbox.merge(&paced(first), Source::Queue);
        outbox.merge(&paced(second), Source::Queue);
        let mut socket = Socket::taking(usize::MAX);
        flush(&mut outbox, &mut socket);
        let [ServerFrame::Hint(hint)] = &socket.frames()[..] else { panic!() };
        assert_eq!(hint.pull_after_ms, merged, "{first:?} {second:?}");
    }
}

#[test]
fn replies_go_before_hints_and_hold_reading_while_they_wait() {
    let mut outbox = Outbox::default();
    outbox.merge(&hint(&[(1, 1)]), Source::Queue);
    let result = Payload::encode(Encoding::Json, &serde_json::json!({"a": 1}));
    let reply = ServerFrame::Reply { id: CallId::Number(1), outcome: Ok(result) };
    outbox.send(Encoding::Json, &reply);
    let mut socket = Socket::taking(10);

    assert!(!flush(&mut outbox, &mut socket));
    assert!(outbox.holds_reading());
    socket.takes = usize::MAX;
    assert!(flush(&mut outbox, &mut socket));

    assert!(!outbox.holds_reading());
    assert!(matches!(&socket.frames()[..], [ServerFrame::Reply { .. }, ServerFrame::Hint(_)]));
}

#[test]
fn while_the_socket_is_blocked_only_the_newest_ping_is_owed_a_pong() {
    let mut outbox = Outbox::default();
    outbox.pong(b"a");
    outbox.pong(b"b");
    let mut socket = Socket::taking(3);
    assert!(!flush(&mut outbox, &mut socket));
    for payload in 0..100_u8 {
        outbox.pong(&[payload]);
    }
    socket.takes = usize::MAX;
    assert!(flush(&mut outbox, &mut socket));
    assert_eq!(socket.taken, [0x8a, 1, b'a', 0x8a, 1, b'b', 0x8a, 1, 99]);
}

#[test]
fn hints_that_are_held_stay_merged() {
    let mut outbox = Outbox::default();
    outbox.merge(&hint(&[(1, 1)]), Source::Queue);
    let mut socket = Socket::taking(usize::MAX);
    let flushed = outbox.flush(Encoding::Json, Hints::Hold, |bytes| socket.write(bytes));
    assert!(matches!(flushed, Flushed::All) && socket.taken.is_empty() && !outbox.is_empty());
}
