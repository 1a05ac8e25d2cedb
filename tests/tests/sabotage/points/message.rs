//! The message service dies around its commit.

use std::path::PathBuf;

use anyhow::ensure;

use crate::stage::{ONE_OF_EACH, Stage};

const DIES: &str = "message-1";

/// Sent again under its key, the message is where it was said to be, once.
async fn is_there_once(stage: &mut Stage) -> anyhow::Result<()> {
    let sent = stage.say("second").await?;
    assert_eq!(sent.version, 2);
    assert_eq!(stage.say("second").await?, sent, "every answer is the same");
    stage.knows(2).await?;
    assert_eq!(stage.log().await?, ["first", "second"]);
    Ok(())
}

#[tokio::test]
async fn k1_a_send_that_was_not_written_is_not_there_and_once_after_its_repeat() -> anyhow::Result<()> {
    let mut stage = Stage::start(ONE_OF_EACH, &[]).await?;

    stage.orders.abort("message.before-write")?;
    assert_eq!(stage.try_say("second").await?, None);
    stage.cluster.dies(DIES).await?;

    assert_eq!(stage.log().await?, ["first"]);
    is_there_once(&mut stage).await?;
    stage.end().await
}

/// The kernel has it, the disk does not: whether it is there after it is left to chance.
#[tokio::test]
async fn k2_a_send_that_was_written_and_not_synced_is_not_acknowledged_and_once_after_its_repeat()
-> anyhow::Result<()> {
    let mut stage = Stage::start(ONE_OF_EACH, &[]).await?;

    stage.orders.abort("message.written")?;
    assert_eq!(stage.try_say("second").await?, None);
    stage.cluster.dies(DIES).await?;

    is_there_once(&mut stage).await?;
    stage.end().await
}

/// As above, and the power goes as well: what was not synced is gone.
#[tokio::test]
async fn k2_a_send_whose_unsynced_bytes_are_lost_is_once_after_its_repeat() -> anyhow::Result<()> {
    // Time enough to put the journal back.
    let mut stage = Stage::start(doorbell_tests::Shape { restart_after: "3s", ..ONE_OF_EACH }, &[]).await?;
    let synced = journals(&stage)?;

    stage.orders.abort("message.written")?;
    assert_eq!(stage.try_say("second").await?, None);
    stage.cluster.dies(DIES).await?;
    let written = journals(&stage)?;
    synced.iter().try_for_each(|(path, bytes)| std::fs::write(path, bytes))?;
    ensure!(!stage.cluster.runs(DIES)?, "it was started before its journal was put back");

    ensure!(written != synced, "nothing was written");
    assert_eq!(stage.log().await?, ["first"]);
    is_there_once(&mut stage).await?;
    stage.end().await
}

/// Whoever has the message service's journals, and what is in them.
fn journals(stage: &Stage) -> anyhow::Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut found = Vec::new();
    for file in std::fs::read_dir(stage.cluster.dir().join("messages/log"))? {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == "jnl") {
            let bytes = std::fs::read(&path)?;
            found.push((path, bytes));
        }
    }
    ensure!(!found.is_empty(), "there is no journal");
    Ok(found)
}

#[tokio::test]
async fn k3_a_send_that_was_synced_and_not_announced_is_hinted_and_its_repeat_answered_alike()
-> anyhow::Result<()> {
    let mut stage = Stage::start(ONE_OF_EACH, &[]).await?;

    stage.orders.abort("message.durable")?;
    assert_eq!(stage.try_say("second").await?, None);
    stage.cluster.dies(DIES).await?;

    stage.knows(2).await?;
    is_there_once(&mut stage).await?;
    stage.end().await
}

#[tokio::test]
async fn k4_a_send_that_was_announced_and_not_acknowledged_is_once_after_its_repeat() -> anyhow::Result<()> {
    let mut stage = Stage::start(ONE_OF_EACH, &[]).await?;

    // The answer is held back until the announcer has come to its point.
    stage.orders.hold("message.before-answer")?;
    stage.orders.abort("message.announced")?;
    assert_eq!(stage.try_say("second").await?, None);
    stage.orders.taken("message.before-answer").await?;
    stage.cluster.dies(DIES).await?;

    stage.knows(2).await?;
    is_there_once(&mut stage).await?;
    stage.end().await
}
