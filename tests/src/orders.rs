//! Orders to a build that obeys tests: which process dies where (the feature `sabotage`, `docs/faults.md`).

use std::path::PathBuf;

use anyhow::{Context, ensure};
use tempfile::TempDir;
use tokio::time::{Duration, Instant, interval};

/// How long a point may take to be passed.
const PASSED_DEADLINE: Duration = Duration::from_secs(15);
const LOOK_PAUSE: Duration = Duration::from_millis(5);

/// A folder of orders; none at first.
pub struct Orders {
    folder: TempDir,
}

impl Orders {
    /// No order.
    ///
    /// # Errors
    /// There is no room for a folder.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self { folder: tempfile::tempdir()? })
    }

    /// What processes look into, for `DOORBELL_FAILPOINTS`.
    ///
    /// # Errors
    /// The folder's name is no text.
    pub fn folder(&self) -> anyhow::Result<&str> {
        self.folder.path().to_str().context("a path is text")
    }

    /// The first process to pass the point aborts.
    ///
    /// # Errors
    /// The order cannot be written.
    pub fn abort(&self, point: &str) -> anyhow::Result<()> {
        self.give(point, "abort")
    }

    /// The first to pass the point waits there for ever.
    ///
    /// # Errors
    /// The order cannot be written.
    pub fn hold(&self, point: &str) -> anyhow::Result<()> {
        self.give(point, "hold")
    }

    /// The first to pass the point is stopped, as by SIGSTOP.
    ///
    /// # Errors
    /// The order cannot be written.
    pub fn stop(&self, point: &str) -> anyhow::Result<()> {
        self.give(point, "stop")
    }

    /// Waits until somebody has taken the order for a point.
    ///
    /// # Errors
    /// Nobody does in time.
    pub async fn taken(&self, point: &str) -> anyhow::Result<()> {
        let deadline = Instant::now() + PASSED_DEADLINE;
        let mut looks = interval(LOOK_PAUSE);
        while self.file(point).exists() {
            ensure!(Instant::now() < deadline, "nobody passed {point}");
            looks.tick().await;
        }
        Ok(())
    }

    fn file(&self, point: &str) -> PathBuf {
        self.folder.path().join(point)
    }

    /// In one step: half an order must not be read.
    fn give(&self, point: &str, order: &str) -> anyhow::Result<()> {
        let draft = self.file("draft");
        std::fs::write(&draft, order)?;
        Ok(std::fs::rename(draft, self.file(point))?)
    }
}
