//! One partition's channels in memory, in the order of their last changes. No clock, no lock.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU32;
use std::ops::Bound::{Excluded, Unbounded};

use doorbell_protocol::{Hint, Raise, Timestamp, TopicId, Version};

use crate::versions::raised;
use crate::{ChangeCounter, Look, PartitionIdentity};

/// The channels of one partition.
#[derive(Debug)]
pub(super) struct Changes {
    topics_max: usize,
    /// The latest time seen. A time that went back could give a forgotten topic a version that it had before.
    now: Timestamp,
    /// The last change.
    counter: ChangeCounter,
    /// The latest change of a topic that was forgotten: a look from before it cannot be answered.
    forgotten: ChangeCounter,
    topics: HashMap<TopicId, Stored>,
    /// Each topic once, under its last change.
    order: BTreeMap<ChangeCounter, TopicId>,
}

#[derive(Clone, Copy, Debug)]
struct Stored {
    version: Version,
    changed: ChangeCounter,
}

impl Changes {
    /// No channel yet; never more than `topics_max`.
    pub(super) fn new(topics_max: NonZeroU32) -> Self {
        Self {
            topics_max: topics_max.get() as usize,
            now: Timestamp::default(),
            counter: ChangeCounter::default(),
            forgotten: ChangeCounter::default(),
            topics: HashMap::new(),
            order: BTreeMap::new(),
        }
    }

    /// Raises a topic and answers its version. [`Self::make_room`] is to follow.
    pub(super) fn raise(&mut self, topic: TopicId, raise: Raise, now: Timestamp) -> Version {
        self.now = self.now.max(now);
        let before = self.topics.get(&topic).copied();
        let stored = before.map_or(Version::ZERO, |before| before.version);
        let version = raised(stored, raise, self.now);
        if version == stored {
            return stored;
        }
        if let Some(before) = before {
            self.order.remove(&before.changed);
        }
        self.counter = self.counter.next();
        self.order.insert(self.counter, topic.clone());
        self.topics.insert(topic, Stored { version, changed: self.counter });
        version
    }

    /// The longest unchanged topics make room for those that are new.
    pub(super) fn make_room(&mut self) {
        while self.topics.len() > self.topics_max {
            let Some((changed, topic)) = self.order.pop_first() else { return };
            self.topics.remove(&topic);
            self.forgotten = changed;
        }
    }

    /// A topic's stored version.
    pub(super) fn read(&self, topic: &TopicId) -> Version {
        self.topics.get(topic).map_or(Version::ZERO, |stored| stored.version)
    }

    /// What changed after `since`, in a store of this identity.
    pub(super) fn look(
        &self,
        since: Option<ChangeCounter>,
        changes_max: usize,
        identity: PartitionIdentity,
    ) -> Look {
        let since = since.unwrap_or(self.counter);
        if since < self.forgotten || since > self.counter {
            return Look { identity, counter: self.counter, changed: None, more: false };
        }
        let mut later = self.order.range((Excluded(since), Unbounded));
        let (mut counter, mut changed) = (since, Vec::new());
        for (at, topic) in later.by_ref().take(changes_max) {
            changed.push(Hint { topic: topic.clone(), version: self.read(topic) });
            counter = *at;
        }
        Look { identity, counter, changed: Some(changed), more: later.next().is_some() }
    }
}
