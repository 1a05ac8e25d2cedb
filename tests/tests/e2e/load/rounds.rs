//! Both sides by turns, and the CPUs that each of them has.

use super::*;

#[tokio::test]
async fn in_each_second_round_the_bare_loop_comes_first_and_medians_are_told() -> anyhow::Result<()> {
    let result = measured(&["connect", "--rounds", "3"]).await?;

    let rounds = result["rounds"].as_array().context("no rounds")?;
    let first: Vec<_> = rounds.iter().map(|round| round["first"].as_str().unwrap_or_default()).collect();
    assert_eq!(first, ["doorbell", "bare", "doorbell"]);
    for part in ["value", "ratio"] {
        let mut each = rounds
            .iter()
            .map(|round| figure(round, "sessions_per_second")?[part].as_f64().context("no figure"))
            .collect::<anyhow::Result<Vec<f64>>>()?;
        each.sort_by(f64::total_cmp);
        let all = figure(&result, "sessions_per_second")?;
        assert_eq!(all[part].as_f64(), Some(each[1]), "{all}");
        assert_eq!(all[format!("{part}_range")], serde_json::json!([each[0], each[2]]), "{all}");
    }
    assert_eq!(result["counts"]["welcomed"], 3 * SESSIONS);
    for spread in ["welcome", "bare.welcome"] {
        assert_eq!(result["spreads"][spread]["count"], 3 * SESSIONS, "{spread}");
        assert_eq!(rounds[1]["spreads"][spread]["count"], SESSIONS, "{spread}");
    }
    Ok(())
}

#[tokio::test]
async fn server_and_tool_run_on_the_cpus_that_they_were_given() -> anyhow::Result<()> {
    let all = std::fs::read_to_string("/proc/self/status")?;
    let all = cpus(&all)?;
    // Where there is one alone, both have it.
    let (first, last) = (all.split([',', '-']).next(), all.rsplit([',', '-']).next());
    let (first, last) = first.zip(last).context("no CPU")?;
    let pinned = ["--sessions", "20", "--server-cpus", first, "--tool-cpus", last];
    let mut idle = bench(&[&["idle", "--duration", "1h"], &pinned[..]].concat())?;
    let mut idle = idle.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    line_with(&mut idle, "at rest").await?;

    let pid = idle.id().context("it is gone")?;
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    let mut seen = vec![cpus(&std::fs::read_to_string(format!("/proc/{pid}/status"))?)?.to_owned()];
    for child in children.split_whitespace() {
        let line = std::fs::read_to_string(format!("/proc/{child}/cmdline"))?;
        // All threads of it.
        for thread in std::fs::read_dir(format!("/proc/{child}/task"))? {
            let found = cpus(&std::fs::read_to_string(thread?.path().join("status"))?)?.to_owned();
            assert_eq!(found, if line.contains("serve") { first } else { last }, "{line}");
        }
        seen.push(line);
    }
    assert_eq!((seen.len(), seen[0].as_str()), (3, last));

    kill("-INT", &pid.to_string()).await?;
    let output = timeout(DEADLINE, idle.wait_with_output()).await??;
    assert_eq!(output.status.code(), Some(130));
    Ok(())
}

fn cpus(status: &str) -> anyhow::Result<&str> {
    let found = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    Ok(found.context("no CPUs")?.trim())
}
