//! Why a back-end did not answer.

/// The back-end could not do it. Whether it happened is unknown; every operation may be repeated.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store behind the back-end does not answer, or refuses writes for now.
    #[error("the backplane is unavailable: {reason}")]
    Unavailable {
        /// What the store said.
        reason: String,
    },
}
