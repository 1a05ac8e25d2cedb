//! The Redis server that tests start for themselves.

use anyhow::Result;

use super::debian;
use crate::process::output;

/// Makes sure of `redis-server`. The service that the package may start is of no matter: tests start their own, on
/// ports of their own.
///
/// # Errors
/// Where it is missing and cannot be installed.
pub fn ensure() -> Result<()> {
    if output("redis-server", &["--version"]).is_some() {
        return Ok(());
    }
    debian::install(&["redis-server"], "the tests of the Redis back-end")
}
