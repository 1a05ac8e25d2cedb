//! The hint queue: which users have news, and who is telling them.

pub mod ages;
pub mod entry;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use doorbell_protocol::{DirtyMap, GatewayId, Hint, Stamp, Timestamp, UserId};

use crate::{Entry, Error, Partition, Partitions};

/// A claim that ended this often with its worker goes to the dead letters: with leases of 5 s, after
/// most of a minute in which no worker survived it.
pub const EXPIRIES_MAX: u32 = 10;

/// One piece of news for one user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserHint {
    /// For whom.
    pub user: UserId,
    /// What.
    pub news: News,
}

/// What a user can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A topic has reached a version.
    Hint(Hint),
    /// Anything may have changed.
    Resync,
    /// The user's large topics must be asked for again.
    Refollow,
}

/// What became of a call of [`HintQueue::hint`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HintReport {
    /// News that put their user into the ready list.
    pub queued: u64,
    /// News merged into the map of a user who was already queued, claimed or delayed.
    pub merged: u64,
    /// Users without any entry, each once: nothing was stored for them.
    pub offline: Vec<UserId>,
}

/// The proof of a claim: 128 random bits. It cannot repeat after a fail-over, as a counter could.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClaimToken(pub u128);

impl fmt::Debug for ClaimToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// One user in a worker's hands, until it is settled, released, or its lease ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Whom to ring.
    pub user: UserId,
    /// What settles or releases this claim, and nothing else.
    pub token: ClaimToken,
    /// What was set aside: what to tell.
    pub dirty: DirtyMap,
    /// Every entry of the user, live or dead, read in the same operation.
    pub entries: Vec<Entry>,
    /// When the oldest news of the map came in, by the back-end's clock.
    pub since: Timestamp,
}

/// How a claim went at each of the user's gateways.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// Whose claim.
    pub user: UserId,
    /// The claim's token.
    pub token: ClaimToken,
    /// Gateways that answered absent, each with the stamp they answered: entries up to it are removed.
    pub absent: Vec<(GatewayId, Stamp)>,
    /// Entries whose gateway could not be reached. Where one of their leases is live, the user is delayed.
    pub unreachable: Vec<Entry>,
}

/// What a settlement did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// What was set aside is gone. `requeued`: newer news came meanwhile. `online`: an entry on a live gateway is
    /// left; where there is none, the user goes to the offline hook.
    Acked {
        /// The user stands in the ready list again.
        requeued: bool,
        /// The user still has an entry whose gateway's lease is live.
        online: bool,
    },
    /// A gateway out of reach still holds its lease: the map was merged back and waits out the delay.
    Delayed,
    /// The token is not that of a live claim: nothing changed.
    Stale,
}

/// The queue of users with news.
///
/// All operations take many users, are atomic for each user, and may be repeated: hints merge, tokens make a late
/// settlement harmless. Time is the back-end's own.
#[async_trait]
pub trait HintQueue: Send + Sync {
    /// How users are spread.
    fn partitions(&self) -> Partitions;

    /// Merges each piece of news into its user's fresh map, and queues the user unless queued, claimed or delayed.
    /// For a user without any entry, live or dead, nothing is stored: the report names them as offline, even where
    /// news from the time of an entry still wait.
    ///
    /// *Cancel safety*: a dropped call may have happened for some users; repeat it.
    async fn hint(&self, hints: Vec<UserHint>) -> Result<HintReport, Error>;

    /// Claims up to `users_max` users of a partition for `lease`, in the order in which they became ready. First,
    /// claims whose lease is over are merged back and offered again, then delays that are over end: at most
    /// `users_max` of each in a call, soonest first (users with the same end by their ids' bytes), behind those who
    /// are ready already.
    ///
    /// A lease that is over still settles until a claim ends it. At its [`EXPIRIES_MAX`]th end since the user's last
    /// settlement, what was set aside goes to the dead letters, and the user is told `resync` instead. A user whose
    /// entries went meanwhile is claimed like any other, with none: settling it answers that they are offline.
    ///
    /// *Cancel safety*: a claim that is not returned ends with its lease and is offered again (BP-3).
    async fn claim(
        &self,
        partition: Partition,
        users_max: usize,
        lease: Duration,
    ) -> Result<Vec<Claim>, Error>;

    /// Settles claims of a partition, in the order given. For each live token, in one operation: entries named absent
    /// are removed by their stamp; then, if an unreachable gateway's lease is live, the user is delayed by `delay`;
    /// else what was set aside is dropped, and the user is queued again if newer news came meanwhile. An entry of a dead
    /// gateway is left to the sweep.
    async fn settle(
        &self,
        partition: Partition,
        settlements: Vec<Settlement>,
        delay: Duration,
    ) -> Result<Vec<Settled>, Error>;

    /// Gives claims back untried: what was set aside is merged back, and the user is ready again after `delay`, at
    /// once where it is zero. A token that is not live changes nothing.
    async fn release(
        &self,
        partition: Partition,
        claims: Vec<(UserId, ClaimToken)>,
        delay: Duration,
    ) -> Result<(), Error>;

    /// Waits until a partition may have users ready. It may wake for nothing, and a ring may be lost, so a worker also
    /// looks by itself once a second: the bell is for speed, never for correctness. One ring wakes one waiter.
    ///
    /// *Cancel safety*: a dropped wait loses no ring.
    async fn bell(&self) -> Partition;

    /// How the queue stands, over all partitions.
    async fn depth(&self) -> Result<QueueDepth, Error>;
}

/// How the queue stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueDepth {
    /// Users in the ready list.
    pub ready: u64,
    /// Users under a live claim.
    pub claimed: u64,
    /// Users waiting out a delay.
    pub delayed: u64,
    /// Claims that ended with their worker, since the store's start.
    pub expiries: u64,
    /// Maps that were given up, since the store's start.
    pub dead_letters: u64,
    /// How long the oldest news have waited, claimed or not.
    pub oldest: Duration,
}
