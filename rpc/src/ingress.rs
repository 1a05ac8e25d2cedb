//! Hints from other back ends: what the HTTP door hands on to a notifier.

use async_trait::async_trait;
use doorbell_protocol::ErrorBody;
use doorbell_protocol::backends::{Ring, Rung};

/// What a notifier serves.
#[async_trait]
pub trait Ingress: Send + Sync {
    /// Rings the users of each hint, or the followers of its topic; the answers stand in the order of the hints.
    ///
    /// *Ordering*: what is refused is refused before anything happens.
    /// *Repeats*: harmless, versions merge.
    /// *Cancel safety*: a dropped call may have rung some users; repeat it.
    ///
    /// # Errors
    /// The error object for the caller, as it stands: `hints[3].topic` and the like name the place. After `unavailable`
    /// some users may have been rung.
    async fn ring(&self, rings: Vec<Ring>) -> Result<Vec<Rung>, ErrorBody>;
}
