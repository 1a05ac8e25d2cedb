//! The bytes of the store's keys.
//!
//! Parts are joined by a zero byte, which no id may hold; numbers are big-endian, so that keys sort as they count.

use doorbell_protocol::{ConversationId, UserId, Version};
use smallvec::SmallVec;

use super::AnswerKey;
use crate::conversation::Position;
use crate::shard::Shard;

/// Long enough for nearly every key to stay off the heap.
pub type Key = SmallVec<[u8; 128]>;

const SEPARATOR: u8 = 0;
const SEND: u8 = b's';
const CREATE: u8 = b'c';

fn joined(parts: &[&str]) -> Key {
    let mut key = Key::new();
    for (i, part) in parts.iter().enumerate() {
        if i > 0 {
            key.push(SEPARATOR);
        }
        key.extend_from_slice(part.as_bytes());
    }
    key
}

/// `log`: conversation, version.
pub fn entry(conversation: &ConversationId, version: Version) -> Key {
    let mut key = joined(&[conversation.as_str(), ""]);
    key.extend_from_slice(&version.get().to_be_bytes());
    key
}

/// The version at the end of a key of `log`.
pub fn entry_version(key: &[u8]) -> Option<Version> {
    let number = key.last_chunk::<8>()?;
    Version::new(u64::from_be_bytes(*number))
}

/// `memberships`: shard, user, conversation. The shard leads, so that one view sees the whole range.
pub fn membership(shard: Shard, user: &UserId, conversation: &ConversationId) -> Key {
    let mut key = memberships(shard, user);
    key.extend_from_slice(conversation.as_str().as_bytes());
    key
}

/// What begins every key of `memberships` of a user.
pub fn memberships(shard: Shard, user: &UserId) -> Key {
    let mut key = Key::from_slice(&shard.to_be_bytes());
    key.extend_from_slice(user.as_str().as_bytes());
    key.push(SEPARATOR);
    key
}

/// `audience`: conversation, user.
pub fn member(conversation: &ConversationId, user: &UserId) -> Key {
    joined(&[conversation.as_str(), user.as_str()])
}

/// What begins every key of `audience` of a conversation.
pub fn members(conversation: &ConversationId) -> Key {
    joined(&[conversation.as_str(), ""])
}

/// `commits`: shard, position.
pub fn commit(shard: Shard, position: Position) -> Key {
    let mut key = Key::from_slice(&shard.to_be_bytes());
    key.extend_from_slice(&position.0.to_be_bytes());
    key
}

/// The position at the end of a key of `commits`.
pub fn commit_position(key: &[u8]) -> Option<Position> {
    Some(Position(u64::from_be_bytes(*key.last_chunk::<8>()?)))
}

/// `answers-…`: kind, user, conversation for a send, key.
pub fn answer(key: &AnswerKey) -> Key {
    let (kind, mut rest) = match key {
        AnswerKey::Send { user, conversation, key } => {
            (SEND, joined(&[user.as_str(), conversation.as_str(), key.as_str()]))
        }
        AnswerKey::Create { user, key } => (CREATE, joined(&[user.as_str(), key.as_str()])),
    };
    rest.insert(0, kind);
    rest
}

/// The text after a prefix, for the id at the end of a key.
pub fn rest<'a>(key: &'a [u8], prefix: &[u8]) -> Option<&'a str> {
    std::str::from_utf8(key.strip_prefix(prefix)?).ok()
}
