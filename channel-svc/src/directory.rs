//! The directory: which gateways subscribe to a topic, sharded by topic, in memory.

mod shard;
#[cfg(test)]
mod tests;

use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroUsize;
use std::sync::Arc;

use doorbell_protocol::{Generation, TopicId, Version};
use doorbell_rpc::{ChannelLife, Subscription};
use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use crate::line::{Ended, Line, Offered};
use shard::Shard;

/// Every subscription. The rules are those of one shard; here they get locks, each held for one topic.
#[derive(Debug)]
pub(crate) struct Directory {
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
}

/// What became of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// The subscription is held, as it was.
    Current,
    /// It has begun: what was published before, while nobody here knew of it, was told to nobody.
    Began,
    /// It is held, and its version is greater than any that is known: it is to be published.
    Newer,
    /// It has ended.
    Ended,
    /// A later word was taken before: nothing has changed.
    Stale,
    /// The gateway has as many subscriptions as it may, or is forgotten: nothing is held.
    Refused,
}

/// What became of a version that was told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// Gateways for which it waits now.
    pub(crate) gateways: usize,
    /// Those of them where it replaced a smaller one.
    pub(crate) conflated: usize,
}

impl Told {
    fn count(&mut self, offered: Offered) {
        match offered {
            Offered::Waits => self.gateways += 1,
            Offered::Conflated => {
                self.gateways += 1;
                self.conflated += 1;
            }
            Offered::Refused => {}
        }
    }
}

impl Directory {
    pub(crate) fn new(shards: NonZeroUsize) -> Self {
        Self { shards: (0..shards.get()).map(|_| Mutex::default()).collect(), hasher: RandomState::new() }
    }

    /// Takes a gateway's word about a topic, unless a later one was taken (CH-4).
    pub(crate) fn take(&self, line: &Arc<Line>, word: &Subscription, now: Instant) -> Taken {
        self.shard(&word.topic).take(line, word, now)
    }

    /// Ends a subscription that is not newer than `up_to` (CH-4). Whether there was one.
    pub(crate) fn leave(&self, line: &Line, topic: &TopicId, up_to: Generation, now: Instant) -> bool {
        self.shard(topic).leave(line, topic, up_to, now)
    }

    /// Forgets that a subscription has ended, unless something was said since.
    pub(crate) fn bury(&self, life: ChannelLife, ended: &Ended) {
        self.shard(&ended.topic).bury(life, ended);
    }

    /// Forgets whatever is held for a line.
    pub(crate) fn forget(&self, life: ChannelLife, topic: &TopicId) {
        self.shard(topic).forget(life, topic);
    }

    /// Lets a stored version wait for each gateway that subscribes to the topic and has not been told of it.
    pub(crate) fn tell(&self, topic: &TopicId, version: Version) -> Told {
        self.shard(topic).tell(topic, version)
    }

    /// The greatest version that is known to have been stored; zero where nothing is held.
    pub(crate) fn version(&self, topic: &TopicId) -> Version {
        self.shard(topic).version(topic)
    }

    /// The topics named by `of`, each with the greatest version that is known to have been stored, one lock after the other.
    pub(crate) fn known(&self, of: impl Fn(&TopicId) -> bool) -> Vec<(TopicId, Version)> {
        let mut known = Vec::new();
        for shard in &self.shards {
            shard.lock().known(&of, &mut known);
        }
        known
    }

    /// Followers at all gateways.
    pub(crate) fn followers(&self, topic: &TopicId) -> u64 {
        self.shard(topic).followers(topic)
    }

    /// Topics for which something is held.
    pub(crate) fn topics(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().topics()).sum()
    }

    fn shard(&self, topic: &TopicId) -> MutexGuard<'_, Shard> {
        let slot = self.hasher.hash_one(topic) % self.shards.len() as u64;
        self.shards[usize::try_from(slot).expect("a remainder is smaller than its divisor")].lock()
    }
}
