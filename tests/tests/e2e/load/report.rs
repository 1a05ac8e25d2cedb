//! The page to look at, what there was second by second, and what the tool itself used.

use super::*;

#[tokio::test]
async fn a_page_has_a_plot_of_each_distribution_and_needs_nothing_else() -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let page = scratch.path().join("report.html");
    // An older one is longer, and nothing of it is left.
    std::fs::write(&page, "old".repeat(1_000_000))?;

    let words = ["fanout", "--duration", "2s", "--rate", "20", "--html", text(&page)?];
    let result = measured(&words).await?;

    let page = std::fs::read_to_string(page)?;
    well_formed(&page)?;
    for outside in ["http://", "https://", "src=", "href=", "<script", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
    let spreads = result["spreads"].as_object().context("no spreads")?;
    let plots = ["publish to follower", "publish to its answer", "publisher behind"];
    assert_eq!(spreads.keys().filter(|key| !key.starts_with("bare.")).count(), plots.len(), "{spreads:?}");
    for plot in plots {
        let svg = format!("aria-label=\"{plot}: time by percentile\"");
        assert!(page.contains(&svg), "no plot of {plot}");
    }
    for text in
        ["sessions open", "hints a second", "<h1>All there</h1>", "a debug build", "× the bare loop's"]
    {
        assert!(page.contains(text), "{text}");
    }
    Ok(())
}

/// Each element is ended, by the one that it began with.
fn well_formed(page: &str) -> anyhow::Result<()> {
    let (mut open, mut rest) = (Vec::new(), page);
    while let Some(at) = rest.find('<') {
        let tag = &rest[at + 1..];
        let end = tag.find('>').context("a tag without an end")?;
        rest = &tag[end + 1..];
        let tag = &tag[..end];
        ensure!(tag.matches('"').count().is_multiple_of(2), "an attribute without an end: <{tag}>");
        let name = tag.trim_start_matches('/').split([' ', '/']).next().context("a tag without a name")?;
        match tag.as_bytes().first() {
            Some(b'/') => ensure!(open.pop() == Some(name), "</{name}> ends something else"),
            Some(b'!') => {}
            _ if tag.ends_with('/') || name == "meta" => {}
            _ => open.push(name),
        }
    }
    ensure!(open.is_empty() && page.starts_with("<!doctype html>"), "not ended: {open:?}");
    Ok(())
}

#[tokio::test]
async fn each_place_gets_the_result_whatever_becomes_of_the_others_and_a_run_that_fails_leaves_no_file()
-> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let [json, new] = ["result.json", "new.json"].map(|name| scratch.path().join(name));
    let small = ["connect", "--sessions", "20", "--no-reference", "--json"];
    let full = std::fs::File::options().write(true).open("/dev/full")?;

    let mut measuring = bench(&[&small[..], &[text(&json)?, "--html", "/dev/full"]].concat())?;
    let measuring = measuring.stdout(full).stderr(Stdio::piped()).spawn()?;
    let output = timeout(DEADLINE, measuring.wait_with_output()).await??;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    for place in ["/dev/full: ", "to standard output: "] {
        assert!(said.contains(&format!("doorbell: cannot write {place}No space")), "{said}");
    }
    let result: Value = serde_json::from_slice(&std::fs::read(&json)?)?;
    assert_eq!(result["counts"]["welcomed"], 20);

    let (output, said) = run(&[&small[..], &[text(&json)?, "--html", "/dev/full"]].concat()).await?;
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("20 welcomed") && said.contains("written to /"), "{said}");

    let wrong = ["--set", "DOORBELL_GATEWAY__HEARTBEAT=soon", "--html", text(&json)?];
    let (output, said) = run(&[&small[..], &[text(&new)?], &wrong].concat()).await?;
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(!new.exists(), "an empty file");
    assert!(std::fs::metadata(&json)?.len() > 100, "an older result is kept");
    Ok(())
}

#[tokio::test]
async fn a_timeline_has_what_there_was_in_each_second_at_both_sides() -> anyhow::Result<()> {
    let result = measured(&["unicast", "--duration", "3s", "--rate", "500", "--processes", "2"]).await?;

    let timelines = result["timelines"].as_array().context("no timelines")?;
    let sides: Vec<_> = timelines.iter().map(|timeline| timeline["side"].as_str()).collect();
    assert_eq!(sides, [Some("doorbell"), Some("bare")]);
    for timeline in timelines {
        let seconds = timeline["seconds"].as_array().context("no seconds")?;
        let sum = |what: &str| seconds.iter().filter_map(|second| second[what].as_u64()).sum::<u64>();
        assert_eq!(sum("welcomed"), SESSIONS, "{timeline}");
        // The second that is not over at the end is not told of.
        let hints = sum("hints");
        assert!((500..=1_500).contains(&hints), "{hints} hints: {timeline}");
        for what in ["open", "server_cpu", "tool_cpu", "tool_busiest_cpu", "late_p50_us", "late_p99_us"] {
            assert!(seconds.iter().any(|second| second[what].as_f64() > Some(0.0)), "{what}: {timeline}");
        }
        assert!(seconds.iter().any(|second| second["part"] == "ringing"), "{timeline}");
    }
    Ok(())
}

#[tokio::test]
async fn what_the_tool_used_is_told_beside_what_the_server_used() -> anyhow::Result<()> {
    for (words, each) in [
        (&["connect", "--no-reference"][..], Some("tool_cpu_per_session")),
        (&["fanout", "--duration", "1s", "--rate", "50", "--no-reference"], Some("tool_cpu_per_hint")),
        (&["idle", "--duration", "1s", "--settle", "10ms"], None),
    ] {
        let result = measured(words).await?;

        let value = |name| figure(&result, name)?["value"].as_f64().context("no value");
        assert!(value("tool_cpu")? >= value("tool_cpu_busiest")?, "{result}");
        match each {
            Some(each) => above_zero(figure(&result, each)?, &["value"])?,
            None => assert!(figure(&result, "tool_cpu_per_session").is_err(), "{result}"),
        }
        // On a machine that has more to do, it may have waited for a CPU.
        assert!(result["tool_was_the_limit"].is_boolean(), "{result}");
    }
    Ok(())
}

#[tokio::test]
async fn a_tool_that_was_the_limit_is_told() -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let json = scratch.path().join("result.json");
    // On the tool's CPU are eight who never pause: it waits for that CPU, and hardly for a bare loop on another.
    let mut others = (0..8).map(|_| never_pausing_on("0")).collect::<Result<Vec<_>, _>>()?;
    let asked = ["connect", "--sessions", "2000", "--server-cpus", "1", "--tool-cpus", "0", "--json"];
    let (output, said) = run(&[&asked[..], &[text(&json)?]].concat()).await?;
    for other in &mut others {
        ensure!(other.try_wait()?.is_none(), "nothing was in the tool's way at the end");
        other.kill().await?;
    }

    ensure!(output.status.code() == Some(0), "{said}");
    let result: Value = serde_json::from_slice(&std::fs::read(json)?)?;
    assert_eq!(result["tool_was_the_limit"], true, "{said}");
    let limit =
        said.lines().find(|line| line.starts_with("note: the tool was the limit beside the bare loop"));
    assert!(limit.is_some_and(|note| note.contains("--tool-cpus")), "{said}");
    Ok(())
}

/// A process that runs on one CPU without an end, while what is given here is kept.
fn never_pausing_on(cpu: &str) -> std::io::Result<Child> {
    let words = ["-c", cpu, "sh", "-c", "while :; do :; done"];
    Command::new("taskset").args(words).kill_on_drop(true).spawn()
}
