//! The checker is checked: one build that breaks a promise on purpose, each time another one, and the rule that must
//! find it.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, ensure};
use tokio::process::Command;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::sabotaged;

/// Each kind with the rule that must find it.
const KINDS: &[(&str, &str)] = &[
    ("ack-unwritten", "L1"),
    ("forget-keys", "L2"),
    ("retry-without-key", "L2"),
    ("alter-text", "L3"),
    ("skip-entries", "L4"),
    ("swap-entries", "L4"),
    ("stale-pulls", "L6"),
    ("drop-hints", "H2"),
    ("keep-members", "H3"),
    ("repeat-hints", "H4"),
    ("count-wrong", "U1"),
    ("forget-followers", "V2"),
    // The same build without a fault: what is found is the fault's, and not the build's.
    ("none", ""),
];

/// Runs at a time: they wait for most of it.
const AT_A_TIME: usize = 5;

/// A small run with a large group, without faults of the nemesis: the build's own is enough.
const RUN: &str = "--local --no-faults --sessions 160 --large-members 110 --conversations 8 --members 6 --rate 80 \
                   --duration 8s --settle 4s --revoke 2s --acked-min 300 --seed 17";

#[tokio::test]
async fn each_broken_promise_is_found_by_its_rule() -> anyhow::Result<()> {
    let binary = sabotaged()?;
    let (turns, mut runs) = (Arc::new(Semaphore::new(AT_A_TIME)), JoinSet::new());
    for (kind, rule) in KINDS {
        let (binary, turns) = (binary.clone(), Arc::clone(&turns));
        runs.spawn(async move {
            let _turn = turns.acquire().await?;
            check(&binary, kind, rule).await.with_context(|| format!("with {kind}"))
        });
    }
    while let Some(found) = runs.join_next().await {
        found??;
    }
    Ok(())
}

async fn check(binary: &Path, kind: &str, rule: &str) -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let mut command = Command::new(binary);
    command.args(["bench", "prove"]).args(RUN.split_whitespace()).arg("--out").arg(scratch.path());
    let output = command.env("DOORBELL_SABOTAGE", kind).kill_on_drop(true).output().await?;
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let broken: Vec<&str> = said
        .lines()
        .filter(|line| !line.starts_with(' ') && line.contains(" broken "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    println!("{kind:<18} breaks {}", broken.join(" "));
    let (code, found) = if rule.is_empty() { (0, broken.is_empty()) } else { (1, broken.contains(&rule)) };
    ensure!(
        output.status.code() == Some(code) && found,
        "{rule} must be broken, and {broken:?} are:\n{said}"
    );
    Ok(())
}
