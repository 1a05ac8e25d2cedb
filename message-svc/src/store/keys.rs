//! The bytes of the store's keys.
//!
//! Parts are joined by a zero byte, which no id may hold; numbers are big-endian, so that keys sort as they count.
//!
//! A key that names a user or a conversation begins with four bytes of that name's hash. A key keeps its first four
//! bytes beside its pointer, so that comparisons in a memtable end there instead of missing the cache: with names
//! alone, which begin alike, half of a commit's time went into that. Nothing is read across names.

use doorbell_protocol::{ConversationId, UserId, Version};
use smallvec::SmallVec;
use xxhash_rust::xxh3::xxh3_64;

use super::AnswerKey;
use crate::conversation::Position;
use crate::shard::Shard;

/// Long enough for nearly every key to stay off the heap.
pub type Key = SmallVec<[u8; 128]>;

const SEPARATOR: u8 = 0;
const LOG: u8 = b's';
const CREATE: u8 = b'c';

/// A key that begins with the hash of a name.
fn begin(name: &[u8]) -> Key {
    let [.., a, b, c, d] = xxh3_64(name).to_be_bytes();
    Key::from_slice(&[a, b, c, d])
}

fn named(name: &str) -> Key {
    let mut key = begin(name.as_bytes());
    key.extend_from_slice(name.as_bytes());
    key
}

/// `conversations` and `heads`: conversation.
pub fn conversation(conversation: &ConversationId) -> Key {
    named(conversation.as_str())
}

/// `inboxes` and `statuses`: user.
pub fn user(user: &UserId) -> Key {
    named(user.as_str())
}

/// `log`: conversation, version.
pub fn entry(conversation: &ConversationId, version: Version) -> Key {
    let mut key = named(conversation.as_str());
    key.push(SEPARATOR);
    key.extend_from_slice(&version.get().to_be_bytes());
    key
}

/// The version at the end of a key of `log`.
pub fn entry_version(key: &[u8]) -> Option<Version> {
    let number = key.last_chunk::<8>()?;
    Version::new(u64::from_be_bytes(*number))
}

/// `memberships`: user, shard, conversation.
pub fn membership(shard: Shard, user: &UserId, conversation: &ConversationId) -> Key {
    let mut key = memberships(shard, user);
    key.extend_from_slice(conversation.as_str().as_bytes());
    key
}

/// What begins every key of `memberships` of a user in one shard, so that one view sees the whole range.
pub fn memberships(shard: Shard, user: &UserId) -> Key {
    let mut key = named(user.as_str());
    key.push(SEPARATOR);
    key.extend_from_slice(&shard.to_be_bytes());
    key
}

/// `audience`: conversation, user.
pub fn member(conversation: &ConversationId, user: &UserId) -> Key {
    let mut key = members(conversation);
    key.extend_from_slice(user.as_str().as_bytes());
    key
}

/// What begins every key of `audience` of a conversation.
pub fn members(conversation: &ConversationId) -> Key {
    let mut key = named(conversation.as_str());
    key.push(SEPARATOR);
    key
}

/// What lies behind every key of `audience` of a conversation.
pub fn members_end(conversation: &ConversationId) -> Key {
    let mut key = named(conversation.as_str());
    key.push(SEPARATOR + 1);
    key
}

/// `commits`: shard, position.
pub fn commit(shard: Shard, position: Position) -> Key {
    let mut key = Key::from_slice(&shard.to_be_bytes());
    key.extend_from_slice(&position.0.to_be_bytes());
    key
}

/// `shards`, beside the shard's own row: to which stores its commits are announced.
pub fn identities(shard: Shard) -> Key {
    let mut key = Key::from_slice(&shard.to_be_bytes());
    key.push(b'i');
    key
}

/// `shards`, beside the shard's own row: where its announcements stood lately.
pub fn trail(shard: Shard) -> Key {
    let mut key = Key::from_slice(&shard.to_be_bytes());
    key.push(b't');
    key
}

/// The position at the end of a key of `commits`.
pub fn commit_position(key: &[u8]) -> Option<Position> {
    Some(Position(u64::from_be_bytes(*key.last_chunk::<8>()?)))
}

/// `answers-…`: kind, user, conversation for an entry, key; all of it is the name.
pub fn answer(key: &AnswerKey) -> Key {
    let mut name = Key::new();
    let (kind, parts) = match key {
        AnswerKey::Log { user, conversation, key } => {
            (LOG, [user.as_str(), conversation.as_str(), key.as_str()])
        }
        AnswerKey::Create { user, key } => (CREATE, [user.as_str(), "", key.as_str()]),
    };
    name.push(kind);
    for part in parts {
        name.extend_from_slice(part.as_bytes());
        name.push(SEPARATOR);
    }
    let mut key = begin(&name);
    key.extend_from_slice(&name);
    key
}

/// The text after a prefix, for the id at the end of a key.
pub fn rest<'a>(key: &'a [u8], prefix: &[u8]) -> Option<&'a str> {
    std::str::from_utf8(key.strip_prefix(prefix)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A change here is a change of the store's format: raise `FORMAT` in `open.rs` with it.
    #[test]
    fn keys_are_those_of_the_format() {
        let (user, conversation) = (UserId::new("ada").unwrap(), ConversationId::new("c1").unwrap());
        let shard = crate::shard::Shards::new(std::num::NonZeroU16::MIN).all().next().unwrap();
        let sent = AnswerKey::Log {
            user: user.clone(),
            conversation: conversation.clone(),
            key: "k".parse().unwrap(),
        };
        let keys = [
            super::conversation(&conversation),
            super::user(&user),
            entry(&conversation, Version::ZERO.next()),
            membership(shard, &user, &conversation),
            member(&conversation, &user),
            commit(shard, Position(7)),
            answer(&sent),
        ];
        let shown = keys.map(|key| key.escape_ascii().to_string());
        assert_eq!(shown, EXPECTED);
    }

    const EXPECTED: [&str; 7] = [
        r"\xc9\xa9V\x02c1",
        r"\x95,\x80/ada",
        r"\xc9\xa9V\x02c1\x00\x00\x00\x00\x00\x00\x00\x00\x01",
        r"\x95,\x80/ada\x00\x00\x00c1",
        r"\xc9\xa9V\x02c1\x00ada",
        r"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07",
        r"\xb2\xe6p,sada\x00c1\x00k\x00",
    ];
}
