//! `doorbell bench connect`, `idle` and `fanout` as somebody runs them, small: what they say adds up.

mod apart;
mod bare;
mod hot;
mod hung;
mod mixed;
mod prefix;
mod report;
mod rounds;
mod storm;
mod tls;
mod unicast;

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use doorbell_tests::{Doorbell, Options, api_key, process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// As many as a debug build opens in a second.
const SESSIONS: u64 = 300;
/// Who does not answer a ping is closed after three seconds.
const PINGED_EACH_SECOND: [&str; 6] = [
    "--set",
    "DOORBELL_GATEWAY__HEARTBEAT=1s",
    "--set",
    "DOORBELL_GATEWAY__SILENCE_MAX=3s",
    "--set",
    "DOORBELL_GATEWAY__HELLO_TIMEOUT=3s",
];
/// Nothing here takes longer.
const DEADLINE: Duration = Duration::from_secs(60);

fn bench(words: &[&str]) -> anyhow::Result<Command> {
    let mut command = Command::new(process::binary()?);
    command.arg("bench").args(words).stdin(Stdio::null()).kill_on_drop(true);
    Ok(command)
}

async fn run(words: &[&str]) -> anyhow::Result<(Output, String)> {
    let output = timeout(DEADLINE, bench(words)?.output()).await.context("it does not end")??;
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Ok((output, said))
}

/// Runs with 300 sessions; answers the result.
async fn measured(words: &[&str]) -> anyhow::Result<Value> {
    let scratch = tempfile::tempdir()?;
    let json = scratch.path().join("result.json");
    let sessions = SESSIONS.to_string();
    let rest = ["--sessions", &sessions, "--json", text(&json)?];
    let (output, said) = run(&[words, &rest].concat()).await?;
    ensure!(output.status.code() == Some(0), "{said}");
    Ok(serde_json::from_slice(&std::fs::read(json)?)?)
}

fn text(path: &Path) -> anyhow::Result<&str> {
    path.to_str().context("a path is text")
}

fn figure<'a>(result: &'a Value, name: &str) -> anyhow::Result<&'a Value> {
    let figures = result["figures"].as_array().context("no figures")?;
    figures.iter().find(|figure| figure["name"] == name).with_context(|| format!("no {name}: {result}"))
}

fn above_zero(figure: &Value, of: &[&str]) -> anyhow::Result<()> {
    for part in of {
        ensure!(figure[part].as_f64().is_some_and(|value| value > 0.0), "{part} of {figure}");
    }
    Ok(())
}

#[tokio::test]
async fn all_sessions_are_welcomed_here_and_at_the_bare_loop_by_several_processes() -> anyhow::Result<()> {
    let result = measured(&["connect", "--processes", "3", "--in-flight", "50"]).await?;

    for name in ["sessions_per_second", "upgrade_p50", "welcome_p99"] {
        above_zero(figure(&result, name)?, &["value", "reference", "ratio"])?;
    }
    above_zero(figure(&result, "cpu_per_session")?, &["value", "reference", "ratio"])?;
    assert_eq!(result["counts"]["welcomed"], SESSIONS);
    assert_eq!(result["counts"]["failed"], 0);
    for spread in ["upgrade", "welcome", "bare.upgrade", "bare.welcome"] {
        assert_eq!(result["spreads"][spread]["count"], SESSIONS, "{spread}");
    }
    let (upgrade, welcome) = (&result["spreads"]["upgrade"], &result["spreads"]["welcome"]);
    assert!(upgrade["p50_us"].as_u64() < welcome["p50_us"].as_u64(), "{result}");
    Ok(())
}

#[tokio::test]
async fn connections_at_a_rate_take_as_long_as_the_rate_says() -> anyhow::Result<()> {
    let result = measured(&["connect", "--connect-rate", "200", "--no-reference"]).await?;

    let rate = figure(&result, "sessions_per_second")?;
    // 300 at 200 a second take a second and a half, however fast the server is.
    assert!(rate["value"].as_f64().is_some_and(|rate| rate < 210.0), "{rate}");
    assert_eq!(rate["reference"], Value::Null);
    Ok(())
}

#[tokio::test]
async fn sessions_at_rest_answer_pings_and_are_weighed() -> anyhow::Result<()> {
    let idle = ["idle", "--duration", "4s", "--settle", "500ms", "--encoding", "msgpack"];
    let result = measured(&[&idle[..], &PINGED_EACH_SECOND].concat()).await?;

    // Who did not answer would be closed after three seconds: all were pinged meanwhile.
    assert_eq!(result["counts"]["sessions open at the end"], SESSIONS);
    assert!(result["counts"]["pings answered"].as_u64() >= Some(SESSIONS), "{result}");
    // So few sessions weigh less than what the server lets go of after its start, so these may be anything.
    for name in ["private_bytes", "resident_bytes", "kernel_bytes", "cpu_at_rest"] {
        let figure = figure(&result, name)?;
        assert!(figure["value"].is_f64() && figure["reference"].is_f64(), "{name}: {result}");
    }
    above_zero(figure(&result, "machine_bytes")?, &["value"])?;
    Ok(())
}

#[tokio::test]
async fn every_follower_learns_of_every_publish() -> anyhow::Result<()> {
    for pace in [&["--rate", "40"][..], &[]] {
        let result = measured(&[&["fanout", "--duration", "2s", "--processes", "2"], pace].concat()).await?;

        let counts = &result["counts"];
        let publishes = counts["publishes"].as_u64().context("no publishes")?;
        assert!(if pace.is_empty() { publishes > 5 } else { publishes == 80 }, "{publishes}");
        assert_eq!(counts["followers"], SESSIONS);
        assert_eq!(counts["publishes learned of, over all followers"], publishes * SESSIONS);
        for (spread, count) in [("late", publishes * SESSIONS), ("answer", publishes)] {
            assert_eq!(result["spreads"][spread]["count"], count, "{spread}");
        }
        for name in ["hints_per_second", "cpu_per_hint", "late_p99"] {
            above_zero(figure(&result, name)?, &["value", "reference", "ratio"])?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn one_publish_and_one_lap_is_made_however_short_the_time_is() -> anyhow::Result<()> {
    for (what, count, of) in [("fanout", "publishes", 1), ("unicast", "rings", SESSIONS)] {
        let result = measured(&[what, "--duration", "1us", "--no-reference"]).await?;

        assert_eq!(result["counts"][count], of, "{what}");
        assert_eq!(result["spreads"]["late"]["count"], SESSIONS, "{what}");
    }
    Ok(())
}

#[tokio::test]
async fn hints_that_were_merged_count_for_every_publish_from_when_it_was_due() -> anyhow::Result<()> {
    // A topic of more than ten followers is told once in 500 ms; publishes are due each 10 ms.
    let result = measured(&[
        "fanout",
        "--duration",
        "2s",
        "--rate",
        "100",
        "--no-reference",
        "--set",
        "DOORBELL_GATEWAY__FANOUT_FOLLOWERS_LARGE=10",
        "--set",
        "DOORBELL_GATEWAY__FANOUT_INTERVAL=500ms",
    ])
    .await?;

    let counts = &result["counts"];
    assert!(counts["hints delivered"].as_u64() < Some(20 * SESSIONS), "not merged: {counts}");
    assert_eq!(counts["publishes learned of, over all followers"], 200 * SESSIONS);
    // The last of a merged hint is hardly late; half of all are late by a quarter of a second and more.
    let late = &result["spreads"]["late"];
    assert!(late["p50_us"].as_u64() > Some(150_000) && late["max_us"].as_u64() > Some(400_000), "{late}");
    Ok(())
}

#[tokio::test]
async fn an_installation_is_measured_with_its_keys_and_its_metrics() -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let (keys, secret) = (scratch.path().join("api-keys.toml"), scratch.path().join("api-key"));
    std::fs::write(&secret, api_key(&keys, "bench", &["--hints"]).await?)?;
    let doorbell =
        Doorbell::start_with(Options::default().with("DOORBELL_API_KEYS_FILE", text(&keys)?)).await?;
    let (url, metrics) =
        (format!("ws://{}", doorbell.address()), format!("http://{}/metrics", doorbell.address()));
    let key = doorbell.data().join("key");
    let place = ["--url", &url, "--key-file", text(&key)?, "--metrics-url", &metrics, "--no-reference"];

    let fanout = ["fanout", "--duration", "1s", "--rate", "20", "--api-key-file", text(&secret)?];
    let result = measured(&[&fanout[..], &place].concat()).await?;

    // Counted in whole seconds there, and this took less.
    assert!(figure(&result, "cpu_per_hint")?["value"].is_f64());
    assert_eq!(result["counts"]["hints delivered"], 20 * SESSIONS);
    Ok(())
}

#[tokio::test]
async fn where_a_server_is_not_of_the_loopback_the_result_says_that_there_is_no_bare_loop()
-> anyhow::Result<()> {
    let doorbell = Doorbell::start().await?;
    // No address of the loopback, and it leads there all the same.
    let (url, key) = (format!("ws://0.0.0.0:{}", doorbell.port()), doorbell.data().join("key"));

    let result = measured(&["connect", "--url", &url, "--key-file", text(&key)?]).await?;

    let notes = result["notes"].as_array().context("no notes")?;
    let told =
        notes.iter().filter_map(Value::as_str).filter(|note| note.starts_with("no figures of the bare"));
    assert_eq!(told.count(), 1, "{notes:?}");
    assert_eq!(figure(&result, "sessions_per_second")?["reference"], Value::Null);
    Ok(())
}

#[tokio::test]
async fn sessions_that_are_refused_or_end_are_told_with_why_and_the_exit_code() -> anyhow::Result<()> {
    let (doorbell, other) = (Doorbell::start().await?, Doorbell::start().await?);
    let url = format!("ws://{}", doorbell.address());
    let (own, foreign) = (doorbell.data().join("key"), other.data().join("key"));
    let small = ["--sessions", "20", "--no-reference", "--url", &url];

    let (output, said) = run(&[&["connect", "--key-file", text(&foreign)?], &small[..]].concat()).await?;
    ensure!(output.status.code() == Some(1), "{said}");
    assert!(said.contains("20 × closed with 4401") && said.contains("0 of 20 sessions"), "{said}");

    let mut idle = bench(&[&["idle", "--key-file", text(&own)?, "--duration", "3s"], &small[..]].concat())?;
    let mut idle = idle.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    line_with(&mut idle, "at rest").await?;
    doorbell.kill().await?;
    let output = timeout(DEADLINE, idle.wait_with_output()).await??;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.code() == Some(1), "{said}");
    assert!(said.contains("20 ended by the server"), "{said}");
    Ok(())
}

#[tokio::test]
async fn who_interrupts_it_leaves_nothing_behind() -> anyhow::Result<()> {
    let mut idle = bench(&["idle", "--sessions", "20", "--processes", "2", "--duration", "1h"])?;
    let mut idle = idle.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    line_with(&mut idle, "at rest").await?;
    let (pid, children) = (idle.id().context("it is gone")?, children(&idle)?);
    assert_eq!(children.len(), 3, "a server and two processes with sockets");

    kill("-INT", &pid.to_string()).await?;

    let output = timeout(DEADLINE, idle.wait_with_output()).await??;
    assert_eq!(output.status.code(), Some(130));
    for child in children {
        assert!(!Path::new("/proc").join(&child).exists(), "{child} is still there");
    }
    Ok(())
}

/// What it started and is there, by their numbers.
fn children(of: &tokio::process::Child) -> anyhow::Result<Vec<String>> {
    let pid = of.id().context("it is gone")?;
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    Ok(children.split_whitespace().map(str::to_owned).collect())
}

/// Whether a process is a `doorbell` that serves.
fn is_server(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains("\0serve\0"))
}

/// Reads its standard error up to a line with that text.
async fn line_with(child: &mut tokio::process::Child, text: &str) -> anyhow::Result<()> {
    let stderr = child.stderr.as_mut().context("no standard error")?;
    let mut lines = BufReader::new(stderr).lines();
    let found = async {
        while let Some(line) = lines.next_line().await? {
            if line.contains(text) {
                return Ok(());
            }
        }
        anyhow::bail!("it ended without {text:?}")
    };
    timeout(DEADLINE, found).await.context("it does not say it")?
}

#[tokio::test]
async fn a_server_that_dies_ends_the_run_with_what_was_done_and_how_it_died() -> anyhow::Result<()> {
    let mut idle = bench(&["idle", "--sessions", "20", "--duration", "1h"])?;
    let mut idle = idle.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    line_with(&mut idle, "at rest").await?;
    let server = children(&idle)?.into_iter().find(|child| is_server(child)).context("no server")?;

    kill("-KILL", &server).await?;

    let mut stderr = idle.stderr.take().context("no standard error")?;
    let mut said = String::new();
    let read = tokio::io::AsyncReadExt::read_to_string(&mut stderr, &mut said);
    timeout(Duration::from_secs(20), read).await.context("it goes on")??;
    assert_eq!(idle.wait().await?.code(), Some(2), "{said}");
    let told = format!("doorbell: the server ended by itself (process {server}), in the part \"at rest\"\n");
    assert!(said.contains(&told) && said.contains("SIGKILL"), "{said}");
    Ok(())
}

#[tokio::test]
async fn who_interrupts_it_twice_waits_for_no_end_in_order() -> anyhow::Result<()> {
    interrupted_twice("idle", "at rest").await
}

/// The answer to a publish would not come for 15 s.
#[tokio::test]
async fn who_interrupts_it_is_heard_while_a_publish_has_no_answer() -> anyhow::Result<()> {
    interrupted_twice("fanout", "publishing").await
}

async fn interrupted_twice(what: &str, part: &str) -> anyhow::Result<()> {
    let mut idle = bench(&[what, "--sessions", "20", "--duration", "1h"])?;
    let mut idle = idle.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    line_with(&mut idle, part).await?;
    let pid = idle.id().context("it is gone")?;
    let (servers, workers): (Vec<String>, Vec<String>) =
        children(&idle)?.into_iter().partition(|child| is_server(child));
    assert_eq!((servers.len(), workers.len()), (1, 1));
    // It would take a minute to find that this one does not end.
    kill("-STOP", &servers[0]).await?;

    kill("-INT", &pid.to_string()).await?;
    timeout(Duration::from_secs(8), async {
        while is_running(&workers[0]) {
            tokio::task::yield_now().await;
        }
    })
    .await
    .context("the first is not heard")?;
    kill("-INT", &pid.to_string()).await?;

    let output = timeout(Duration::from_secs(20), idle.wait_with_output()).await.context("it waits")??;
    assert_eq!(output.status.code(), Some(130));
    timeout(DEADLINE, async {
        while is_running(&servers[0]) {
            tokio::task::yield_now().await;
        }
    })
    .await
    .context("the server is still there")
}

async fn kill(signal: &str, pid: &str) -> anyhow::Result<()> {
    let sent = Command::new("kill").args([signal, pid]).status().await?;
    ensure!(sent.success(), "kill {signal} {pid} failed");
    Ok(())
}

/// Whether a process is there, and more than a number that nobody has asked for yet.
fn is_running(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

#[tokio::test]
async fn a_publisher_whose_connections_get_too_old_goes_on_over_new_ones() -> anyhow::Result<()> {
    let result = measured(&[
        "fanout",
        "--duration",
        "4s",
        "--rate",
        "40",
        "--no-reference",
        "--set",
        "DOORBELL_LISTENER__CONNECTION_AGE_MAX=1s",
        "--set",
        "DOORBELL_LISTENER__HEAD_TIMEOUT=1s",
        "--set",
        "DOORBELL_LISTENER__BODY_TIMEOUT=1s",
    ])
    .await?;

    let counts = &result["counts"];
    assert_eq!(counts["publishes learned of, over all followers"], 160 * SESSIONS);
    assert!(counts["connections of the publisher after its first"].as_u64() >= Some(2), "{counts}");
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_measured_says_why() -> anyhow::Result<()> {
    for (words, reason) in [
        (&["connect", "--sessions", "100000000"][..], "the file limit is"),
        (&["connect", "--url", "ws://127.0.0.1:1"], "--key-file"),
        (&["connect", "--url", "wss://127.0.0.1/v1/ws", "--key-file", "k"], "leave /v1/ws out"),
        (&["connect", "--url", "ws://127.0.0.1:1", "--key-file", "k", "--ca", "c"], "--ca: neither"),
        (
            &["connect", "--url", "wss://127.0.0.1:1", "--key-file", "k", "--ca", "no-such-ca"],
            "cannot read no-such-ca",
        ),
        (
            &["connect", "--url", "wss://127.0.0.1:1", "--url", "ws://127.0.0.1:1", "--key-file", "k"],
            "some are wss://",
        ),
        (&["connect", "--tls", "--url", "ws://127.0.0.1:1", "--key-file", "k"], "--tls"),
        (&["connect", "--url", "ws://h:65536", "--key-file", "k"], "65535 at most"),
        (&["connect", "--processes", "257"], "must be 1 to 256"),
        (
            &["connect", "--url", "ws://127.0.0.1:1", "--key-file", "k", "--sessions", "4294967295"],
            "more than 256 are not started",
        ),
        (&["fanout", "--rate", "1000001"], "must be 1 to 1000000"),
        (&["hot", "--rate", "4294967295"], "must be 1 to 1000000"),
        (&["hot", "--against", "4294967295"], "must be 1 to 1000000"),
        (&["connect", "--url", "ws://127.0.0.1:1", "--key-file", "no-such-file"], "no-such-file"),
        (&["connect", "--url", "ws://127.0.0.1:1", "--token-command", "false"], "the token command fails"),
        (&["fanout", "--url", "ws://127.0.0.1:1", "--key-file", "k"], "--api-key-file"),
        (&["connect", "--set", "PATH=x"], "DOORBELL_"),
        (&["connect", "--json", "/no/such/folder/result.json"], "cannot write /no/such/folder/result.json"),
        (&["connect", "--set", "DOORBELL_GATEWAY__HEARTBEAT=soon"], "expected a duration"),
        (&["connect", "--sessions", "0"], "--sessions"),
        (&["connect", "--rounds", "0"], "must be 1 to 99"),
        (&["connect", "--gateways", "0"], "must be 1 to 200"),
        (&["connect", "--bare-loops", "201"], "must be 1 to 200"),
        (&["connect", "--bare-loops", "2", "--no-reference"], "--no-reference"),
        (&["connect", "--server-cpus", "0;1"], "0, or 0,2, or 1-3,6"),
        (
            &["connect", "--tool-cpus", "1000"],
            "--tool-cpus 1000: this process may not run on CPU 1000, only on",
        ),
    ] {
        let (output, said) = run(words).await?;
        assert_eq!(output.status.code(), Some(2), "{words:?}: {said}");
        assert!(said.contains(reason), "{words:?}: {said}");
    }
    Ok(())
}
