//! All sessions lost at once.

use super::*;

fn count(result: &Value, name: &str) -> anyhow::Result<u64> {
    result["counts"][name].as_u64().with_context(|| format!("no count {name}: {}", result["counts"]))
}

/// All of them were lost, and are back and current without a failure.
fn all_came_back(result: &Value) -> anyhow::Result<()> {
    for (name, number) in [
        ("lost", SESSIONS),
        ("back", SESSIONS),
        ("current again", SESSIONS),
        ("sessions open at the end", SESSIONS),
        ("failed otherwise", 0),
    ] {
        ensure!(count(result, name)? == number, "{name}: {}", result["counts"]);
    }
    for spread in ["back", "current"] {
        ensure!(result["spreads"][spread]["count"] == SESSIONS, "{spread}: {}", result["spreads"][spread]);
    }
    Ok(())
}

#[tokio::test]
async fn sessions_that_are_cut_all_at_once_come_back_and_are_current() -> anyhow::Result<()> {
    let result = measured(&["storm", "--processes", "2", "--settle", "100ms"]).await?;

    all_came_back(&result)?;
    for name in ["back_p50", "back_max", "current_p99", "sessions_per_second", "tries_per_session"] {
        above_zero(figure(&result, name)?, &["value", "reference", "ratio"])?;
    }
    above_zero(figure(&result, "cpu_per_session")?, &["value"])?;
    assert_eq!(result["spreads"]["bare.current"]["count"], SESSIONS);
    Ok(())
}

#[tokio::test]
async fn who_is_turned_away_at_the_door_comes_back_when_it_may_and_that_is_no_failure() -> anyhow::Result<()>
{
    let result = measured(&[
        "storm",
        "--settle",
        "1s",
        "--no-reference",
        "--encoding",
        "msgpack",
        "--set",
        "DOORBELL_LISTENER__ACCEPTS_BURST=100",
        "--set",
        "DOORBELL_LISTENER__ACCEPTS_PER_SECOND=100",
    ])
    .await?;

    all_came_back(&result)?;
    let (here, told) = (
        count(&result, "turned away by the door (503)")?,
        count(&result, "turned away, as the server counts")?,
    );
    let connections = count(&result, "connections of those who came back")?;
    assert!(here > 0 && told >= here, "{}", result["counts"]);
    assert_eq!(connections, SESSIONS + here + count(&result, "ended before an answer")?);
    // A door says one second at least.
    above_zero(figure(&result, "tries_most")?, &["value"])?;
    assert!(result["spreads"]["back"]["max_us"].as_u64() >= Some(1_000_000), "{}", result["spreads"]["back"]);
    // It took some seconds, of which the last is not in the timeline.
    let seconds = result["timelines"][0]["seconds"].as_array().context("no seconds")?;
    let welcomes: u64 = seconds.iter().filter_map(|second| second["welcomed"].as_u64()).sum();
    assert!(welcomes > SESSIONS, "who comes back is seen second by second: {seconds:?}");
    Ok(())
}

#[tokio::test]
async fn sessions_of_a_server_that_is_killed_come_back_to_its_successor() -> anyhow::Result<()> {
    for shape in [&[][..], &["--gateways", "2"]] {
        let words = ["storm", "--kill", "--settle", "100ms", "--processes", "2", "--no-reference"];
        let result = measured(&[&words, shape].concat()).await?;

        all_came_back(&result)?;
        above_zero(figure(&result, "ready")?, &["value"])?;
        // Some of three hundred try before there is a server again, and that is no failure.
        ensure!(count(&result, "without a server to take them")? > 0, "{}", result["counts"]);
    }
    Ok(())
}

#[tokio::test]
async fn a_session_that_comes_back_later_than_allowed_is_told_with_the_exit_code() -> anyhow::Result<()> {
    let small = ["storm", "--sessions", "20", "--settle", "100ms", "--within", "1us", "--no-reference"];
    let (output, said) = run(&small).await?;

    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("a session was back and current") && said.contains("--within is 1us"), "{said}");
    assert!(said.contains("loss to current: all within"), "{said}");
    Ok(())
}
