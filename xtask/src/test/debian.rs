//! Packages of the operating system, installed where they are missing.

use anyhow::{Result, bail};

use crate::process::{command, output, run};

/// Installs packages with apt, and says so.
///
/// # Errors
/// Where this is no Debian, or not root: the message names what to install and the command for it.
pub fn install(packages: &[&str], why: &str) -> Result<()> {
    let list = packages.join(" ");
    if output("apt-get", &["--version"]).is_none() {
        bail!("{why} needs {list}: install it with your system's package manager, then run this again");
    }
    if output("id", &["-u"]).as_deref() != Some("0") {
        bail!("{why} needs {list}; run: sudo apt-get update && sudo apt-get install -y {list}");
    }
    println!("installing {list} for {why}");
    let here = std::env::current_dir()?;
    let apt = |words: &[&str]| {
        let mut apt = command("apt-get", words, &here);
        apt.env("DEBIAN_FRONTEND", "noninteractive");
        run(apt)
    };
    apt(&["update", "-qq"])?;
    apt(&[&["install", "-y", "-qq", "--no-install-recommends"], packages].concat())
}
