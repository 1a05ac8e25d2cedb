//! A full disk: sends are refused, nothing acknowledged is lost, reads go on, and it recovers by itself.

use anyhow::{Context, ensure};
use doorbell_protocol::ErrorCode;
use doorbell_tests::{Client, Doorbell, SmallDisk};
use serde_json::json;
use tokio::time::Instant;

use crate::{direct, join, texts, unthrottled};

#[tokio::test]
async fn a_full_disk_refuses_sends_and_loses_nothing() -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let Some(disk) = SmallDisk::mount(scratch.path(), 192)? else { return Ok(()) };
    let options = unthrottled().with("DOORBELL_MESSAGE__DISK_RESERVE_BYTES", "16777216");
    let doorbell = Doorbell::start_in(&disk.path().join("data"), options.clone()).await?;
    let mut ada = join(&doorbell, "ada").await?;
    let conversation = direct(&mut ada, "bob").await?;

    disk.fill()?;
    let refused =
        send(&mut ada, &conversation, "while full").await?.err().context("a send on a full disk")?;
    assert_eq!(refused.code, ErrorCode::Unavailable);
    assert!(refused.retry_after_ms.is_some());
    assert_eq!(texts(&ada.pull(&conversation, 0).await?), ["first"], "reads go on");

    disk.empty()?;
    let deadline = Instant::now() + doorbell_tests::client::DEADLINE;
    while send(&mut ada, &conversation, "after").await?.is_err() {
        ensure!(Instant::now() < deadline, "it did not recover");
        tokio::task::yield_now().await;
    }
    assert_eq!(texts(&ada.pull(&conversation, 0).await?), ["first", "after"]);

    doorbell.kill().await?;
    let doorbell = Doorbell::start_in(&disk.path().join("data"), options).await?;
    assert_eq!(texts(&join(&doorbell, "bob").await?.pull(&conversation, 0).await?), ["first", "after"]);
    doorbell.kill().await?;
    Ok(())
}

async fn send(
    client: &mut Client,
    conversation: &str,
    text: &str,
) -> anyhow::Result<Result<serde_json::Value, doorbell_protocol::ErrorBody>> {
    let key = text.replace(' ', "-");
    client.try_call("messages.send", json!({"conversation": conversation, "key": key, "text": text})).await
}
