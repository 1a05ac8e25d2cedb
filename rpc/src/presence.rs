//! Who comes and who goes: what gateways and the sweep tell the service that says who is there.

use async_trait::async_trait;
use doorbell_protocol::UserId;

use crate::Error;

/// Which way somebody went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Way {
    /// The user's first session at a gateway is entered.
    Came,
    /// The user's last session at a gateway ended a while ago, or the gateway itself did.
    Went,
}

/// One user who came to, or went from, one gateway. Whether they are there at all, the registry knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// Who.
    pub user: UserId,
    /// Which way.
    pub way: Way,
}

/// What message-svc serves: it alone knows who does not want to be seen.
#[async_trait]
pub trait Presence: Send + Sync {
    /// Takes note of each move, and publishes `presence:<user>` for whoever may be seen to have moved.
    ///
    /// *Ordering*: called when the registry shows the move already, so that who pulls after the hint sees it.
    /// *Repeats*: harmless; one costs a hint.
    /// *Cancel safety*: a dropped call may have published some; repeat it.
    ///
    /// # Errors
    /// Nothing is known to be published: repeat it.
    async fn moved(&self, moves: Vec<Move>) -> Result<(), Error>;
}

/// Where nobody shows who is there: what is told is dropped.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoPresence;

#[async_trait]
impl Presence for NoPresence {
    async fn moved(&self, _: Vec<Move>) -> Result<(), Error> {
        Ok(())
    }
}
