//! All at once.

use super::*;

/// What every run of it comes to, where a follower is told each time.
fn all_was_heard(result: &Value, rings: u64, steady: u64) -> anyhow::Result<u64> {
    let counts = &result["counts"];
    let publishes = counts["publishes"].as_u64().context("no publishes")?;
    for (name, number) in [
        ("sessions open at the end", SESSIONS),
        ("rings", rings),
        ("rings learned of", rings),
        ("rings refused", 0),
        ("failed", 0),
    ] {
        ensure!(counts[name] == number, "{name} is not {number}: {counts}");
    }
    ensure!(publishes > 0 && counts["hints of the topic"].as_u64() >= Some(publishes * steady), "{counts}");
    Ok(publishes)
}

#[tokio::test]
async fn rings_beside_fan_outs_without_a_pause_are_compared_with_rings_alone() -> anyhow::Result<()> {
    let words = ["mixed", "--alone", "1s", "--duration", "2s", "--ring-rate", "500", "--processes", "2"];
    let result = measured(&words).await?;

    let publishes = all_was_heard(&result, 1_500, SESSIONS)?;
    assert!(publishes > 3, "{publishes}");
    for (spread, number) in [("alone_late_ring", 500), ("late_ring", 1_000), ("late", publishes * SESSIONS)] {
        assert_eq!(result["spreads"][spread]["count"], number, "{spread}");
    }
    let p99 = |spread: &str| result["spreads"][spread]["p99_us"].as_f64().context("no spread");
    let ratio = figure(&result, "late_ring_ratio")?["value"].as_f64().context("no ratio")?;
    assert!((ratio - p99("late_ring")? / p99("alone_late_ring")?).abs() < 1e-9, "{ratio}");
    assert!(figure(&result, "memory_growth")?["value"].is_f64());
    let seconds = result["timelines"][0]["seconds"].as_array().context("no seconds")?;
    // The second that is not over at the end is not told of, nor what one had before it was measured anew.
    let told = seconds.iter().filter_map(|second| second["rings"].as_u64()).sum::<u64>();
    assert!((1..=1_500).contains(&told), "{told}: {seconds:?}");
    assert!(seconds.iter().any(|second| second["late_ring_p99_us"].as_u64() > Some(0)), "{seconds:?}");
    Ok(())
}

#[tokio::test]
async fn sessions_leave_and_come_back_and_slow_readers_catch_up_while_the_others_are_told()
-> anyhow::Result<()> {
    let result = measured(&[
        "mixed",
        "--alone",
        "500ms",
        "--duration",
        "2s",
        "--ring-rate",
        "200",
        "--publish-every",
        "300ms",
        "--churn-rate",
        "20",
        "--slow",
        "3",
        "--processes",
        "2",
        "--encoding",
        "msgpack",
    ])
    .await?;

    // A tenth comes and goes, and three read nothing: neither is rung.
    let steady = SESSIONS - SESSIONS / 10 - 3;
    let publishes = all_was_heard(&result, 100 + 400 + 400, steady)?;
    // Twice two seconds, one in 300 ms.
    assert!((6..=16).contains(&publishes), "{publishes}");
    let counts = &result["counts"];
    let left = counts["left"].as_u64().context("nobody left")?;
    // Twice 20 a second for two seconds, but for those who were still on their way back.
    assert!((40..=80).contains(&left), "{counts}");
    assert_eq!((&counts["back"], &counts["current again"]), (&left.into(), &left.into()));
    assert_eq!(result["spreads"]["back"]["count"], left);
    for name in ["late_p99", "slow_late_p99", "slow_late_ring_ratio", "slow_late_ring_p99", "back_p50"] {
        above_zero(figure(&result, name)?, &["value"])?;
    }
    Ok(())
}

#[tokio::test]
async fn a_server_waits_for_who_reads_nothing_and_the_others_are_told() -> anyhow::Result<()> {
    // One publish after the other: some thousand fill what the kernels hold.
    let words = ["mixed", "--alone", "500ms", "--duration", "8s", "--ring-rate", "100", "--slow", "2"];
    let result = measured(&words).await?;

    let counts = &result["counts"];
    assert_eq!(counts["slow readers that the server waited for"], 2, "{counts}");
    assert_eq!(
        (&counts["sessions open at the end"], &counts["rings refused"]),
        (&SESSIONS.into(), &0.into())
    );
    let parts: std::collections::BTreeSet<_> = result["timelines"][0]["seconds"]
        .as_array()
        .context("no seconds")?
        .iter()
        .filter_map(|second| second["part"].as_str())
        .collect();
    for part in ["rings beside fan-outs", "beside slow readers"] {
        assert!(parts.contains(part), "{part}: {parts:?}");
    }
    Ok(())
}

#[tokio::test]
async fn too_few_sessions_for_what_is_asked_are_refused() -> anyhow::Result<()> {
    for words in [["--slow", "20"], ["--churn-rate", "3"]] {
        let (output, said) = run(&[&["mixed", "--sessions", "20"], &words[..]].concat()).await?;

        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("20 sessions are too few"), "{said}");
    }
    Ok(())
}
