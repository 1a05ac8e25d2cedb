//! `cargo xtask chaos`: a whole installation under faults for as long as you like, twice, and once with a build that loses
//! hints on purpose: the first two must end with nothing lost, the last must be caught.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::process::{command, run};

/// What each run is made of: small enough for two cores and a debug build. Between bursts of faults there is none for longer than T
/// (20 s), so that hints are due all along and not at the end alone.
const RUN: [&str; 11] = [
    "bench",
    "prove",
    "--cluster=3,2,2,2",
    "--sessions=400",
    "--large-members=200",
    "--conversations=20",
    "--rate=40",
    "--fault-every=12s",
    "--fault-longest=8s",
    "--fault-burst=60s",
    "--fault-quiet=35s",
];
/// What the prover ends with where nothing is lost.
const NOTHING_LOST: i32 = 0;
/// What the sabotaged build does, and the rule that must find it.
const SABOTAGE: (&str, &str) = ("drop-hints", "H2");
/// How long a sabotaged run lasts: the first lost hint is enough.
const SABOTAGED_MINUTES: u32 = 2;

/// Runs all three.
///
/// # Errors
/// Something was lost, or the sabotaged build was not caught.
pub fn run_all(root: &Path, words: &[&str]) -> Result<ExitCode> {
    let mut minutes = 30;
    let mut seed = seed_of_now()?;
    for pair in words.chunks(2) {
        match pair {
            ["--minutes", number] => minutes = number.parse().context("--minutes takes a number")?,
            ["--seed", number] => seed = number.parse().context("--seed takes a number")?,
            _ => bail!("cargo xtask chaos [--minutes N] [--seed N]"),
        }
    }
    build(root, None)?;
    for seed in [seed, seed.wrapping_add(1)] {
        let mut prove = prove(root, minutes, seed, &format!("{seed}"));
        let code = prove.status().context("cannot start doorbell")?.code();
        if code != Some(NOTHING_LOST) {
            bail!("seed {seed}: exit code {code:?}; the report is in target/chaos/{seed}");
        }
    }
    build(root, Some("doorbell/sabotage"))?;
    let caught = is_caught(root, seed);
    // Before anything else: the next who takes this binary wants one that keeps its promises.
    build(root, None)?;
    if !caught? {
        bail!("a build that loses hints does not break {}: the checker proves nothing", SABOTAGE.1);
    }
    println!("chaos: nothing lost, twice, in {minutes} min each; a build that loses hints was caught");
    Ok(ExitCode::SUCCESS)
}

fn build(root: &Path, features: Option<&str>) -> Result<()> {
    let mut words = vec!["build", "--workspace", "--bins"];
    if let Some(features) = features {
        words.extend(["--features", features]);
    }
    run(command("cargo", &words, root))
}

/// Whether the sabotaged build breaks the rule that it must.
fn is_caught(root: &Path, seed: u64) -> Result<bool> {
    let mut prove = prove(root, SABOTAGED_MINUTES, seed, &format!("{seed}-sabotaged"));
    let output = prove.env("DOORBELL_SABOTAGE", SABOTAGE.0).output().context("cannot start doorbell")?;
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    Ok(breaks(&said, SABOTAGE.1))
}

/// Whether a verdict says that a rule is broken.
fn breaks(said: &str, rule: &str) -> bool {
    // What was found stands below, indented.
    let is_it = |line: &str| line.split(' ').next() == Some(rule) && line.contains(" broken ");
    said.lines().any(is_it)
}

fn prove(root: &Path, minutes: u32, seed: u64, name: &str) -> Command {
    let more = [
        format!("--duration={minutes}m"),
        format!("--seed={seed}"),
        format!("--out={}", root.join(format!("target/chaos/{name}")).display()),
    ];
    let words: Vec<&str> = RUN.into_iter().chain(more.iter().map(String::as_str)).collect();
    let binary = root.join("target/debug/doorbell").to_string_lossy().into_owned();
    command(&binary, &words, root)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a command line tool: any number that is another one each time"
)]
fn seed_of_now() -> Result<u64> {
    Ok(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_broken_where_its_line_says_so() {
        let said = "H1   hinted        holds           20 checked\nH2   end state     broken 3\u{d7}     231 checked\n     H4 broken off\n";
        assert!(breaks(said, "H2"));
        assert!(!breaks(said, "H1") && !breaks(said, "H4") && !breaks(said, "off"));
    }
}
