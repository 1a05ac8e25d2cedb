//! The session registry: at which gateways each user has sockets.

pub mod entries;
pub mod lease;

use std::time::Duration;

use async_trait::async_trait;
use doorbell_protocol::{Epoch, GatewayId, Stamp, UserId};

use crate::{Error, Partition};

/// A user has sockets at a gateway, as of a stamp.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Where.
    pub gateway: GatewayId,
    /// Made by which enter, under which lease.
    pub stamp: Stamp,
}

/// One user to enter or to leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enter {
    /// Who.
    pub user: UserId,
    /// Where, and as of what.
    pub entry: Entry,
}

/// What became of one enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entered {
    /// The entry stands, with this stamp or a greater one of the same gateway.
    Registered,
    /// The epoch's lease is not live: take a new epoch and enter again.
    LeaseLapsed,
}

/// What a partition's store is: another value means that the store was restarted, lost or replaced, and that
/// everything kept there must be registered again. It is compared; all that is read from it is whether the store
/// lives in a process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PartitionIdentity(pub String);

impl PartitionIdentity {
    /// How that of a store in memory begins; that of a Redis begins with its id.
    pub(crate) const IN_MEMORY: &str = "memory-";

    /// Whether the store lives in one process, with all who are told by it, and ends with them.
    #[must_use]
    pub fn is_in_memory(&self) -> bool {
        self.0.starts_with(Self::IN_MEMORY)
    }
}

/// A lease just taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Greater than every earlier one of the partition: max(previous + 1, the back-end's time in ms).
    pub epoch: Epoch,
    /// The store that gave it.
    pub identity: PartitionIdentity,
}

/// What became of one renewal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseRenewal {
    /// The lease is extended, in this store.
    Renewed(PartitionIdentity),
    /// The lease had ended, or another epoch took its place. A lapsed lease is never revived: take a new one, enter
    /// all sessions of the partition again, and then hint them `resync`.
    Lapsed,
}

/// Where each user's sockets are.
///
/// Leases belong to gateways, one a partition, not to users. All operations take many users and may be repeated.
/// Comparing and changing is always one operation.
#[async_trait]
pub trait Registry: Send + Sync {
    /// Takes a gateway's lease on a partition, with a new epoch; a lease it held there before ends.
    async fn take_lease(
        &self,
        gateway: &GatewayId,
        partition: Partition,
        ttl: Duration,
    ) -> Result<Lease, Error>;

    /// Extends leases that are still live to `ttl` from now; answers in the order asked.
    async fn renew_leases(
        &self,
        gateway: &GatewayId,
        leases: Vec<(Partition, Epoch)>,
        ttl: Duration,
    ) -> Result<Vec<LeaseRenewal>, Error>;

    /// Ends leases of these epochs at once: for a gateway that has closed its last session.
    async fn end_leases(&self, gateway: &GatewayId, leases: Vec<(Partition, Epoch)>) -> Result<(), Error>;

    /// Enters users; answers in the order asked. A smaller stamp than the entry's changes nothing and counts as
    /// registered.
    ///
    /// *Ordering*: when it returns `Registered`, every later [`crate::HintQueue::hint`] sees the entry.
    async fn enter(&self, enters: Vec<Enter>) -> Result<Vec<Entered>, Error>;

    /// Removes each entry whose stamp is not greater than the one given.
    async fn leave(&self, leaves: Vec<Enter>) -> Result<(), Error>;

    /// Every entry of each user, live or dead, in the order asked.
    async fn look_up(&self, users: Vec<UserId>) -> Result<Vec<Vec<Entry>>, Error>;

    /// Whether each user is online, in the order asked: whether one of their entries was made under a lease that is
    /// live. One call a partition, however many users are asked for.
    async fn online(&self, users: Vec<UserId>) -> Result<Vec<bool>, Error>;

    /// Up to `entries_max` entries of a partition whose gateway's lease has ended, for the sweep, which removes them
    /// by [`Registry::leave`] with the stamps given here. An entry of an earlier epoch of a gateway that is live has
    /// lapsed as well. In no order; asked again, it may answer the same ones.
    async fn lapsed(&self, partition: Partition, entries_max: usize) -> Result<Vec<Enter>, Error>;
}
