//! Conversations and users are spread over a number of shards that is fixed when the store is created.

use std::fmt;
use std::num::NonZeroU16;

use doorbell_protocol::{ConversationId, UserId};
use xxhash_rust::xxh3::xxh3_64;

/// One part of the store, with one writer and one count of commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shard(u16);

impl Shard {
    /// Its number, from 0.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// Its number as it stands in keys, big-endian.
    #[must_use]
    pub const fn to_be_bytes(self) -> [u8; 2] {
        self.0.to_be_bytes()
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// How many shards a store has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shards(NonZeroU16);

impl Shards {
    /// Takes a number of shards.
    #[must_use]
    pub const fn new(count: NonZeroU16) -> Self {
        Self(count)
    }

    /// All of them.
    pub fn all(self) -> impl Iterator<Item = Shard> + Clone {
        (0..self.0.get()).map(Shard)
    }

    /// Where a conversation and all that belongs to it lives: XXH3-64 of the id, stable across builds and machines.
    #[must_use]
    pub fn of_conversation(self, conversation: &ConversationId) -> Shard {
        self.of(conversation.as_str())
    }

    /// A user's home: the inbox, and the conversations that the user makes.
    #[must_use]
    pub fn of_user(self, user: &UserId) -> Shard {
        self.of(user.as_str())
    }

    fn of(self, name: &str) -> Shard {
        let number = xxh3_64(name.as_bytes()) % u64::from(self.0.get());
        Shard(u16::try_from(number).expect("a remainder is smaller than its divisor"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_in_its_shard() {
        let shards = Shards::new(NonZeroU16::new(16).unwrap());
        let of = |name: &str| shards.of_user(&UserId::new(name).unwrap()).index();
        assert_eq!(["alice", "bob", "carol", "ß@例え"].map(of), [0, 5, 4, 6]);
    }
}
