//! A Doorbell of the tool's own whose roles are processes of their own.

use super::*;

#[tokio::test]
async fn gateways_are_measured_apart_from_the_other_roles() -> anyhow::Result<()> {
    let words = ["idle", "--sessions", "60", "--gateways", "2", "--duration", "1h"];
    let mut idle = bench(&words)?;
    let mut idle = idle.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    line_with(&mut idle, "at rest").await?;
    let (pid, children) = (idle.id().context("it is gone")?, children(&idle)?);
    let mut held = Vec::new();
    for child in &children {
        let line = std::fs::read_to_string(format!("/proc/{child}/cmdline"))?;
        if line.contains("--roles\0gateway\0") {
            held.push(std::fs::read_dir(format!("/proc/{child}/fd"))?.count());
        }
    }
    // Redis, three other roles, two gateways, and the process with the sockets, which are spread over both gateways.
    assert_eq!((children.len(), held.len()), (7, 2));
    assert!(held[0].abs_diff(held[1]) < 20 && held[0] > 30, "{held:?}");

    kill("-INT", &pid.to_string()).await?;
    let output = timeout(DEADLINE, idle.wait_with_output()).await??;
    assert_eq!(output.status.code(), Some(130));
    for child in children {
        assert!(!Path::new("/proc").join(&child).exists(), "{child} is still there");
    }
    Ok(())
}

#[tokio::test]
async fn a_tool_that_is_killed_takes_all_that_it_started_with_it() -> anyhow::Result<()> {
    let mut idle = bench(&["idle", "--sessions", "60", "--gateways", "2", "--duration", "1h"])?;
    let mut idle = idle.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    line_with(&mut idle, "at rest").await?;
    let children = children(&idle)?;
    assert_eq!(children.len(), 7);
    let ranks: Vec<i64> = children.iter().map(|child| niceness(child)).collect::<anyhow::Result<_>>()?;

    idle.kill().await?;

    let all_gone = async {
        while children.iter().any(|child| is_running(child)) {
            tokio::task::yield_now().await;
        }
    };
    let gone = timeout(Duration::from_secs(10), all_gone).await;
    let left: Vec<&String> = children.iter().filter(|child| is_running(child)).collect();
    for child in &left {
        kill("-KILL", child).await?;
    }
    assert!(gone.is_ok(), "{left:?} of {children:?} are still there");
    // Two gateways and the process with the sockets give way to the other roles, and Redis goes before all, where it may.
    let own = niceness("self")?;
    let mut ranks = ranks;
    ranks.sort_unstable();
    assert!([own, (own - 15).max(-20)].contains(&ranks[0]), "{ranks:?}");
    let given_way = (own + 19).min(19);
    assert_eq!(ranks[1..], [own, own, own, given_way, given_way, given_way]);
    Ok(())
}

/// How a process stands to others on the same cores, as the kernel tells.
fn niceness(pid: &str) -> anyhow::Result<i64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, rest) = stat.rsplit_once(") ").context("no state")?;
    Ok(rest.split(' ').nth(16).context("no rank")?.parse()?)
}

#[tokio::test]
async fn users_of_several_gateways_are_rung_and_all_processes_end_well() -> anyhow::Result<()> {
    let words = ["unicast", "--gateways", "2", "--duration", "1s", "--rate", "500", "--no-reference"];
    let result = measured(&words).await?;

    let counts = &result["counts"];
    assert_eq!((&counts["rings"], &counts["rings learned of"]), (&500.into(), &500.into()));
    let notes = result["notes"].as_array().context("no notes")?;
    assert!(notes.iter().any(|note| note.as_str().is_some_and(|note| note.contains("gateways alone"))));
    Ok(())
}
