//! The versions of channels: the one thing about a large audience that outlives every process but this store.

use async_trait::async_trait;
use doorbell_protocol::{Hint, Raise, Timestamp, TopicId, Version};

use crate::{Error, Partition, PartitionIdentity, Partitions};

/// How far a gateway has looked at one partition of topics. The default is that of a partition in which nothing has
/// changed yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChangeCounter(pub u64);

impl ChangeCounter {
    /// The counter after one more change.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// What one look at a partition shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// The store that answered. Another one than at the last look: nothing seen there counts, read every followed
    /// topic of the partition again, and hint `resync` to every session that follows one, or had begun to follow one
    /// before this answer and reads it after.
    pub identity: PartitionIdentity,
    /// Where the next look begins: everything up to here has been shown, or is to be read.
    pub counter: ChangeCounter,
    /// Every topic of the partition that changed after the counter asked for, with its stored version, in the order
    /// of their last changes; at most `changes_max`. Not only those that the asker follows: it compares with its
    /// index when the answer is there, so that a follower who came meanwhile misses nothing.
    ///
    /// `None` is a gap: what changed after the counter asked for cannot be told, because some of it has been
    /// forgotten, or because the partition has not come so far. `counter` is the newest: keep it, and do as for
    /// another identity. (All that is stored would be a million hints, and would still leave out what was forgotten.)
    pub changed: Option<Vec<Hint>>,
    /// There is more after `counter`: look again at once.
    pub more: bool,
}

/// The stored version of each channel.
///
/// Topics are spread over the same number of partitions as users, each with a counter that every change moves by one.
/// Versions only grow within one identity of a partition; [`Raise::Next`] goes by the back-end's time.
///
/// A partition keeps at most [`crate::Config::channel_topics_max`] topics. One more, and the topic that has not
/// changed for the longest time is forgotten: it reads as [`Version::ZERO`], which raises nobody, and a look from
/// before its last change answers a gap. A call makes room at its end (over Redis, after each 250 topics of a
/// partition). There is room for many more topics than change while a gateway begins to follow one, so that nothing is
/// forgotten between its question what there is and its read.
#[async_trait]
pub trait Versions: Send + Sync {
    /// How topics are spread.
    fn partitions(&self) -> Partitions;

    /// Raises each topic and answers its stored version after that, in the order asked; a topic may be named twice. A
    /// raise that changes nothing moves no counter.
    ///
    /// *Ordering*: when it returns, every later [`Versions::read`] and [`Versions::look`] shows it.
    /// *Repeats*: a repeated [`Raise::To`] changes nothing; a repeated [`Raise::Next`] moves the version once more,
    /// which costs a hint.
    /// *Cancel safety*: a dropped call may have raised some of the topics; repeat it.
    async fn raise(&self, raises: Vec<(TopicId, Raise)>) -> Result<Vec<Version>, Error>;

    /// The stored versions, in the order asked; [`Version::ZERO`] where nothing is stored.
    async fn read(&self, topics: Vec<TopicId>) -> Result<Vec<Version>, Error>;

    /// What changed in each partition after the counter given; answers in the order asked. Without a counter nothing is
    /// shown: the answer's identity and counter are where to begin, so that who begins to look, and reads what it
    /// follows after that, misses nothing and does not leaf through the past.
    async fn look(
        &self,
        since: Vec<(Partition, Option<ChangeCounter>)>,
        changes_max: usize,
    ) -> Result<Vec<Look>, Error>;
}

/// The rule of a raise: the version that is stored after it. It is never smaller than before.
#[must_use]
pub fn raised(stored: Version, raise: Raise, now: Timestamp) -> Version {
    match raise {
        Raise::To(version) => version.max(stored),
        Raise::Next if stored == Version::MAX => stored,
        Raise::Next => Version::new(now.as_millis()).unwrap_or(Version::MAX).max(stored.next()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_raise_never_lowers_and_next_goes_by_the_time_or_by_one() {
        let check = |stored, raise, now, after| {
            let stored = Version::new(stored).unwrap();
            assert_eq!(raised(stored, raise, Timestamp::from_millis(now)).get(), after);
        };
        let to = |version| Raise::To(Version::new(version).unwrap());

        check(0, to(3), 100, 3);
        check(3, to(3), 100, 3);
        check(3, to(2), 100, 3);
        check(0, Raise::Next, 100, 100);
        check(99, Raise::Next, 100, 100);
        check(100, Raise::Next, 100, 101);
        check(500, Raise::Next, 100, 501);
        check(Version::MAX.get(), Raise::Next, 100, Version::MAX.get());
    }
}
