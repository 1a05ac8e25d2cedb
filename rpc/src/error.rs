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
}

impl Error {
    /// Whether the same call may succeed later, unchanged.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Busy { .. } => true,
        }
    }
}
