//! A Doorbell of the tool's own whose roles are processes of their own.

use super::*;

#[tokio::test]
async fn gateways_are_measured_apart_from_the_other_roles() -> anyhow::Result<()> {
    let words = ["idle", "--sessions", "60", "--gateways", "2", "--duration", "1h"];
    let mut idle = bench(&words)?;
    let mut idle = idle.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    line_with(&mut idle, "at rest").await?;
    let pid = idle.id().context("it is gone")?;
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    let children: Vec<&str> = children.split_whitespace().collect();
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
        assert!(!Path::new("/proc").join(child).exists(), "{child} is still there");
    }
    Ok(())
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
