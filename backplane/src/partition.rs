//! Users are spread over a number of partitions that is fixed for an installation.

use std::fmt;
use std::num::NonZeroU16;

use doorbell_protocol::{TopicId, UserId};
use xxhash_rust::xxh3::xxh3_64;

use crate::BucketId;

/// One part of the users: their queue, their entries and the gateways' leases for them live together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition(u16);

impl Partition {
    /// Its number, from 0.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// How many partitions an installation has: 16 by default, enough to spread over the primaries of a Redis
/// Cluster and few enough to look at each once a second. Changing it loses the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partitions(NonZeroU16);

impl Default for Partitions {
    fn default() -> Self {
        const SIXTEEN: NonZeroU16 = NonZeroU16::new(16).expect("16 is not zero");
        Self(SIXTEEN)
    }
}

impl From<Partitions> for NonZeroU16 {
    fn from(partitions: Partitions) -> Self {
        partitions.0
    }
}

impl Partitions {
    /// Takes a number of partitions.
    #[must_use]
    pub const fn new(count: NonZeroU16) -> Self {
        Self(count)
    }

    /// How many.
    #[must_use]
    pub const fn count(self) -> usize {
        self.0.get() as usize
    }

    /// All of them.
    pub fn all(self) -> impl Iterator<Item = Partition> {
        (0..self.0.get()).map(Partition)
    }

    /// Where a user belongs: XXH3-64 of the id, stable across builds and machines.
    #[must_use]
    pub fn of(self, user: &UserId) -> Partition {
        self.slot(user.as_str().as_bytes())
    }

    /// Where a topic's stored version belongs: XXH3-64 of the topic, as for users.
    #[must_use]
    pub fn of_topic(self, topic: &TopicId) -> Partition {
        self.slot(topic.as_str().as_bytes())
    }

    /// Where a bucket belongs: XXH3-64 of its number's bytes, the greatest first.
    #[must_use]
    pub fn of_bucket(self, bucket: BucketId) -> Partition {
        self.slot(&bucket.0.to_be_bytes())
    }

    fn slot(self, key: &[u8]) -> Partition {
        let slot = xxh3_64(key) % u64::from(self.0.get());
        Partition(u16::try_from(slot).expect("a remainder is smaller than its divisor"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_stays_in_its_partition() {
        let of = |name: &str| Partitions::default().of(&UserId::new(name).unwrap()).index();
        assert_eq!(["alice", "bob", "carol", "ß@例え"].map(of), [0, 5, 4, 6]);
    }
}
