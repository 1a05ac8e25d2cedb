//! Hints and the rule that merges them: of many versions of a topic, the greatest says it all.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::TopicId;
use crate::version::Version;

/// Topics that a dirty map or an outbox holds before it collapses.
pub const TOPICS_MAX: usize = 64;

/// "Topic T has reached version V".
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Hint {
    /// What changed.
    pub topic: TopicId,
    /// The version that it has reached, at least.
    pub version: Version,
}

/// How far a publish moves a topic that has its version stored apart from any log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Raise {
    /// To this version, where that is greater than the stored one.
    To(Version),
    /// To max(stored + 1, the time of the store in ms since the epoch): for a topic that nobody else counts, as
    /// `presence:<user>`.
    Next,
}

/// What a user has not been told yet: one version a topic, at most [`TOPICS_MAX`] topics, or `resync`.
///
/// Past the cap the topics are dropped and `resync` ("anything may have changed") says it for all of them,
/// so that the size stays constant whatever happens. A refollow mark lies beside the topics, is no topic,
/// and survives the collapse.
///
/// Reading one merges what was written, so that the cap and the collapse hold wherever it comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written")]
pub struct DirtyMap {
    topics: BTreeMap<TopicId, Version>,
    resync: bool,
    refollow: bool,
}

impl DirtyMap {
    /// Merges one hint; the greatest version of a topic stays.
    pub fn hint(&mut self, hint: Hint) {
        if self.resync {
            return;
        }
        let full = self.topics.len() >= TOPICS_MAX;
        match self.topics.get_mut(&hint.topic) {
            Some(version) => *version = (*version).max(hint.version),
            None if full => self.mark_resync(),
            None => {
                self.topics.insert(hint.topic, hint.version);
            }
        }
    }

    /// Collapses to `resync`: the topics are dropped, a refollow mark stays.
    pub fn mark_resync(&mut self) {
        self.resync = true;
        self.topics.clear();
    }

    /// Marks that the user's large topics must be asked for again.
    pub fn mark_refollow(&mut self) {
        self.refollow = true;
    }

    /// Merges all of `other`; the order of merges makes no difference.
    pub fn merge(&mut self, other: Self) {
        self.refollow |= other.refollow;
        if other.resync {
            self.mark_resync();
        }
        for (topic, version) in other.topics {
            self.hint(Hint { topic, version });
        }
    }

    /// Forgets the topics that `keep` refuses; the marks stay.
    pub fn retain(&mut self, mut keep: impl FnMut(&TopicId) -> bool) {
        self.topics.retain(|topic, _| keep(topic));
    }

    /// Nothing to tell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.topics.is_empty() && !self.resync && !self.refollow
    }

    /// The topics with their versions; empty after a collapse.
    #[must_use]
    pub const fn topics(&self) -> &BTreeMap<TopicId, Version> {
        &self.topics
    }

    /// Whether anything may have changed.
    #[must_use]
    pub const fn resync(&self) -> bool {
        self.resync
    }

    /// Whether the user's large topics must be asked for again. A `resync` is a refollow as well.
    #[must_use]
    pub const fn refollow(&self) -> bool {
        self.refollow || self.resync
    }
}

/// A dirty map as it was written, by this version or another.
#[derive(Deserialize)]
#[serde(rename = "DirtyMap")]
struct Written {
    #[serde(default)]
    topics: BTreeMap<TopicId, Version>,
    #[serde(default)]
    resync: bool,
    #[serde(default)]
    refollow: bool,
}

impl From<Written> for DirtyMap {
    fn from(Written { topics, resync, refollow }: Written) -> Self {
        let mut map = Self { topics: BTreeMap::new(), resync, refollow };
        for (topic, version) in topics {
            map.hint(Hint { topic, version });
        }
        map
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(topic: usize, version: u64) -> Hint {
        Hint {
            topic: TopicId::new(format!("t:{topic:03}")).unwrap(),
            version: Version::new(version).unwrap(),
        }
    }

    #[test]
    fn the_greatest_version_stays() {
        let mut map = DirtyMap::default();
        for version in [3, 5, 4] {
            map.hint(hint(0, version));
        }
        assert_eq!(map.topics().values().copied().map(Version::get).collect::<Vec<_>>(), [5]);
    }

    #[test]
    fn past_the_cap_it_collapses_and_keeps_the_refollow_mark() {
        let mut map = DirtyMap::default();
        map.mark_refollow();
        for topic in 0..TOPICS_MAX {
            map.hint(hint(topic, 1));
        }
        map.hint(hint(0, 2));
        assert!(!map.resync(), "a known topic needs no room");
        map.hint(hint(TOPICS_MAX, 1));
        assert!(map.resync() && map.topics().is_empty() && map.refollow);
    }

    #[test]
    fn merging_two_maps_is_the_same_either_way() {
        let mut left = DirtyMap::default();
        left.hint(hint(1, 1));
        let mut right = DirtyMap::default();
        right.hint(hint(1, 2));
        right.mark_refollow();
        let mut a = left.clone();
        a.merge(right.clone());
        right.merge(left);
        assert_eq!(a, right);
    }

    #[test]
    fn a_map_that_is_read_keeps_its_cap() {
        let mut map = DirtyMap::default();
        map.hint(hint(1, 1));
        map.mark_refollow();
        let text = serde_json::to_string(&map).unwrap();
        assert_eq!(serde_json::from_str::<DirtyMap>(&text).unwrap(), map);

        let topics: BTreeMap<_, _> = (0..=TOPICS_MAX).map(|topic| (hint(topic, 1).topic, 1)).collect();
        let many: DirtyMap = serde_json::from_value(serde_json::json!({ "topics": topics })).unwrap();
        assert!(many.resync() && many.topics().is_empty());
        let both = r#"{"topics": {"t:1": 1}, "resync": true}"#;
        assert!(serde_json::from_str::<DirtyMap>(both).unwrap().topics().is_empty());
    }
}
