//! What a session has not taken yet: the rest of frames begun, replies owed, and the merged hints.
//!
//! It exists only while something waits, and its size is a constant: one frame of hints begun, at most
//! [`TOPICS_MAX`] topics merged, one pong, and the replies to the calls that may be in flight (GW-4).

use std::collections::BTreeMap;
use std::io;

use doorbell_protocol::codec::{encode_hint, encode_server};
use doorbell_protocol::frames::HintFrame;
use doorbell_protocol::hint::TOPICS_MAX;
use doorbell_protocol::{Encoding, ServerFrame, TopicId, Version};
use tokio::time::Instant;

use crate::ws::{self, HEADER_BYTES_MAX, MessageKind};

/// The WebSocket opcode that an encoding's frames come in.
pub(crate) const fn kind(encoding: Encoding) -> MessageKind {
    match encoding {
        Encoding::Json => MessageKind::Text,
        Encoding::MsgPack => MessageKind::Binary,
    }
}

/// Appends what `encode` writes as one WebSocket message.
pub(crate) fn put_message(encoding: Encoding, out: &mut Vec<u8>, encode: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.resize(start + HEADER_BYTES_MAX, 0);
    encode(out);
    let unused = ws::put_header(kind(encoding), &mut out[start..]);
    out.drain(start..start + unused);
}

/// Why a session is hinted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Somebody named its user: the queue did, or this gateway.
    Queue,
    /// It follows the topic, and has nothing of it to read once it does so no longer (GW-11).
    Followed,
}

/// The greatest version of one topic by each source; zero where there is none.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    queue: Version,
    followed: Version,
}

impl Told {
    fn raise(&mut self, source: Source, version: Version) {
        let known = match source {
            Source::Queue => &mut self.queue,
            Source::Followed => &mut self.followed,
        };
        *known = version.max(*known);
    }

    fn version(self) -> Version {
        self.queue.max(self.followed)
    }
}

/// Hints that wait, merged.
#[derive(Debug, Default)]
struct Waiting {
    topics: BTreeMap<TopicId, Told>,
    more: bool,
    resync: bool,
    /// The longest wait that all that is merged allows: the earliest time named (protocol, "What is promised" 2).
    pull_after_ms: Option<u32>,
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.topics.is_empty() && !self.more && !self.resync
    }

    fn merge(&mut self, hint: &HintFrame, source: Source) {
        self.pull_after_ms = if self.is_empty() {
            hint.pull_after_ms
        } else {
            self.pull_after_ms.zip(hint.pull_after_ms).map(|(old, new)| old.min(new))
        };
        self.more |= hint.more;
        self.resync |= hint.resync;
        for (topic, version) in &hint.topics {
            let full = self.topics.len() >= TOPICS_MAX;
            match self.topics.get_mut(topic) {
                Some(told) => told.raise(source, *version),
                None if full => self.more = true,
                None => self.topics.entry(topic.clone()).or_default().raise(source, *version),
            }
        }
    }

    /// Drops what waits of a topic because it was followed.
    fn unfollow(&mut self, topic: &TopicId) {
        if let Some(told) = self.topics.get_mut(topic) {
            told.followed = Version::ZERO;
            if told.queue == Version::ZERO {
                self.topics.remove(topic);
            }
        }
    }

    fn take(&mut self) -> HintFrame {
        let Self { topics, more, resync, pull_after_ms } = std::mem::take(self);
        let topics = topics.into_iter().map(|(topic, told)| (topic, told.version())).collect();
        HintFrame { topics, pull_after_ms, more, resync }
    }
}

/// What one session has not taken.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// Frames begun or owed, in order; from `sent` on not yet written.
    unsent: Vec<u8>,
    sent: usize,
    /// Whether `unsent` holds anything that the client asked for.
    owes_reply: bool,
    /// The socket did not take everything at the last try.
    blocked: bool,
    /// The newest ping not answered yet, while the socket is blocked (RFC 6455, 5.5.3: only that one is due).
    pong: Option<Vec<u8>>,
    waiting: Waiting,
    /// Until when hints gather, where the client asked for a window.
    window_ends: Option<Instant>,
}

/// How a flush went.
#[derive(Debug)]
pub(crate) enum Flushed {
    /// The socket took everything that may go.
    All,
    /// It would block; go on when it is writable.
    Blocked,
    /// It broke.
    Broken(io::Error),
}

/// Whether merged hints may go out with this flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hints {
    Send,
    Hold,
}

impl Outbox {
    /// Owes one frame.
    pub(crate) fn send(&mut self, encoding: Encoding, frame: &ServerFrame) {
        self.owes_reply = true;
        put_message(encoding, &mut self.unsent, |out| encode_server(encoding, frame, out));
    }

    /// Owes one hint as it is.
    pub(crate) fn send_hint(&mut self, encoding: Encoding, hint: &HintFrame) {
        put_message(encoding, &mut self.unsent, |out| encode_hint(encoding, hint, out));
    }

    /// Owes WebSocket control frames, or the rest of a frame begun.
    pub(crate) fn raw(&mut self) -> &mut Vec<u8> {
        &mut self.unsent
    }

    /// Owes a pong: at once, or one for all pings that came while the socket was blocked.
    pub(crate) fn pong(&mut self, ping: &[u8]) {
        if self.blocked {
            self.pong = Some(ping.to_vec());
        } else {
            ws::write_pong(ping, &mut self.unsent);
        }
    }

    pub(crate) fn merge(&mut self, hint: &HintFrame, source: Source) {
        self.waiting.merge(hint, source);
    }

    /// The session follows the topic no longer: what waits of it for that reason is dropped, what came by the queue
    /// stays.
    pub(crate) fn unfollow(&mut self, topic: &TopicId) {
        self.waiting.unfollow(topic);
        if self.waiting.is_empty() {
            self.window_ends = None;
        }
    }

    /// Gathers hints until then; a window that runs is not moved.
    pub(crate) fn open_window(&mut self, ends: Instant) -> Instant {
        *self.window_ends.get_or_insert(ends)
    }

    pub(crate) fn window_ends(&self) -> Option<Instant> {
        self.window_ends
    }

    pub(crate) fn mark_blocked(&mut self) {
        self.blocked = true;
    }

    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// Whether the client must read before it may ask for more.
    pub(crate) fn holds_reading(&self) -> bool {
        self.blocked && self.owes_reply
    }

    /// Bytes owed.
    pub(crate) fn unsent_bytes(&self) -> usize {
        self.unsent.len() - self.sent
    }

    /// Drops the hints: nobody will read them.
    pub(crate) fn forget_hints(&mut self) {
        self.waiting = Waiting::default();
        self.window_ends = None;
    }

    /// Nothing waits: the outbox itself can go.
    pub(crate) fn is_empty(&self) -> bool {
        self.unsent_bytes() == 0 && self.pong.is_none() && self.waiting.is_empty()
    }

    /// Writes what may go: first what was begun, then a pong, then the hints. Hints are encoded only when the socket
    /// has taken all before them, so that they stay merged as long as they wait.
    pub(crate) fn flush(
        &mut self,
        encoding: Encoding,
        hints: Hints,
        mut write: impl FnMut(&[u8]) -> io::Result<usize>,
    ) -> Flushed {
        loop {
            while self.unsent_bytes() > 0 {
                match write(&self.unsent[self.sent..]) {
                    Ok(0) => return Flushed::Broken(io::ErrorKind::WriteZero.into()),
                    Ok(written) => self.sent += written,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        self.blocked = true;
                        return Flushed::Blocked;
                    }
                    Err(error) => return Flushed::Broken(error),
                }
            }
            self.unsent.clear();
            (self.sent, self.owes_reply, self.blocked) = (0, false, false);
            if let Some(ping) = self.pong.take() {
                ws::write_pong(&ping, &mut self.unsent);
            } else if hints == Hints::Send && !self.waiting.is_empty() {
                self.window_ends = None;
                let hint = self.waiting.take();
                put_message(encoding, &mut self.unsent, |out| encode_hint(encoding, &hint, out));
            } else {
                return Flushed::All;
            }
        }
    }
}

#[cfg(test)]
mod tests;
