//! A topic with more publishes than can be told one by one.

use super::*;

/// A topic of more than ten followers is told once in 300 ms.
const MERGED: [&str; 4] = [
    "--set",
    "DOORBELL_GATEWAY__FANOUT_FOLLOWERS_LARGE=10",
    "--set",
    "DOORBELL_GATEWAY__FANOUT_INTERVAL=300ms",
];

#[tokio::test]
async fn a_hot_topic_is_told_seldom_by_both_sides_and_costs_are_compared_with_another_rate()
-> anyhow::Result<()> {
    let hot = ["hot", "--rate", "200", "--against", "20", "--duration", "2s"];
    let result = measured(&[&hot[..], &MERGED].concat()).await?;

    for name in ["cpu", "against_cpu", "cpu_ratio"] {
        above_zero(figure(&result, name)?, &["value"])?;
    }
    let counts = &result["counts"];
    assert_eq!((&counts["publishes"], &counts["followers"]), (&400.into(), &SESSIONS.into()));
    // One record a hint and not one a publish, at both rates and sides; and each hint was late by an interval, more or less.
    let hints = counts["hints delivered"].as_u64().context("no hints")?;
    assert!(hints <= 10 * SESSIONS, "not merged: {counts}");
    for spread in ["late", "against_late", "bare.late", "bare.against_late"] {
        let late = &result["spreads"][spread];
        assert!(late["count"].as_u64() >= Some(SESSIONS), "{spread}: {late}");
        assert!(late["count"].as_u64() <= Some(10 * SESSIONS), "{spread}: {late}");
        assert!(late["p99_us"].as_u64() > Some(200_000), "{spread}: {late}");
    }
    let seconds = result["timelines"][0]["seconds"].as_array().context("no seconds")?;
    for part in ["publishing 20/s", "publishing 200/s"] {
        assert!(seconds.iter().any(|second| second["part"] == part), "{part}: {seconds:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_follower_that_is_later_than_allowed_is_told_with_the_exit_code() -> anyhow::Result<()> {
    for what in [&["fanout", "--rate", "50"][..], &["hot", "--rate", "50"]] {
        let small = ["--sessions", "20", "--duration", "1s", "--within", "100ms", "--no-reference"];
        let (output, said) = run(&[what, &small, &MERGED].concat()).await?;

        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("one of the followers was") && said.contains("--within is 100ms"), "{said}");
        assert!(said.contains("hints a second"), "{said}");
    }
    Ok(())
}
