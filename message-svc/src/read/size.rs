//! Pages that fit a frame.

use std::io;

use doorbell_protocol::{ConversationId, UserId};
use serde::Serialize;

use crate::api::reply::{Conversation, Message};

/// What the items of one page may take; a server frame is 256 KiB at most, and the rest of the reply needs room.
pub const PAGE_BYTES_MAX: usize = 240 * 1_024;

/// Counts down what a page may still take.
#[derive(Debug)]
pub struct Budget {
    left: usize,
    is_empty: bool,
}

impl Default for Budget {
    fn default() -> Self {
        Self { left: PAGE_BYTES_MAX, is_empty: true }
    }
}

impl Budget {
    /// Whether an item of that size still fits. The first one always does: every item is smaller than a page.
    pub fn take(&mut self, bytes: usize) -> bool {
        let fits = bytes <= self.left || self.is_empty;
        self.left = self.left.saturating_sub(bytes);
        self.is_empty = false;
        fits
    }
}

/// What a message takes at most, in either encoding.
///
/// JSON is the longer one, but for short floating point numbers, of which MessagePack makes nine bytes out of four:
/// so what a client may fill with them counts more.
pub fn message(message: &Message) -> usize {
    json(message) + numbers(message)
}

/// What a conversation takes at most, in either encoding.
pub fn conversation(conversation: &Conversation) -> usize {
    json(conversation) + conversation.last.as_ref().map_or(0, numbers)
}

/// What a user's name takes at most in a list, in either encoding.
pub fn user(user: &UserId) -> usize {
    json(user) + 1
}

/// What a conversation's id takes at most in a list, in either encoding.
pub fn conversation_id(id: &ConversationId) -> usize {
    json(id) + 1
}

fn numbers(message: &Message) -> usize {
    2 * message.meta.as_ref().map_or(0, json)
}

/// The length of a value as JSON.
fn json(value: &impl Serialize) -> usize {
    let mut counter = Counter(0);
    // A counter takes everything, and what is measured here always encodes.
    drop(serde_json::to_writer(&mut counter, value));
    counter.0
}

struct Counter(usize);

impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
