//! Ring the users, or the followers, of one gateway.

use async_trait::async_trait;
use doorbell_protocol::{DirtyMap, GatewayId, Generation, Hint, Stamp, UserId};

use crate::{Error, SignalRequest};

/// One user to ring: what they have not been told yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliverRequest {
    /// Whom.
    pub user: UserId,
    /// With what.
    pub dirty: DirtyMap,
}

/// What became of one user of a batch. An expected outcome, not an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// Merged into that many sessions, each of which writes it as soon as its socket takes it.
    Sessions(u32),
    /// The hints are with the user's sessions, but what the dirty map asks for beside is not done: the user's large
    /// topics could not be asked for in time ([`DirtyMap::refollow`]). Nothing of the map is acked: offer it again.
    Later,
    /// No session of this user here. The stamp is the gateway's epoch for the user's partition and the value of
    /// its generation counter: an entry up to it is stale and may be removed, a newer one may not.
    Absent(Stamp),
}

/// What became of one topic of a publish at a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It has followers here; the gateway's version of the topic is at least the one published, and they are being told.
    Followed,
    /// Nobody follows it here, as of this value of the gateway's counter: a subscription up to it is stale and may be
    /// removed, a newer one may not.
    Unfollowed(Generation),
}

/// What one gateway serves.
#[async_trait]
pub trait GatewayApi: Send + Sync {
    /// Rings each user of the batch; the answers stand in the order of the requests.
    ///
    /// *Ordering*: when it returns, each hint is in the memory of each session that it counts, merged. Where the map
    /// says `refollow`, the user's sessions follow what message-svc answered after the call came, and are hinted that.
    /// *Repeats*: harmless, versions merge.
    async fn deliver(&self, batch: Vec<DeliverRequest>) -> Result<Vec<Delivered>, Error>;

    /// Tells the followers of each topic its version; the answers stand in the order of the hints.
    ///
    /// *Ordering*: when it returns, the gateway's version of each topic is raised; the fan-out may still run, and
    /// takes the greatest version that waits. *Repeats*: harmless.
    async fn publish(&self, hints: Vec<Hint>) -> Result<Vec<Heard>, Error>;

    /// Writes a signal to each session of these users whose socket takes it at once; the others never hear of it.
    ///
    /// *Repeats*: heard twice. Never repeat one.
    ///
    /// # Errors
    /// [`Error::Busy`] where too many are under way: dropped.
    async fn signal(&self, request: SignalRequest) -> Result<(), Error>;
}

/// All gateways, by name: what notifiers and the other services call.
#[async_trait]
pub trait Gateways: Send + Sync {
    /// As [`GatewayApi::deliver`], at the gateway named.
    ///
    /// *Cancel safety*: a dropped call may have rung some users; ring them again.
    ///
    /// # Errors
    /// [`Error::Unreachable`] where nobody answers under that name: the users stay claimed, the caller delays them.
    async fn deliver(&self, gateway: &GatewayId, batch: Vec<DeliverRequest>)
    -> Result<Vec<Delivered>, Error>;

    /// As [`GatewayApi::publish`], at the gateway named.
    ///
    /// *Cancel safety*: a dropped call may have told some; tell it again.
    ///
    /// # Errors
    /// [`Error::Unreachable`] where nobody answers under that name; the gateway finds out by its look.
    async fn publish(&self, gateway: &GatewayId, hints: Vec<Hint>) -> Result<Vec<Heard>, Error>;

    /// As [`GatewayApi::signal`], at the gateway named.
    ///
    /// *Cancel safety*: a dropped call may have been heard by some.
    ///
    /// # Errors
    /// [`Error::Unreachable`] where nobody answers under that name, [`Error::Busy`]: dropped.
    async fn signal(&self, gateway: &GatewayId, request: SignalRequest) -> Result<(), Error>;
}
