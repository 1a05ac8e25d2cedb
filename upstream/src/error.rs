//! Why there is no upstream, or no answer.

use std::io;

use crate::config::InvalidConfig;

/// What broke a request, of whichever library.
type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why the upstream cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its address is none.
    #[error(transparent)]
    Config(#[from] InvalidConfig),
    /// The secret cannot stand in a header.
    #[error("the secret of `upstream` must be one line of visible ASCII characters")]
    Secret,
    /// `https` needs them.
    #[error(
        "`upstream.url`: no certificates of authorities on this system: install ca-certificates, or set SSL_CERT_FILE"
    )]
    Certificates(#[source] io::Error),
}

/// Why one request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// The connection was not made.
    #[error("it cannot be reached")]
    Unreachable(#[source] Cause),
    /// It took too long.
    #[error("it did not answer in time")]
    Late,
    /// The connection ended, or what came was no HTTP.
    #[error("its answer broke off")]
    Broken(#[source] Cause),
    /// The answer is larger than allowed.
    #[error("its answer is too large")]
    TooLarge,
}

impl NoAnswer {
    /// All of the labels.
    pub(crate) const LABELS: [&str; 4] = ["unreachable", "late", "broken", "answer_too_large"];

    pub(crate) const fn label(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Late => "late",
            Self::Broken(_) => "broken",
            Self::TooLarge => "answer_too_large",
        }
    }
}
