//! Which sessions follow which topics, and the version of each topic as this gateway has it. Sharded, each shard
//! behind a lock of a few lines.
//!
//! Order matters (GW-10): a follower is inserted before it reads the topic's version, and a publish raises the version
//! before its fan-out walks over the followers. Whoever comes in the middle misses nothing.

mod followers;
mod topic;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use doorbell_backplane::{Partition, Partitions};
use doorbell_protocol::{Generation, Hint, TopicId, UserId, Version};
use doorbell_rpc::Subscription;
use parking_lot::Mutex;
use tokio::time::Instant;
use xxhash_rust::xxh3::xxh3_64;

use crate::session::Session;
use followers::Change;
use topic::Topic;

pub(crate) use topic::{Begun, Pace, Raised};

/// Shards of a partition: with 16 partitions, 64 locks.
pub(crate) const SHARDS_PER_PARTITION: usize = 4;

/// A topic's stay in the index, from its first follower to its last.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Stay {
    pub(crate) topic: TopicId,
    life: u64,
}

/// What inserting or removing a follower changed for others than the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    /// The topic has its first follower here, or none any more.
    Turned,
    /// Another number of users.
    Users,
    /// Another number of sessions of the same users.
    Sessions,
    /// Nothing.
    Same,
}

impl Audience {
    const fn of(change: Change) -> Self {
        match change {
            Change::Users => Self::Users,
            Change::Sessions => Self::Sessions,
            Change::Nothing => Self::Same,
        }
    }
}

/// The index.
pub(crate) struct Topics {
    partitions: Partitions,
    pace: Pace,
    shards: Vec<Mutex<HashMap<TopicId, Topic>>>,
    /// Topics followed in each partition.
    followed: Vec<AtomicUsize>,
    /// Grows with each word to the channel service, and with each stay; it never goes back.
    generation: AtomicU64,
}

impl Topics {
    pub(crate) fn new(partitions: Partitions, pace: Pace) -> Self {
        let count = partitions.count() * SHARDS_PER_PARTITION;
        Self {
            partitions,
            pace,
            shards: (0..count).map(|_| Mutex::default()).collect(),
            followed: partitions.all().map(|_| AtomicUsize::new(0)).collect(),
            generation: AtomicU64::new(0),
        }
    }

    /// Inserts a follower, then reads the topic's version. The first one brings the version with it that message-svc
    /// answered for it: nobody else is there who has not heard it.
    pub(crate) fn insert(
        &self,
        brought: &Hint,
        user: &UserId,
        session: &Arc<Session>,
    ) -> (Version, Audience) {
        let topic = &brought.topic;
        let mut shard = self.shard(topic).lock();
        let held = shard.entry(topic.clone()).or_insert_with(|| {
            self.followed_in(topic).fetch_add(1, Ordering::SeqCst);
            Topic::new(brought, self.next_generation().0)
        });
        let first = held.followers.sessions() == 0;
        let change = held.followers.insert(user, session);
        (held.version, if first { Audience::Turned } else { Audience::of(change) })
    }

    /// Removes a follower, and with the last one all that is known of the topic.
    pub(crate) fn remove(&self, topic: &TopicId, user: &UserId, session: &Arc<Session>) -> Audience {
        let mut shard = self.shard(topic).lock();
        let Some(held) = shard.get_mut(topic) else { return Audience::Same };
        let change = held.followers.remove(user, session);
        if held.followers.sessions() == 0 {
            shard.remove(topic);
            if shard.len() * 4 < shard.capacity() {
                let room = shard.len() * 2;
                shard.shrink_to(room);
            }
            self.followed_in(topic).fetch_sub(1, Ordering::SeqCst);
            return Audience::Turned;
        }
        Audience::of(change)
    }

    /// The name that all followers of the topic share, where it has any.
    pub(crate) fn name(&self, topic: &TopicId) -> Option<TopicId> {
        self.shard(topic).lock().get(topic).map(|held| held.name.clone())
    }

    /// The topic's version here; `None` where nobody follows it.
    pub(crate) fn version(&self, topic: &TopicId) -> Option<Version> {
        self.shard(topic).lock().get(topic).map(|held| held.version)
    }

    /// Raises a topic's version. Nobody here: answers the value of the counter as of which that is so.
    pub(crate) fn raise(&self, hint: &Hint, now: Instant) -> Result<(Raised, Stay), Generation> {
        let mut shard = self.shard(&hint.topic).lock();
        match shard.get_mut(&hint.topic) {
            Some(held) => {
                let raised = held.raise(hint.version, &self.pace, now);
                Ok((raised, Stay { topic: held.name.clone(), life: held.life }))
            }
            // Under the lock: the word about a follower who comes next has a greater one.
            None => Err(Generation(self.generation.load(Ordering::SeqCst))),
        }
    }

    /// Begins a fan-out that is due; `None` where the topic's stay has ended.
    pub(crate) fn begin(&self, stay: &Stay, now: Instant) -> Option<Begun> {
        self.with(stay, |held| held.begin(now))
    }

    /// One row of a fan-out; `false` where the topic's stay has ended.
    pub(crate) fn row(
        &self,
        stay: &Stay,
        begun: &Begun,
        number: usize,
        into: &mut Vec<Arc<Session>>,
    ) -> bool {
        self.with(stay, |held| held.followers.row(begun.rows, number, into)).is_some()
    }

    /// The version of a topic whose fan-out is under way: who is offered it from now on may as well have this one. `None` where
    /// the topic's stay has ended.
    pub(crate) fn present(&self, stay: &Stay) -> Option<Version> {
        self.with(stay, |held| held.version)
    }

    /// Ends a fan-out; answers when the topic's next is due, where a newer version waits.
    pub(crate) fn end(&self, stay: &Stay, now: Instant) -> Option<Instant> {
        self.with(stay, |held| held.end(&self.pace, now)).flatten()
    }

    /// What the channel service is to know of a topic now.
    pub(crate) fn word(&self, topic: &TopicId) -> Subscription {
        let shard = self.shard(topic).lock();
        // Under the lock: of two words the later one has the greater generation and knows more.
        let generation = self.next_generation();
        let (followers, version) =
            shard.get(topic).map_or((0, Version::ZERO), |held| (held.followers.users(), held.version));
        Subscription { topic: topic.clone(), generation, followers, version }
    }

    /// The topics followed in one of a partition's shards.
    pub(crate) fn followed(&self, partition: Partition, shard: usize) -> Vec<TopicId> {
        let shard = self.shards[partition.index() * SHARDS_PER_PARTITION + shard].lock();
        shard.values().map(|held| held.name.clone()).collect()
    }

    /// A walk over a topic's present followers, for what is no version: `None` where it has none.
    pub(crate) fn walk(&self, topic: &TopicId) -> Option<(Stay, Begun)> {
        let shard = self.shard(topic).lock();
        let held = shard.get(topic)?;
        let (sessions, rows) = (held.followers.sessions(), held.followers.rows());
        let stay = Stay { topic: held.name.clone(), life: held.life };
        Some((stay, Begun { version: held.version, sessions, rows }))
    }

    /// How many topics are followed in a partition.
    pub(crate) fn followed_count(&self, partition: Partition) -> usize {
        self.followed[partition.index()].load(Ordering::SeqCst)
    }

    pub(crate) const fn partitions(&self) -> Partitions {
        self.partitions
    }

    fn with<T>(&self, stay: &Stay, work: impl FnOnce(&mut Topic) -> T) -> Option<T> {
        let mut shard = self.shard(&stay.topic).lock();
        shard.get_mut(&stay.topic).filter(|held| held.life == stay.life).map(work)
    }

    fn next_generation(&self) -> Generation {
        Generation(self.generation.fetch_add(1, Ordering::SeqCst)).next()
    }

    fn followed_in(&self, topic: &TopicId) -> &AtomicUsize {
        &self.followed[self.partitions.of_topic(topic).index()]
    }

    fn shard(&self, topic: &TopicId) -> &Mutex<HashMap<TopicId, Topic>> {
        // The low bits choose the partition; these are others.
        let high = xxh3_64(topic.as_str().as_bytes()) >> 32;
        let within = usize::try_from(high).expect("32 bits fit") % SHARDS_PER_PARTITION;
        &self.shards[self.partitions.of_topic(topic).index() * SHARDS_PER_PARTITION + within]
    }
}

impl Begun {
    /// Rows to walk over.
    pub(crate) const fn rows_count(&self) -> usize {
        self.rows.count()
    }
}

#[cfg(test)]
mod tests;
