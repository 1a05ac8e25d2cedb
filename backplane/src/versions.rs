//! The versions of channels: the one thing about a large audience that outlives every process but this store.

use async_trait::async_trait;
use doorbell_protocol::{Hint, Raise, TopicId, Version};

use crate::{Error, Partition, PartitionIdentity, Partitions};

/// How far a gateway has looked at one partition of topics. The default has seen nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChangeCounter(pub u64);

/// What one look at a partition shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// The store that answered. Another one than at the last look: nothing seen there counts, read every followed
    /// topic of the partition again, and hint `resync` to every session that follows one.
    pub identity: PartitionIdentity,
    /// Everything up to here has been shown: where the next look begins.
    pub counter: ChangeCounter,
    /// Every topic of the partition that changed after the counter asked for, with its stored version, in the order
    /// of their last changes; at most `changes_max`. Not only those that the asker follows: it compares with its
    /// index when the answer is there, so that a follower who came meanwhile misses nothing.
    pub changed: Vec<Hint>,
    /// There is more after `counter`: look again at once.
    pub more: bool,
}

/// The stored version of each channel.
///
/// Topics are spread over the same number of partitions as users, each with a counter of changes. Versions only grow
/// within one identity of a partition; [`Raise::Next`] goes by the back-end's time. A topic that has not changed for
/// very long may be forgotten; it then reads as [`Version::ZERO`], which raises nobody.
#[async_trait]
pub trait Versions: Send + Sync {
    /// How topics are spread.
    fn partitions(&self) -> Partitions;

    /// Raises each topic and answers its stored version after that, in the order asked. A raise that changes nothing
    /// moves no counter.
    ///
    /// *Ordering*: when it returns, every later [`Versions::read`] and [`Versions::look`] shows it.
    /// *Repeats*: a repeated [`Raise::To`] changes nothing; a repeated [`Raise::Next`] moves the version once more,
    /// which costs a hint.
    async fn raise(&self, raises: Vec<(TopicId, Raise)>) -> Result<Vec<Version>, Error>;

    /// The stored versions, in the order asked; [`Version::ZERO`] where nothing is stored.
    async fn read(&self, topics: Vec<TopicId>) -> Result<Vec<Version>, Error>;

    /// What changed in each partition after the counter given; answers in the order asked. A counter that the
    /// partition has not reached, or whose changes it no longer knows, is answered as if it were the default: from
    /// the start. Without a counter nothing is shown: the answer's identity and counter are where to begin, so that
    /// who begins to look, and reads what it follows after that, misses nothing and does not leaf through the past.
    async fn look(
        &self,
        since: Vec<(Partition, Option<ChangeCounter>)>,
        changes_max: usize,
    ) -> Result<Vec<Look>, Error>;
}
