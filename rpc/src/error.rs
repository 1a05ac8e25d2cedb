//! Why a call between services failed.

use doorbell_protocol::GatewayId;

/// A call that did not get its answer. It may have happened all the same.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody answers under that name: gone, restarting, or cut off.
    #[error("gateway {gateway} cannot be reached")]
    Unreachable {
        /// Which one.
        gateway: GatewayId,
    },
    /// It is there but has no room for more: its queue is full.
    #[error("gateway {gateway} is busy")]
    Busy {
        /// Which one.
        gateway: GatewayId,
    },
    /// A service that is not a gateway does not answer, or cannot for now.
    #[error("{service} is unavailable: {reason}")]
    Unavailable {
        /// Which one: `channel-svc`, `message-svc`.
        service: &'static str,
        /// What it, or the way to it, said.
        reason: String,
    },
}

impl Error {
    /// Whether the same call may succeed later, unchanged.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Busy { .. } | Self::Unavailable { .. } => true,
        }
    }
}
