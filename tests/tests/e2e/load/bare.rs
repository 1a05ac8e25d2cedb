//! Bare loops: several of them share the sessions where one is not enough.

use super::*;

/// The other ones have no session where one of them has all.
const LOOPS: u64 = 3;

/// Whether a process is a bare loop.
fn is_bare(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains("\0load-bare\0"))
}

#[tokio::test]
async fn sessions_are_spread_over_several_bare_loops_and_each_of_them_is_watched() -> anyhow::Result<()> {
    let loops = LOOPS.to_string();
    let words = ["--sessions", "300", "--bare-loops", &loops, "--duration", "10s", "--settle", "100ms"];
    let mut idle = bench(&[&["idle"], &words[..]].concat())?;
    let mut idle = idle.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;

    // The server's, and then theirs.
    for part in ["at rest", "tokens", "at rest"] {
        line_with(&mut idle, part).await?;
    }
    let loops: Vec<String> = children(&idle)?.into_iter().filter(|child| is_bare(child)).collect();
    let held = loops.iter().map(|bare| Ok(std::fs::read_dir(format!("/proc/{bare}/fd"))?.count() as u64));
    let held = held.collect::<std::io::Result<Vec<u64>>>()?;
    assert_eq!(held.len() as u64, LOOPS);
    // Beside sessions, each has its own files.
    assert!(
        held.iter().all(|held| (SESSIONS / LOOPS - 20..SESSIONS / LOOPS + 20).contains(held)),
        "{held:?}"
    );

    kill("-KILL", &loops[1]).await?;

    let output = timeout(DEADLINE, idle.wait_with_output()).await??;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.code() == Some(0), "{said}");
    // In whatever part that was: its CPU and memory are read with those of the others.
    let told =
        said.lines().find(|line| line.starts_with("note: no figures of the bare loop: ")).unwrap_or_default();
    assert!(told.contains(&loops[1]), "{}: {said}", loops[1]);
    assert!(loops.iter().all(|bare| !is_running(bare)), "{loops:?}");
    Ok(())
}

#[tokio::test]
async fn every_measurement_has_a_ratio_to_several_bare_loops() -> anyhow::Result<()> {
    let loops = LOOPS.to_string();
    for (words, spread, count, figure_of_cpu) in [
        (&["connect"][..], "bare.welcome", SESSIONS, "cpu_per_session"),
        (&["fanout", "--duration", "1s", "--rate", "20"], "bare.late", 20 * SESSIONS, "cpu_per_hint"),
        (&["fanout", "--duration", "500ms"], "bare.late", 0, "cpu_per_hint"),
        (&["hot", "--duration", "1s", "--rate", "200"], "bare.late", 0, "cpu"),
        (&["unicast", "--duration", "1s", "--rate", "900"], "bare.late", 900, "cpu_per_hint"),
        (&["unicast", "--duration", "500ms"], "bare.late", 0, "cpu_per_hint"),
        (&["storm", "--settle", "100ms"], "bare.current", SESSIONS, "cpu_per_session"),
        (&["storm", "--settle", "100ms", "--kill"], "bare.current", SESSIONS, "cpu_per_session"),
    ] {
        let result = measured(&[words, &["--bare-loops", &loops]].concat()).await?;

        assert_eq!(result["parameters"]["bare loops"], LOOPS.to_string(), "{words:?}");
        let told = result["notes"].as_array().context("no notes")?.iter().filter_map(Value::as_str);
        // That the tool was the limit is no wonder on a machine with other tests on it.
        let ill = ["no figures of the bare loop", "compare nothing with the bare loop"];
        let ill: Vec<&str> = told.filter(|note| ill.iter().any(|ill| note.starts_with(ill))).collect();
        assert!(ill.is_empty(), "{words:?}: {ill:?}");
        above_zero(figure(&result, figure_of_cpu)?, &["value", "reference", "ratio"])?;
        let counted = result["spreads"][spread]["count"].as_u64().context("no such times")?;
        if count > 0 {
            assert_eq!(counted, count, "{words:?}");
        } else {
            assert!(counted >= SESSIONS, "{words:?}: {counted}");
        }
    }
    Ok(())
}

/// Runs beside a Doorbell that may have as many files as it likes, while the tool and what it starts have so many each.
async fn with_files(files: u64, words: &[&str]) -> anyhow::Result<(Output, String)> {
    let doorbell = Doorbell::start().await?;
    let (url, key) = (format!("ws://{}", doorbell.address()), doorbell.data().join("key"));
    let line = format!("ulimit -n {files} && exec \"$@\"");
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &line, "sh"]).arg(process::binary()?).arg("bench").args(words);
    command.args(["--url", &url, "--key-file", text(&key)?]).stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(DEADLINE, command.output()).await??;
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Ok((output, said))
}

#[tokio::test]
async fn there_are_as_many_bare_loops_as_the_file_limit_asks_for() -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let json = scratch.path().join("result.json");
    // Each of them has 256 for itself.
    for (files, loops) in [(556, None), (555, Some("2")), (356, Some("3"))] {
        let (output, said) =
            with_files(files, &["connect", "--sessions", "300", "--json", text(&json)?]).await?;

        ensure!(output.status.code() == Some(0), "{said}");
        let result: Value = serde_json::from_slice(&std::fs::read(&json)?)?;
        assert_eq!(result["parameters"]["bare loops"].as_str(), loops, "{said}");
        above_zero(figure(&result, "sessions_per_second")?, &["value", "reference", "ratio"])?;
        assert_eq!(result["spreads"]["bare.welcome"]["count"], SESSIONS);
    }
    Ok(())
}

#[tokio::test]
async fn a_bare_loop_that_cannot_be_had_costs_no_figures() -> anyhow::Result<()> {
    // Enough for a process that holds sockets, and not for one that listens as well.
    let (output, said) = with_files(256, &["connect", "--sessions", "150"]).await?;

    ensure!(output.status.code() == Some(0), "{said}");
    assert!(said.contains("sessions a second") && said.contains("150 welcomed"), "{said}");
    assert!(said.contains("note: no figures of the bare loop: the file limit is 256 a process"), "{said}");

    // Who asked for too few hears of it before anything is measured.
    let (output, said) = with_files(400, &["connect", "--sessions", "150", "--bare-loops", "1"]).await?;
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("--bare-loops 1 cannot hold 150 sessions") && said.contains("2 are needed"),
        "{said}"
    );
    Ok(())
}

#[tokio::test]
async fn so_many_bare_loops_are_refused_where_there_is_none_and_count_for_nothing_elsewhere()
-> anyhow::Result<()> {
    for (words, told) in [
        (&["mixed", "--sessions", "20"][..], "--bare-loops: there is no bare loop beside mixed"),
        (&["connect", "--tls"], "'--tls' cannot be used with '--bare-loops <COUNT>'"),
    ] {
        let (output, said) = run(&[words, &["--bare-loops", "2"]].concat()).await?;
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(told), "{said}");
    }

    // They could not hold 300 where that was asked for, and are not asked to.
    let doorbell = Doorbell::start().await?;
    let (url, key) = (format!("ws://0.0.0.0:{}", doorbell.port()), doorbell.data().join("key"));
    let line = "ulimit -n 400 && exec \"$@\"";
    let mut command = Command::new("/bin/sh");
    command.args(["-c", line, "sh"]).arg(process::binary()?).args(["bench", "connect", "--sessions", "300"]);
    command.args(["--bare-loops", "1", "--url", &url, "--key-file", text(&key)?]).stdin(Stdio::null());
    let output = timeout(DEADLINE, command.kill_on_drop(true).output()).await??;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.code() == Some(0), "{said}");
    assert!(said.contains("note: no figures of the bare loop") && said.contains("300 welcomed"), "{said}");
    Ok(())
}
