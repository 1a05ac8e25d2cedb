//! What a test needs and a machine may not have.

use anyhow::{Result, bail};

/// Says on a person's machine that a test is skipped, and why.
///
/// # Errors
/// In CI, where everything has to be there.
pub fn skip(why: &str) -> Result<()> {
    let ci = std::env::var_os("CI").is_some();
    if ci {
        bail!("in CI nothing is skipped: {why}");
    }
    eprintln!("SKIPPED: {why}");
    Ok(())
}
