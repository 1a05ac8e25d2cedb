//! The browser that the end-to-end tests drive.

use anyhow::{Context, Result};

use super::debian;
use crate::process::output;

const NAMES: &[&str] = &["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];

/// Where Chromium is; it is installed where it is missing. `CHROMIUM` names another one.
///
/// # Errors
/// Where it can neither be found nor installed.
pub fn ensure() -> Result<String> {
    if let Some(named) = std::env::var_os("CHROMIUM") {
        return named.into_string().ok().context("CHROMIUM is not UTF-8");
    }
    if let Some(found) = find() {
        return Ok(found);
    }
    debian::install(&["chromium"], "the browser tests")?;
    find().context("chromium was installed and cannot be found")
}

fn find() -> Option<String> {
    NAMES.iter().find_map(|name| output("sh", &["-c", "command -v \"$0\"", name]))
}
