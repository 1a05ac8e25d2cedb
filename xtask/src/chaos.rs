//! `cargo xtask chaos`: a whole installation under faults for as long as you like, twice, and once with a build that loses
//! hints on purpose: the first two must end with nothing lost, the last must be caught.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::process::{command, run};

/// What each run is made of: small enough for two cores and a debug build.
const RUN: [&str; 9] = [
    "bench",
    "prove",
    "--cluster=3,2,2,1",
    "--sessions=400",
    "--large-members=200",
    "--conversations=20",
    "--rate=40",
    "--fault-every=12s",
    "--fault-longest=8s",
];
/// What the prover ends with.
const NOTHING_LOST: i32 = 0;
const LOST: i32 = 1;
const SABOTAGE: &str = "drop-hints";
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
        let code = prove(root, minutes, seed, None)?;
        if code != NOTHING_LOST {
            bail!("seed {seed}: exit code {code}; the report is in target/chaos/{seed}");
        }
    }
    build(root, Some("doorbell/sabotage"))?;
    let caught = prove(root, SABOTAGED_MINUTES, seed, Some(SABOTAGE))? == LOST;
    build(root, None)?;
    if !caught {
        bail!("a build that loses hints was not caught: the checker proves nothing");
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

fn prove(root: &Path, minutes: u32, seed: u64, sabotage: Option<&str>) -> Result<i32> {
    let kind = if sabotage.is_some() { "-sabotaged" } else { "" };
    let more = [
        format!("--duration={minutes}m"),
        format!("--seed={seed}"),
        format!("--out={}", root.join(format!("target/chaos/{seed}{kind}")).display()),
    ];
    let words: Vec<&str> = RUN.into_iter().chain(more.iter().map(String::as_str)).collect();
    let binary = root.join("target/debug/doorbell").to_string_lossy().into_owned();
    let mut prove = command(&binary, &words, root);
    if let Some(kind) = sabotage {
        prove.env("DOORBELL_SABOTAGE", kind);
    }
    prove.status().context("cannot start doorbell")?.code().context("the prover was killed")
}

#[expect(
    clippy::disallowed_methods,
    reason = "a command line tool: any number that is another one each time"
)]
fn seed_of_now() -> Result<u64> {
    Ok(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs())
}
