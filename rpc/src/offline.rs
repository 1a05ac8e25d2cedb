//! Users who were to be rung and had no session: where sleeping phones are woken from.

use doorbell_protocol::{DirtyMap, UserId};

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
