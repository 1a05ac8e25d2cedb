//! `doorbell bench prove` as somebody runs it: against a Doorbell of its own, which is killed and stopped meanwhile.

use std::process::Output;

use anyhow::{Context, ensure};
use doorbell_tests::{Doorbell, process};
use tokio::process::Command;

use crate::unthrottled;

/// A run of half a minute, with a large group.
const SMALL: [&str; 16] = [
    "--sessions",
    "160",
    "--large-members",
    "110",
    "--conversations",
    "8",
    "--members",
    "6",
    "--rate",
    "80",
    "--revoke",
    "2s",
    "--seed",
    "17",
    "--acked-min",
    "200",
];

async fn prove(folder: &std::path::Path, more: &[&str]) -> anyhow::Result<(Output, String)> {
    let mut command = Command::new(process::binary()?);
    command.args(["bench", "prove"]).args(more).arg("--out").arg(folder).kill_on_drop(true);
    let output = command.output().await?;
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Ok((output, said))
}

#[tokio::test]
async fn nothing_is_lost_while_the_process_is_killed_and_stopped() -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let times =
        ["--local", "--duration", "16s", "--settle", "8s", "--fault-every", "5s", "--fault-longest", "2s"];

    let (output, said) = prove(scratch.path(), &[&SMALL[..], &times].concat()).await?;

    ensure!(output.status.code() == Some(0), "{said}");
    assert!(said.contains("NOTHING LOST") && said.contains("seed 17"), "{said}");
    let page = std::fs::read_to_string(scratch.path().join("report.html"))?;
    assert!(page.contains("<h1>Nothing lost</h1>") && page.contains("kill doorbell"));

    // An old history is judged alike, and starts nothing.
    let history = scratch.path().join("history.jsonl");
    let (again, said) =
        prove(scratch.path(), &["--judge", history.to_str().context("a path is text")?]).await?;
    ensure!(again.status.code() == Some(0), "{said}");
    Ok(())
}

/// Each part of an installation, Redis included, and the connections between them.
const FAULTS: [&str; 9] = [
    "2s,kill,redis,2s",
    "7s,kill,gateway,2s",
    "11s,kill,message,1s",
    "15s,kill,notifier/2,2s",
    "19s,kill,channel,2s",
    "23s,cut,gateway-1 to redis,7s",
    "25s,cut,all to message-1,2s",
    "31s,stop,gateway,2s",
    "35s,cut,all to gateway-2,3s",
];

/// K17, R2: each part of a whole installation is killed, stopped or cut off.
#[tokio::test]
async fn nothing_is_lost_while_all_of_an_installation_is_killed_stopped_and_cut_off() -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let size = [
        "--cluster=2,2,2,2",
        "--sessions",
        "60",
        "--large-members",
        "130",
        "--conversations",
        "6",
        "--rate",
        "25",
    ];
    let rest = ["--members", "6", "--acked-min", "200", "--duration", "40s", "--seed", "50"];
    let faults = FAULTS.map(|fault| ["--fault", fault]).concat();

    let (output, said) = prove(scratch.path(), &[&size[..], &rest, &faults].concat()).await?;

    ensure!(output.status.code() == Some(0), "{said}");
    let page = std::fs::read_to_string(scratch.path().join("report.html"))?;
    for harmed in ["kill redis", "kill gateway", "kill message", "stop gateway", "cut all to gateway-2"] {
        assert!(page.contains(harmed), "the report does not show {harmed}");
    }
    Ok(())
}

/// A gateway that is asked to end costs nobody a session or a hint. Then both message services are, one after the other: whoever stands by
/// takes the store. A hint may take eight seconds, also while the gateway ends.
#[tokio::test]
async fn nothing_is_felt_where_a_gateway_is_asked_to_end() -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let size = "--cluster=2,1,1,2 --sessions 60 --large-members 40 --conversations 6 --members 6 --rate 40 --acked-min 200";
    let times = "--duration 25s --settle 8s --revoke 2s --seed 15";
    let faults = "--fault 1s,end,gateway-1,1s --fault 18s,end,message-1,1s --fault 21s,end,message-2,1s";
    let words: Vec<&str> = [size, times, faults].iter().flat_map(|words| words.split_whitespace()).collect();

    let (output, said) = prove(scratch.path(), &words).await?;

    ensure!(output.status.code() == Some(0), "{said}");
    let judged = said.lines().any(|line| line.starts_with("V3 ") && line.contains("holds"));
    ensure!(judged && said.contains("3 of 3 faults took effect"), "{said}");
    Ok(())
}

#[tokio::test]
async fn an_installation_is_proved_with_its_key_or_with_a_command() -> anyhow::Result<()> {
    let doorbell = Doorbell::start_with(unthrottled()).await?;
    let (url, metrics) =
        (format!("ws://{}", doorbell.address()), format!("http://{}/metrics", doorbell.address()));
    let key = doorbell.data().join("key").display().to_string();
    let command =
        format!("{} token {{user}} --data-dir {}", process::binary()?.display(), doorbell.data().display());
    let tiny = ["--sessions", "10", "--conversations", "2", "--large-members", "6", "--members", "3"];
    let times = ["--rate", "20", "--duration", "3s", "--settle", "2s", "--acked-min", "30", "--revoke", "1s"];
    for tokens in [["--key-file", &key], ["--token-command", &command]] {
        let scratch = tempfile::tempdir()?;
        let place = ["--url", &url, "--metrics-url", &metrics];

        let (output, said) = prove(scratch.path(), &[&tiny[..], &times, &place, &tokens].concat()).await?;

        ensure!(output.status.code() == Some(0), "{said}");
        assert!(said.contains("NOTHING LOST"), "{said}");
    }
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_run_shows_nothing_and_says_why() -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let doorbell = Doorbell::start().await?;
    let other = Doorbell::start().await?;
    let url = format!("ws://{}", doorbell.address());
    let foreign = other.data().join("key").display().to_string();
    for (words, reason) in [
        (vec!["--url", &*url], "--key-file"),
        (vec!["--url", &*url, "--key-file", &*foreign], "is it the server's key"),
        (vec!["--url", &*url, "--token-command", "false"], "the token command fails"),
        (vec!["--judge", "no-such-file"], "no-such-file"),
        (vec!["--url", "http://h"], "must be ws://"),
        (vec!["--url", "ws://127.0.0.1:1", "--token-command", "echo x"], "is a Doorbell there?"),
    ] {
        let (output, said) = prove(scratch.path(), &words).await?;
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(reason), "{said}");
    }
    Ok(())
}
