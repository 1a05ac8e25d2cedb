//! The Prometheus that dashboard and alerts are tested with, and its `promtool`.

use std::process::Command;

use anyhow::{Context, Result};

use super::debian;
use crate::process::output;

/// Where the two programs are.
pub struct Prometheus {
    server: String,
    tool: String,
}

/// Finds them; they are installed where they are missing. `PROMETHEUS` and `PROMTOOL` name others.
///
/// # Errors
/// Where they can neither be found nor installed.
pub fn ensure() -> Result<Prometheus> {
    if let Some(found) = find() {
        return Ok(found);
    }
    debian::install(&["prometheus"], "the test of dashboard and alerts")?;
    find().context("prometheus was installed and cannot be found")
}

fn find() -> Option<Prometheus> {
    let named = |variable: &str, name: &str| {
        let named = std::env::var_os(variable).and_then(|path| path.into_string().ok());
        named.or_else(|| output("sh", &["-c", "command -v \"$0\"", name]))
    };
    Some(Prometheus { server: named("PROMETHEUS", "prometheus")?, tool: named("PROMTOOL", "promtool")? })
}

impl Prometheus {
    /// Tells a test where they are.
    pub fn give(&self, test: &mut Command) {
        test.env("PROMETHEUS", &self.server).env("PROMTOOL", &self.tool);
    }
}
