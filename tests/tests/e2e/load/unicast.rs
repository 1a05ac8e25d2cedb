//! Users who are rung one by one.

use super::*;

#[tokio::test]
async fn every_user_learns_of_every_ring_at_a_rate_and_lap_by_lap() -> anyhow::Result<()> {
    for (pace, encoding) in [(&["--rate", "2000"][..], "msgpack"), (&[], "json")] {
        let words =
            ["unicast", "--duration", "2s", "--processes", "2", "--batch", "50", "--encoding", encoding];
        let result = measured(&[&words[..], pace].concat()).await?;

        let counts = &result["counts"];
        let rings = counts["rings"].as_u64().context("no rings")?;
        if pace.is_empty() {
            assert!(rings > SESSIONS && rings.is_multiple_of(SESSIONS), "{counts}");
            // Each lap is rung in calls of 50, and nothing of it merges with the lap before.
            assert_eq!(counts["calls"], rings / 50);
            assert!(counts["hints delivered"].as_u64() >= Some(rings), "{counts}");
        } else {
            assert_eq!(rings, 4_000);
            assert!(counts["calls"].as_u64() >= Some(80), "{counts}");
        }
        assert_eq!((&counts["rings learned of"], &counts["rings refused"]), (&rings.into(), &0.into()));
        assert_eq!(result["spreads"]["late"]["count"], rings);
        for name in ["hints_per_second", "late_p99"] {
            above_zero(figure(&result, name)?, &["value", "reference", "ratio"])?;
        }
        above_zero(figure(&result, "cpu_per_hint")?, &["value"])?;
    }
    Ok(())
}

#[tokio::test]
async fn rings_that_are_refused_and_users_that_are_rung_late_are_told_with_the_exit_code()
-> anyhow::Result<()> {
    let small = ["unicast", "--sessions", "20", "--duration", "1s", "--rate", "1000", "--no-reference"];
    // The burst is as many as one hint may name; a second has a thousand rings, and one in a hundred seconds is let through.
    let limits = ["USERS_PER_SECOND=1", "USERS_BURST=100", "USERS_MAX=100"];
    let limits = limits.map(|limit| format!("DOORBELL_HINTS__{limit}"));
    let limits = limits.iter().flat_map(|limit| ["--set", limit]).collect::<Vec<_>>();
    let (output, said) = run(&[&small[..], &limits].concat()).await?;

    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("of 1000 rings were refused: a publish is answered with HTTP/1.1 429"), "{said}");
    assert!(said.contains("users learned of") && said.contains("and 1000 were due to them"), "{said}");

    let (output, said) = run(&[&small[..], &["--within", "1us"]].concat()).await?;

    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("one of the users was") && said.contains("--within is 1us"), "{said}");
    Ok(())
}
