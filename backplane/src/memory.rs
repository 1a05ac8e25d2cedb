//! The memory back-end: for one process, for development and for tests.
//!
//! The rules live in pure code ([`crate::queue::entry`], [`crate::registry::lease`], [`crate::registry::entries`],
//! [`crate::versions::raised`]); here they get storage, a clock and a bell, one lock a partition for its users, one
//! for its channels and one for its buckets. A lock is held for the users of one call, never across an await. What is kept ends with the
//! process: clients catch up by their cursors.

mod backlog;
mod buckets;
mod changes;
mod directory;
mod discovery;
mod partition_state;
mod queue;
mod registry;
mod versions;

use std::fmt;
use std::sync::Arc;

use doorbell_protocol::{Clock, Timestamp, UserId};
use parking_lot::{Mutex, MutexGuard};

pub use backlog::DeadLetter;
use buckets::Kept;
use changes::Changes;
use discovery::Said;
pub use partition_state::PartitionState;

use crate::bell::Bell;
use crate::queue::entry::UserState;
use crate::{ClaimToken, Config, Partition, PartitionIdentity, Partitions};

/// Where 128 random bits come from. Tests pass a counter.
pub type RandomBits = Arc<dyn Fn() -> u128 + Send + Sync>;

/// A hint queue, a session registry, the versions of channels, the list of processes and the buckets of throttles, in this
/// process.
pub struct Memory {
    partitions: Partitions,
    states: Box<[Mutex<PartitionState>]>,
    /// Apart from the users: a look at many changes keeps no claim waiting.
    channels: Box<[Mutex<Changes>]>,
    buckets: Box<[Mutex<Kept>]>,
    throttle_buckets_max: usize,
    /// Who is there.
    said: Mutex<Said>,
    bell: Bell,
    clock: Clock,
    random: RandomBits,
    /// What this life of the store is: random, so that no other life has it.
    identity: u128,
}

impl Memory {
    /// An empty back-end whose time is `clock`'s.
    #[must_use]
    pub fn new(config: &Config, clock: Clock) -> Self {
        Self::with_random(config, clock, Arc::new(rand::random::<u128>))
    }

    /// As [`Memory::new`], with claim tokens and the identity from `random`.
    #[must_use]
    pub fn with_random(config: &Config, clock: Clock, random: RandomBits) -> Self {
        let partitions = Partitions::new(config.partitions);
        let state = |_| Mutex::new(PartitionState::new(config.dead_letters_max));
        Self {
            partitions,
            states: partitions.all().map(state).collect(),
            channels: partitions.all().map(|_| Mutex::new(Changes::new(config.channel_topics_max))).collect(),
            buckets: partitions.all().map(|_| Mutex::default()).collect(),
            throttle_buckets_max: config.throttle_buckets_max.get() as usize,
            said: Mutex::new(Said::default()),
            bell: Bell::new(partitions.count()),
            clock,
            identity: random(),
            random,
        }
    }

    /// A user's state in the queue, for tests and for an operator's questions.
    #[must_use]
    pub fn user(&self, user: &UserId) -> UserState {
        self.lock(self.partitions.of(user)).user(user)
    }

    /// The last maps of a partition that were given up, the oldest first; at most [`Config::dead_letters_max`].
    #[must_use]
    pub fn dead_letters(&self, partition: Partition) -> Vec<DeadLetter> {
        self.lock(partition).dead_letters().cloned().collect()
    }

    fn lock(&self, partition: Partition) -> MutexGuard<'_, PartitionState> {
        self.states[partition.index()].lock()
    }

    fn channels(&self, partition: Partition) -> MutexGuard<'_, Changes> {
        self.channels[partition.index()].lock()
    }

    fn now(&self) -> Timestamp {
        (self.clock)()
    }

    fn token(&self) -> ClaimToken {
        ClaimToken((self.random)())
    }

    fn identity(&self, partition: Partition) -> PartitionIdentity {
        PartitionIdentity(format!("{}{:032x}-{partition}", PartitionIdentity::IN_MEMORY, self.identity))
    }

    /// Does `each` for every item, one lock a partition, in the order given within a partition. `each` gets the
    /// item's place in the call, so that answers find theirs. Answers the partitions that have more ready users now.
    fn for_each<T>(
        &self,
        items: impl IntoIterator<Item = T>,
        user: impl Fn(&T) -> &UserId,
        mut each: impl FnMut(&mut PartitionState, usize, T, Timestamp),
    ) -> Vec<Partition> {
        let keyed = items.into_iter().enumerate();
        let mut keyed: Vec<_> = keyed.map(|(at, item)| (self.partitions.of(user(&item)), at, item)).collect();
        keyed.sort_unstable_by_key(|(partition, at, _)| (*partition, *at));

        let mut items = keyed.into_iter().peekable();
        let mut fuller = Vec::new();
        while let Some(partition) = items.peek().map(|(partition, _, _)| *partition) {
            let now = self.now();
            let mut state = self.lock(partition);
            let ready_before = state.ready_count();
            while let Some((_, at, item)) = items.next_if(|(own, _, _)| *own == partition) {
                each(&mut state, at, item, now);
            }
            if state.ready_count() > ready_before {
                fuller.push(partition);
            }
        }
        fuller
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("partitions", &self.partitions).finish_non_exhaustive()
    }
}
