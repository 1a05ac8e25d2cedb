//! What the binary around this crate hands in.

use std::path::{Path, PathBuf};

use crate::tokens::Mint;

/// What the binary around it knows and this crate does not.
pub struct Host {
    /// Its version.
    pub build: String,
    /// Itself: servers of the tool's own, the bare loop and processes with sockets are this as well.
    pub binary: PathBuf,
    /// The command as it was given.
    pub command: String,
    /// Now, in milliseconds since the epoch.
    pub now_ms: u64,
    /// Raises the limit of open files as far as this process may, and says what it is.
    pub files: fn() -> u64,
    /// Reads a key file, as `doorbell token` does, for tokens that grant these topics.
    pub mint: ReadKey,
}

/// Makes what makes tokens, of a key file; they grant these topics.
pub type ReadKey = fn(&Path, &[String]) -> anyhow::Result<Box<dyn Mint>>;
