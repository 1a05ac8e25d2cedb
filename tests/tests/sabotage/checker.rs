//! The checker is checked: one build that breaks a promise on purpose, each time another one, and the rule that must
//! find it.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, ensure};
use tokio::process::Command;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::sabotaged;

/// What one process can do wrong, with the rule that must find it.
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

/// What several processes can do wrong when something happens to one of them: with the rule that must find it, and the faults.
const CLUSTER_KINDS: &[(&str, &str, &[&str])] = &[
    ("no-reenter", "H1", &["3s,kill,redis,500ms"]),
    ("settle-unreached", "H1", CUTS),
    ("forget-unannounced", "H1", DEATH),
    // And a gateway, so that clients have to come back.
    ("none", "", &[CUTS[0], CUTS[1], DEATH[0], DEATH[1], "8s,kill,gateway-1,1s"]),
];

/// Notifiers cannot reach one gateway after the other.
const CUTS: &[&str] = &["3s,cut,all to gateway-1,3s", "7s,cut,all to gateway-2,3s"];
/// What was acknowledged waits for Redis, and whoever has it dies.
const DEATH: &[&str] = &["2s,cut,message-1 to redis,4500ms", "5500ms,kill,message-1,1200ms"];

/// An installation with many conversations in which little happens: what one hint loses no later one brings.
const CLUSTER_RUN: &str = "--cluster=2,1,1,1 --sessions 60 --large-members 20 --conversations 60 --members 6 --rate 10 \
                           --duration 13s --settle 8s --revoke 2s --acked-min 50 --seed 17";

/// Runs at a time: they wait for most of it.
const AT_A_TIME: usize = 5;

/// A small run with a large group, without faults of the nemesis: the build's own is enough.
const RUN: &str = "--local --no-faults --sessions 160 --large-members 110 --conversations 8 --members 6 --rate 80 \
                   --duration 8s --settle 4s --revoke 2s --acked-min 300 --seed 17";

#[tokio::test]
async fn each_broken_promise_is_found_by_its_rule() -> anyhow::Result<()> {
    let binary = sabotaged()?;
    let (turns, mut runs) = (Arc::new(Semaphore::new(AT_A_TIME)), JoinSet::new());
    let whole = CLUSTER_KINDS.iter().map(|(kind, rule, faults)| ((*kind, *rule), CLUSTER_RUN, *faults));
    let alone = KINDS.iter().map(|(kind, rule)| ((*kind, *rule), RUN, &[][..]));
    // The longest first.
    for (kind, run, faults) in whole.chain(alone) {
        let (binary, turns) = (binary.clone(), Arc::clone(&turns));
        runs.spawn(async move {
            let _turn = turns.acquire().await?;
            // A build that keeps its promises is given their own time: five installations on two cores are slow. One that breaks
            // them never comes round, however soon it is looked at.
            let run =
                if kind.0 == "none" { run.replace("--settle 8s", "--settle 15s") } else { run.to_owned() };
            let faults = faults.iter().flat_map(|fault| ["--fault", fault]);
            let words: Vec<&str> = run.split_whitespace().chain(faults).collect();
            check(&binary, kind, &words).await.with_context(|| format!("with {}", kind.0))
        });
    }
    while let Some(found) = runs.join_next().await {
        found??;
    }
    Ok(())
}

async fn check(binary: &Path, (kind, rule): (&str, &str), words: &[&str]) -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let mut command = Command::new(binary);
    command.args(["bench", "prove"]).args(words).arg("--out").arg(scratch.path());
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
