//! A full disk: sends are refused, nothing acknowledged is lost, reads go on, and it recovers by itself.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use doorbell_protocol::ErrorCode;
use doorbell_tests::{Client, Doorbell};
use serde_json::json;
use tokio::time::Instant;

use crate::{direct, join, texts, unthrottled};

/// A small file system of its own, gone when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None`, and a word about it, where nothing can be mounted, as without root; in CI that is a failure.
    fn mount(at: &Path, megabytes: u32) -> anyhow::Result<Option<Self>> {
        let size = format!("size={megabytes}m");
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at).status()?;
        if done.success() {
            return Ok(Some(Self(at.to_owned())));
        }
        ensure!(ci().is_none(), "CI must be able to mount a tmpfs");
        eprintln!("SKIPPED: mounting a small file system takes root");
        Ok(None)
    }
}

#[expect(clippy::disallowed_methods, reason = "a test asks whether it runs in CI")]
fn ci() -> Option<String> {
    std::env::var("CI").ok()
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: the process on it may still be ending.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test]
async fn a_full_disk_refuses_sends_and_loses_nothing() -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let Some(disk) = SmallDisk::mount(scratch.path(), 192)? else { return Ok(()) };
    let options = unthrottled().with("DOORBELL_MESSAGE__DISK_RESERVE_BYTES", "16777216");
    let doorbell = Doorbell::start_in(&disk.0.join("data"), options.clone()).await?;
    let mut ada = join(&doorbell, "ada").await?;
    let conversation = direct(&mut ada, "bob").await?;
    let ballast = disk.0.join("ballast");

    fill(&ballast, &disk.0)?;
    let refused =
        send(&mut ada, &conversation, "while full").await?.err().context("a send on a full disk")?;
    assert_eq!(refused.code, ErrorCode::Unavailable);
    assert!(refused.retry_after_ms.is_some());
    assert_eq!(texts(&ada.pull(&conversation, 0).await?), ["first"], "reads go on");

    std::fs::remove_file(&ballast)?;
    let deadline = Instant::now() + doorbell_tests::client::DEADLINE;
    while send(&mut ada, &conversation, "after").await?.is_err() {
        ensure!(Instant::now() < deadline, "it did not recover");
        tokio::task::yield_now().await;
    }
    assert_eq!(texts(&ada.pull(&conversation, 0).await?), ["first", "after"]);

    doorbell.kill().await?;
    let doorbell = Doorbell::start_in(&disk.0.join("data"), options).await?;
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

/// Writes until the disk has no room left.
fn fill(ballast: &Path, disk: &Path) -> anyhow::Result<()> {
    use std::io::Write;
    let mut file = std::fs::File::create(ballast)?;
    let block = vec![0; 1 << 20];
    loop {
        match file.write_all(&block) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::StorageFull => return Ok(()),
            Err(error) => return Err(error).with_context(|| format!("filling {}", disk.display())),
        }
    }
}
