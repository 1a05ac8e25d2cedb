//! Users who were to be rung and had no session: where sleeping phones are woken from.

use async_trait::async_trait;
use doorbell_protocol::{DirtyMap, UserId};

use crate::Error;

/// One user who was not rung.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missed {
    /// Who.
    pub user: UserId,
    /// With what.
    pub news: DirtyMap,
}

/// Hears of them, in the process that found them offline. It is for waking people up, never for correctness: who comes
/// back asks `topics.changes`.
pub trait OfflineHook: Send + Sync {
    /// Takes note, at once: what it has no room for is dropped and counted.
    fn missed(&self, missed: Vec<Missed>);
}

/// Knows what users do not want to be woken for: message-svc.
#[async_trait]
pub trait Mutes: Send + Sync {
    /// The same without the topics that their user has muted, and without users who have nothing left.
    ///
    /// *Ordering*: reads what is committed when it is called, or later.
    async fn unmuted(&self, missed: Vec<Missed>) -> Result<Vec<Missed>, Error>;
}
