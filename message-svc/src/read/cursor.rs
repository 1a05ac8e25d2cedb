//! What a client keeps between two asks of `topics.changes`: opaque to it, positions to us.
//!
//! Bytes: format, kind, the store's id, the number of shards, a position for each; while paging through topics, also the
//! positions that the paging began from, and the last topic shown; in the middle of a commit, the shard and the last
//! conversation shown; at the end a checksum, which tells a cursor of a later release
//! from no cursor at all. As base64url without padding. A cursor gives no right to anything: whoever makes one up sees
//! the same topics of their own.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use doorbell_protocol::{ConversationId, Timestamp, TopicId};
use xxhash_rust::xxh3::xxh3_64;

use crate::conversation::Position;
use crate::store::StoreId;

const FORMAT: u8 = 1;
const SETTLED: u8 = 0;
const PAGING: u8 = 1;
const PLACE: u8 = 2;
const WITHIN: u8 = 3;
/// Longer than any cursor: what is longer is none, and is not even decoded.
const CURSOR_BYTES_MAX: usize = 1 << 20;

/// How far a client has come, in the order of the shards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cursor {
    /// Everything up to here is known.
    Settled(Vec<Position>),
    /// Pages are being read; once they are all read, everything up to `target` is known.
    Paging {
        /// Where the store stood at the first page.
        target: Vec<Position>,
        /// What was known before.
        base: Vec<Position>,
        /// The last topic that was shown.
        last: TopicId,
    },
    /// Everything up to here is known, and of the next commit of one shard a part.
    Within {
        /// What is known whole.
        known: Vec<Position>,
        /// The shard's index.
        shard: u16,
        /// The last conversation that was shown of the commit after the known one.
        last: ConversationId,
    },
}

/// What a text turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub enum Decoded {
    /// A cursor of this store.
    Cursor(Cursor),
    /// A cursor of another store, or of a later release: it cannot be placed.
    Foreign,
    /// No cursor at all.
    Garbled,
}

impl Cursor {
    /// As text, for the store of that id.
    #[must_use]
    pub fn encode(&self, store: StoreId) -> String {
        let (kind, positions) = match self {
            Self::Settled(positions) => (SETTLED, positions),
            Self::Paging { target, .. } => (PAGING, target),
            Self::Within { known, .. } => (WITHIN, known),
        };
        let mut bytes = vec![FORMAT, kind];
        bytes.extend(store.0);
        bytes.extend(u16::try_from(positions.len()).expect("there are at most 65535 shards").to_be_bytes());
        bytes.extend(positions.iter().flat_map(|position| position.0.to_be_bytes()));
        match self {
            Self::Settled(_) => {}
            Self::Paging { base, last, .. } => {
                bytes.extend(base.iter().flat_map(|position| position.0.to_be_bytes()));
                bytes.extend(last.as_str().as_bytes());
            }
            Self::Within { shard, last, .. } => {
                bytes.extend(shard.to_be_bytes());
                bytes.extend(last.as_str().as_bytes());
            }
        }
        sealed(bytes)
    }

    /// Reads a text that claims to be a cursor.
    #[must_use]
    pub fn decode(text: &str, store: StoreId, shards: usize) -> Decoded {
        let Some(bytes) = opened(text) else { return Decoded::Garbled };
        let mut rest = Rest(&bytes);
        if rest.take::<1>() != Some([FORMAT]) {
            return Decoded::Foreign;
        }
        let head = (rest.take::<1>(), rest.take::<16>(), rest.take::<2>());
        let (Some([kind]), Some(id), Some(count)) = head else { return Decoded::Garbled };
        let count = usize::from(u16::from_be_bytes(count));
        let Some(positions) = rest.positions(count) else { return Decoded::Garbled };
        let cursor = match kind {
            SETTLED if rest.0.is_empty() => Cursor::Settled(positions),
            PAGING => {
                let base = rest.positions(count);
                let last = std::str::from_utf8(rest.0).ok().and_then(|topic| TopicId::new(topic).ok());
                let Some((base, last)) = base.zip(last) else { return Decoded::Garbled };
                Cursor::Paging { target: positions, base, last }
            }
            WITHIN => {
                let shard = rest.take::<2>().map(u16::from_be_bytes);
                let shard = shard.filter(|shard| usize::from(*shard) < count);
                let last = std::str::from_utf8(rest.0).ok().and_then(|id| ConversationId::new(id).ok());
                let Some((shard, last)) = shard.zip(last) else { return Decoded::Garbled };
                Cursor::Within { known: positions, shard, last }
            }
            _ => return Decoded::Garbled,
        };
        if StoreId(id) != store {
            return Decoded::Foreign;
        }
        if count == shards { Decoded::Cursor(cursor) } else { Decoded::Garbled }
    }
}

/// A place in a user's list of conversations, most recent first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// When the conversation there was last changed.
    pub updated_at: Timestamp,
    /// Which it is: what decides between two of the same time.
    pub conversation: ConversationId,
}

impl Place {
    /// As text.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut bytes = vec![FORMAT, PLACE];
        bytes.extend(self.updated_at.as_millis().to_be_bytes());
        bytes.extend(self.conversation.as_str().as_bytes());
        sealed(bytes)
    }

    /// `None` where the text is none.
    #[must_use]
    pub fn decode(text: &str) -> Option<Self> {
        let bytes = opened(text)?;
        let mut rest = Rest(&bytes);
        let ([FORMAT, PLACE], millis) = (rest.take::<2>()?, rest.take::<8>()?) else { return None };
        let conversation = ConversationId::new(std::str::from_utf8(rest.0).ok()?).ok()?;
        Some(Self { updated_at: Timestamp::from_millis(u64::from_be_bytes(millis)), conversation })
    }
}

fn sealed(mut bytes: Vec<u8>) -> String {
    bytes.extend(checksum(&bytes));
    URL_SAFE_NO_PAD.encode(bytes)
}

/// `None` where the checksum is wrong.
fn opened(text: &str) -> Option<Vec<u8>> {
    let mut bytes = (text.len() <= CURSOR_BYTES_MAX).then(|| URL_SAFE_NO_PAD.decode(text))?.ok()?;
    let (content, seal) = bytes.split_last_chunk::<4>()?;
    let length = (checksum(content) == *seal).then_some(content.len())?;
    bytes.truncate(length);
    Some(bytes)
}

fn checksum(bytes: &[u8]) -> [u8; 4] {
    let [first, second, third, fourth, ..] = xxh3_64(bytes).to_be_bytes();
    [first, second, third, fourth]
}

/// What is not yet read.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    fn positions(&mut self, count: usize) -> Option<Vec<Position>> {
        (0..count).map(|_| self.take::<8>().map(|bytes| Position(u64::from_be_bytes(bytes)))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORE: StoreId = StoreId([7; 16]);

    fn cursors() -> [Cursor; 3] {
        let positions = |a, b| vec![Position(a), Position(b)];
        let last = TopicId::new("conversation:x").unwrap();
        [
            Cursor::Settled(positions(1, u64::MAX)),
            Cursor::Paging { target: positions(3, 4), base: positions(1, 2), last },
            Cursor::Within { known: positions(3, 4), shard: 1, last: ConversationId::new("c").unwrap() },
        ]
    }

    #[test]
    fn a_cursor_comes_back_as_it_was() {
        for cursor in cursors() {
            let text = cursor.encode(STORE);
            assert_eq!(Cursor::decode(&text, STORE, 2), Decoded::Cursor(cursor));
            assert_eq!(Cursor::decode(&text, StoreId([8; 16]), 2), Decoded::Foreign);
            assert_eq!(Cursor::decode(&text, STORE, 3), Decoded::Garbled);
        }
    }

    #[test]
    fn what_is_cut_short_or_made_up_is_garbled() {
        for cursor in cursors() {
            let text = cursor.encode(STORE);
            let bytes = URL_SAFE_NO_PAD.decode(&text).unwrap();
            for length in 0..bytes.len() {
                let cut = URL_SAFE_NO_PAD.encode(&bytes[..length]);
                assert_eq!(Cursor::decode(&cut, STORE, 2), Decoded::Garbled, "{length}");
                let mut flipped = bytes.clone();
                flipped[length] ^= 1;
                let flipped = URL_SAFE_NO_PAD.encode(flipped);
                assert_eq!(Cursor::decode(&flipped, STORE, 2), Decoded::Garbled, "{length}");
            }
        }
        for text in ["", "x", "!", "AAAA", "ä", "==", &"A".repeat(2_000_000)] {
            assert_eq!(Cursor::decode(text, STORE, 2), Decoded::Garbled);
        }
        assert_eq!(Cursor::decode(&sealed(vec![9, 9]), STORE, 2), Decoded::Foreign, "of a later release");
        assert_eq!(Cursor::decode(&sealed(vec![FORMAT, 9]), STORE, 2), Decoded::Garbled);
        let beyond = Cursor::Within { known: vec![], shard: 2, last: ConversationId::new("c").unwrap() };
        assert_eq!(Cursor::decode(&beyond.encode(STORE), STORE, 0), Decoded::Garbled);
    }

    #[test]
    fn a_place_comes_back_as_it_was() {
        let conversation = ConversationId::new("c-1").unwrap();
        let place = Place { updated_at: Timestamp::from_millis(5), conversation };
        assert_eq!(Place::decode(&place.encode()), Some(place));
        for text in ["", "x", "AQI", &cursors()[0].encode(STORE)] {
            assert_eq!(Place::decode(text), None, "{text}");
        }
    }
}
