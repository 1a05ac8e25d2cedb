//! One hint to many sessions: encoded once an encoding, offered to each, yielding in between.
//!
//! To users it goes as it is delivered; to the followers of topics in [`runner`], where a topic takes turns with
//! others and newer versions replace what waits.

pub(crate) mod pacing;
mod queue;
pub(crate) mod runner;
mod walk;

use std::sync::Arc;

use doorbell_protocol::codec::{encode_hint, encode_server};
use doorbell_protocol::frames::HintFrame;
use doorbell_protocol::{DirtyMap, Encoding, ServerFrame, TopicId, Version};

use crate::metrics::Offered;
use crate::session::outbox::{Source, put_message};
use crate::session::{Session, Setting};

/// Sessions of users offered between two yields: some 0.6 ms of a core (`docs/performance.md`). A topic's fan-out never pauses and yields far sooner.
pub(crate) const USER_TURN: usize = 64;

/// As long as most hints are, so that a buffer is made once.
const FRAME_BYTES: usize = 128;

/// One frame's bytes in each encoding, once somebody needs them.
#[derive(Debug, Default)]
pub(crate) struct EncodedOnce {
    json: Vec<u8>,
    msgpack: Vec<u8>,
}

impl EncodedOnce {
    /// The whole WebSocket frame of any frame: always of the same one.
    pub(crate) fn frame(&mut self, encoding: Encoding, frame: &ServerFrame) -> &[u8] {
        self.bytes(encoding, |out| encode_server(encoding, frame, out))
    }

    fn bytes(&mut self, encoding: Encoding, encode: impl FnOnce(&mut Vec<u8>)) -> &[u8] {
        let bytes = match encoding {
            Encoding::Json => &mut self.json,
            Encoding::MsgPack => &mut self.msgpack,
        };
        if bytes.is_empty() {
            bytes.reserve(FRAME_BYTES);
            put_message(encoding, bytes, encode);
        }
        bytes
    }

    fn clear(&mut self) {
        self.json.clear();
        self.msgpack.clear();
    }
}

/// A hint, with its bytes in each encoding once somebody needs them. Reused from user to user: its buffers stay.
#[derive(Debug, Default)]
pub(crate) struct Notice {
    hint: HintFrame,
    encoded: EncodedOnce,
}

impl Notice {
    /// Of these topics, with a wait before the pull.
    pub(crate) fn of(
        topics: impl IntoIterator<Item = (TopicId, Version)>,
        pull_after_ms: Option<u32>,
    ) -> Self {
        let hint = HintFrame { topics: topics.into_iter().collect(), pull_after_ms, ..HintFrame::default() };
        Self { hint, ..Self::default() }
    }

    /// That anything may have changed.
    pub(crate) fn resync() -> Self {
        Self { hint: HintFrame { resync: true, ..HintFrame::default() }, ..Self::default() }
    }

    /// Leaves `resync` to be said later; answers whether it was to be said.
    pub(crate) fn take_resync(&mut self) -> bool {
        std::mem::take(&mut self.hint.resync)
    }

    /// Of a later version of its topics.
    pub(crate) fn raise(&mut self, to: Version) {
        self.encoded.clear();
        self.hint.topics.iter_mut().for_each(|(_, version)| *version = to);
    }

    /// Takes the next hint in place of the last one.
    pub(crate) fn set(&mut self, dirty: &DirtyMap) {
        self.encoded.clear();
        self.hint.topics.clear();
        self.hint.topics.extend(dirty.topics().iter().map(|(topic, version)| (topic.clone(), *version)));
        self.hint.resync = dirty.resync();
    }

    pub(crate) const fn hint(&self) -> &HintFrame {
        &self.hint
    }

    /// Nothing to tell a client: a refollow mark alone is the gateway's own business.
    pub(crate) fn is_empty(&self) -> bool {
        self.hint.topics.is_empty() && !self.hint.resync
    }

    /// The whole WebSocket frame.
    pub(crate) fn bytes(&mut self, encoding: Encoding) -> &[u8] {
        self.encoded.bytes(encoding, |out| encode_hint(encoding, &self.hint, out))
    }
}

/// One task's fan-outs: it yields after some sessions, over all users of a batch.
#[derive(Debug, Default)]
pub(crate) struct UserFanOut {
    offered: usize,
}

impl UserFanOut {
    /// Offers a notice to each session; answers how many took it, now or merged.
    pub(crate) async fn offer(&mut self, notice: &mut Notice, to: &[Arc<Session>], setting: &Setting) -> u32 {
        let mut taken = 0;
        for session in to {
            let offered = session.offer(notice, Source::Queue, setting);
            setting.metrics.hint_offered(offered);
            if offered != Offered::Gone {
                taken += 1;
            }
            self.offered += 1;
            if self.offered.is_multiple_of(USER_TURN) {
                tokio::task::yield_now().await;
            }
        }
        taken
    }
}
