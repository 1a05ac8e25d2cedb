//! A Doorbell of the tool's own: one process on the loopback, on a fresh data directory.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use async_trait::async_trait;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};

use super::{Cluster, Process};

/// A start takes well under a second; a loaded machine may take longer.
const READY_DEADLINE: Duration = Duration::from_secs(30);
/// How long a signal may take to be seen.
const SEEN_DEADLINE: Duration = Duration::from_secs(5);

/// One process with everything in it.
pub struct LocalProcess {
    binary: PathBuf,
    folder: PathBuf,
    /// Configuration as environment variables.
    env: Vec<(String, String)>,
    address: String,
    child: Mutex<Child>,
}

impl LocalProcess {
    /// Starts it on a free port of the loopback. Data and log go to `folder`.
    ///
    /// # Errors
    /// It does not get ready in time; its log says why.
    pub async fn start(binary: &Path, folder: &Path, env: Vec<(String, String)>) -> anyhow::Result<Self> {
        let (child, address) = start(binary, folder, &env, "127.0.0.1:0").await?;
        let (binary, folder) = (binary.to_owned(), folder.to_owned());
        Ok(Self { binary, folder, env, address, child: Mutex::new(child) })
    }
}

#[async_trait]
impl Cluster for LocalProcess {
    fn processes(&self) -> Vec<String> {
        vec!["doorbell".to_owned()]
    }

    fn urls(&self) -> Vec<String> {
        vec![format!("ws://{}", self.address)]
    }

    fn metrics_urls(&self) -> Vec<String> {
        vec![format!("http://{}/metrics", self.address)]
    }

    fn key_file(&self) -> PathBuf {
        self.folder.join("data/key")
    }

    async fn end(&self) -> anyhow::Result<()> {
        let mut child = self.child.lock().await;
        signal(&child, Signal::TERM)?;
        timeout(READY_DEADLINE, child.wait()).await.context("doorbell did not end")??;
        Ok(())
    }

    fn answers_sends(&self, _: Process) -> bool {
        true
    }

    async fn kill(&self, _: Process) -> anyhow::Result<()> {
        use std::os::unix::process::ExitStatusExt;
        let mut child = self.child.lock().await;
        child.start_kill()?;
        let status = timeout(SEEN_DEADLINE, child.wait()).await.context("it was not gone in time")??;
        ensure!(status.signal() == Some(9), "it had ended by itself: {status}");
        Ok(())
    }

    async fn restart(&self, _: Process) -> anyhow::Result<()> {
        let (child, _) = start(&self.binary, &self.folder, &self.env, &self.address).await?;
        *self.child.lock().await = child;
        Ok(())
    }

    async fn stop(&self, _: Process) -> anyhow::Result<()> {
        let child = self.child.lock().await;
        signal(&child, Signal::STOP)?;
        seen(&child, |state| state == 'T').await
    }

    async fn cont(&self, _: Process) -> anyhow::Result<()> {
        let child = self.child.lock().await;
        signal(&child, Signal::CONT)?;
        seen(&child, |state| state != 'T').await
    }
}

fn signal(child: &Child, signal: Signal) -> anyhow::Result<()> {
    Ok(kill_process(pid(child)?, signal)?)
}

fn pid(child: &Child) -> anyhow::Result<Pid> {
    let id = child.id().context("the process is gone")?;
    Pid::from_raw(i32::try_from(id)?).context("a process has a number")
}

/// Waits until the kernel says that a process is in a state.
async fn seen(child: &Child, wanted: impl Fn(char) -> bool) -> anyhow::Result<()> {
    let path = format!("/proc/{}/stat", pid(child)?.as_raw_nonzero());
    let deadline = Instant::now() + SEEN_DEADLINE;
    loop {
        // Of /proc: answered from memory.
        let stat = std::fs::read_to_string(&path)?;
        // The name in parentheses may hold anything; the state is the first word after it.
        let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        if state.is_some_and(&wanted) {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("the process is still in state {state:?}");
        }
        sleep(Duration::from_millis(5)).await;
    }
}

async fn start(
    binary: &Path,
    folder: &Path,
    env: &[(String, String)],
    listen: &str,
) -> anyhow::Result<(Child, String)> {
    let log = folder.join("server.log");
    let log_file = std::fs::OpenOptions::new().create(true).append(true).open(&log)?;
    let mut child = Command::new(binary)
        .args(["serve", "--listen", listen, "--data-dir"])
        .arg(folder.join("data"))
        .env_clear()
        .envs(env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log_file)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("starting {}", binary.display()))?;
    let stdout = child.stdout.take().context("doorbell has no standard output")?;
    let mut lines = BufReader::new(stdout).lines();
    let told = || format!("its log is {}", log.display());
    let line = timeout(READY_DEADLINE, lines.next_line())
        .await
        .context("doorbell did not get ready")
        .with_context(told)??;
    let line = line.context("doorbell ended before it was ready").with_context(told)?;
    let Some(address) = line.strip_prefix("doorbell ready on http://") else {
        bail!("expected the ready line, got {line:?}");
    };
    Ok((child, address.to_owned()))
}
