//! Node.js and the packages of one folder.

use std::path::Path;

use anyhow::{Context, Result, bail};

use super::debian;
use crate::process::{command, output, run};

/// The oldest Node.js that the tools run on.
const MAJOR_MIN: u32 = 20;

/// Which lock file the installed packages are of: written beside them once they are complete.
const STAMP: &str = "node_modules/.doorbell-lock.json";

/// Makes sure of Node.js, and of the packages that `folder`'s lock file names.
///
/// # Errors
/// Where Node.js is too old, or something cannot be installed.
pub fn ensure(root: &Path, folder: &str) -> Result<()> {
    ensure_node()?;
    let folder_path = root.join(folder);
    let lock = std::fs::read_to_string(folder_path.join("package-lock.json"))
        .with_context(|| format!("cannot read {folder}/package-lock.json"))?;
    let stamp = folder_path.join(STAMP);
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    println!("installing the Node packages of {folder}");
    run(command("npm", &["ci", "--no-audit", "--no-fund", "--loglevel=error"], &folder_path))?;
    std::fs::write(&stamp, lock).with_context(|| format!("cannot write {folder}/{STAMP}"))
}

fn ensure_node() -> Result<()> {
    if output("node", &["--version"]).is_none() || output("npm", &["--version"]).is_none() {
        debian::install(&["nodejs", "npm"], "the web and client tests")?;
    }
    let version = output("node", &["--version"]).context("node does not start")?;
    if major(&version).is_none_or(|major| major < MAJOR_MIN) {
        bail!(
            "Node.js {MAJOR_MIN} or newer is needed, and this is {version}: see https://nodejs.org/en/download"
        );
    }
    Ok(())
}

/// 20 of `v20.19.2`.
fn major(version: &str) -> Option<u32> {
    version.strip_prefix('v')?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_has_its_major_number() {
        assert_eq!(major("v20.19.2"), Some(20));
        assert_eq!(major("20.19.2"), None);
    }
}
