//! A full disk (D1) and a failed write (D2): on a small file system of its own, which takes root to mount.

use std::fs::File;
use std::io::Write;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use doorbell_message_svc::Config;
use doorbell_protocol::{ErrorBody, ErrorCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Bells, Hands, House, config, fresh_key, open_in};

/// A file system in memory, gone when it is dropped.
struct SmallDisk {
    dir: Arc<TempDir>,
}

impl SmallDisk {
    /// `None`, and a word about it, where nothing can be mounted, as without root; in CI that is a failure.
    fn mount(mebibytes: u32) -> Option<Self> {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        let size = format!("size={mebibytes}m");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(dir.path());
        match mount.status() {
            Ok(status) if status.success() => Some(Self { dir }),
            _ => {
                assert!(ci().is_none(), "CI must be able to mount a tmpfs");
                eprintln!("SKIPPED: mounting a small file system takes root");
                None
            }
        }
    }

    /// Fills the disk but for so many bytes.
    fn ballast(&self, left: u64) -> Ballast {
        let path = self.dir.path().join("ballast");
        let mut file = File::create(&path).unwrap();
        let disk = rustix::fs::statvfs(self.dir.path()).unwrap();
        let mut bytes = (disk.f_bavail * disk.f_frsize).saturating_sub(left);
        let block = vec![1; 64 * 1024];
        while bytes > 0 {
            let part = usize::try_from(bytes.min(block.len() as u64)).unwrap();
            match file.write(&block[..part]) {
                Ok(written) => bytes -= written as u64,
                Err(_) => break,
            }
        }
        Ballast(path)
    }
}

#[expect(clippy::disallowed_methods, reason = "a test asks whether it runs in CI")]
fn ci() -> Option<String> {
    std::env::var("CI").ok()
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(self.dir.path()).status().unwrap();
    }
}

/// Space is back when it is dropped.
struct Ballast(std::path::PathBuf);

impl Drop for Ballast {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).unwrap();
    }
}

fn house_on(disk: &SmallDisk, config: Config) -> House {
    let hands = Hands::new();
    let bells = Bells::new(hands.clock());
    let service = open_in(disk.dir.path(), &config, &hands, &bells, &Arc::default()).unwrap();
    House::around(service, bells, hands, config, disk.dir.clone())
}

async fn send(house: &House, conversation: &str, key: &str) -> Result<Value, ErrorBody> {
    let params = json!({"conversation": conversation, "key": key, "text": key.repeat(600)});
    house.call("ada", "messages.send", params).await
}

/// Sends until it is refused; answers the keys that were acknowledged, and the one that was not.
async fn fill(house: &House, conversation: &str) -> (Vec<String>, String) {
    let mut acknowledged = Vec::new();
    for _ in 0..20_000 {
        let key = fresh_key();
        match send(house, conversation, &key).await {
            Ok(_) => acknowledged.push(key),
            Err(error) => {
                assert_eq!(error.code, ErrorCode::Unavailable);
                assert!(error.retry_after_ms.is_some());
                return (acknowledged, key);
            }
        }
    }
    panic!("the disk never became full");
}

/// Repeats a send until it goes through, as a client does.
async fn send_until_ok(house: &House, conversation: &str, key: &str) -> u64 {
    let mut again = tokio::time::interval(Duration::from_millis(20));
    let sent = async {
        loop {
            again.tick().await;
            if let Ok(sent) = send(house, conversation, key).await {
                return sent["version"].as_u64().unwrap();
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), sent).await.expect("writes come back by themselves")
}

/// Every acknowledged key is there, in order, densely, each once.
async fn check(house: &House, conversation: &str, acknowledged: &[String]) {
    let mut texts = Vec::new();
    loop {
        let page = house.texts("bob", conversation, texts.len() as u64).await;
        if page.is_empty() {
            break;
        }
        texts.extend(page);
    }
    let expected: Vec<String> = acknowledged.iter().map(|key| key.repeat(600)).collect();
    assert!(texts == expected, "{} texts, {} expected", texts.len(), expected.len());
}

#[tokio::test]
async fn a_full_disk_refuses_sends_serves_reads_and_comes_back_by_itself() {
    let Some(disk) = SmallDisk::mount(64) else { return };
    // The reserve is the default: of so small a disk, an eighth.
    let house =
        house_on(&disk, Config { disk_reserve_bytes: Config::default().disk_reserve_bytes, ..config() });
    let conversation = house.group("ada", &["bob"]).await;
    let ballast = disk.ballast(11 << 20);

    let (mut acknowledged, refused) = fill(&house, &conversation).await;
    assert!(acknowledged.len() > 10, "{}", acknowledged.len());
    check(&house, &conversation, &acknowledged).await;
    assert!(house.service().is_sound(), "a full disk takes nothing but time");
    assert!(send(&house, &conversation, &refused).await.is_err(), "still full");

    drop(ballast);
    assert_eq!(send_until_ok(&house, &conversation, &refused).await, acknowledged.len() as u64 + 1);
    acknowledged.push(refused);
    check(&house, &conversation, &acknowledged).await;
}

#[tokio::test]
async fn after_a_write_that_failed_the_store_is_opened_again_and_nothing_acknowledged_is_gone() {
    let Some(disk) = SmallDisk::mount(64) else { return };
    let config = Config { disk_reserve_bytes: 0, recover_interval: Duration::from_millis(50), ..config() };
    let mut house = house_on(&disk, config);
    house.run();
    let conversation = house.group("ada", &["bob"]).await;
    let ballast = disk.ballast(3 << 19);

    let (mut acknowledged, refused) = fill(&house, &conversation).await;
    assert!(!acknowledged.is_empty());

    drop(ballast);
    let version = send_until_ok(&house, &conversation, &refused).await;
    assert_eq!(version, acknowledged.len() as u64 + 1, "whether it had happened or not, it is there once");
    acknowledged.push(refused);
    check(&house, &conversation, &acknowledged).await;
    assert!(house.service().is_sound());
    house.bells.rung("bob", &format!("conversation:{conversation}"), version).await;

    let house = house.reopen().await;
    check(&house, &conversation, &acknowledged).await;
}
