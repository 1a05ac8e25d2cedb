//! One process of the cluster: started, watched, started again.

use std::fs::OpenOptions;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::plan::Planned;

/// What its standard output begins with once it is ready.
const READY: &str = "doorbell ready on ";
/// A start takes well under a second; a store that was killed under load takes longer.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// The end in order has budgets of its own; past that it is ended by force.
const STOP_TIMEOUT: Duration = Duration::from_secs(60);

/// What happened to a process.
#[derive(Debug)]
pub enum News {
    /// It serves.
    Ready {
        /// Which.
        name: String,
        /// Its number, for `kill`.
        pid: u32,
        /// Where.
        address: String,
    },
    /// It is gone.
    Ended {
        /// Which.
        name: String,
        /// By itself or by a signal.
        how: String,
    },
}

/// One process.
pub struct Process {
    planned: Planned,
    restart_after: Option<Duration>,
    news: mpsc::Sender<News>,
}

impl Process {
    /// Not started yet.
    pub const fn new(planned: Planned, restart_after: Option<Duration>, news: mpsc::Sender<News>) -> Self {
        Self { planned, restart_after, news }
    }

    /// Keeps it running until `stop`, and then ends it in order.
    ///
    /// # Errors
    /// It did not even start the first time.
    pub async fn run(mut self, stop: CancellationToken) -> Result<()> {
        let mut began = false;
        loop {
            let mut child = match self.start().await {
                Ok(child) => child,
                Err(error) if !began => return Err(error),
                Err(error) => {
                    self.tell_ended(format!("{error:#}")).await;
                    if self.pause(&stop).await.is_none() {
                        return Ok(());
                    }
                    continue;
                }
            };
            began = true;
            tokio::select! {
                ended = child.wait() => self.tell_ended(how(ended?)).await,
                () = stop.cancelled() => return end(&mut child).await,
            }
            if self.pause(&stop).await.is_none() {
                return Ok(());
            }
        }
    }

    /// Waits before the next start; `None` where there is none.
    async fn pause(&self, stop: &CancellationToken) -> Option<()> {
        match self.restart_after {
            Some(pause) => stop.run_until_cancelled(sleep(pause)).await,
            None => {
                stop.cancelled().await;
                None
            }
        }
    }

    async fn start(&mut self) -> Result<Child> {
        let Planned { name, args, env, port, log } = &mut self.planned;
        let file = OpenOptions::new().create(true).append(true).open(&*log);
        let file = file.with_context(|| format!("cannot write {}", log.display()))?;
        let mut child = Command::new(std::env::current_exe()?)
            .args(&*args)
            .args(["--listen", &format!("127.0.0.1:{port}")])
            .envs(env.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(file)
            // Ctrl-C is for dev-cluster, which ends them in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let pid = child.id().context("it is gone already")?;
        let stdout = child.stdout.take().context("it has no standard output")?;
        let mut lines = BufReader::new(stdout).lines();
        let line = timeout(READY_TIMEOUT, lines.next_line()).await;
        let line = line.with_context(|| format!("{name} did not get ready; see {}", log.display()))??;
        let Some(address) = line.as_deref().and_then(|line| line.strip_prefix(READY)) else {
            bail!("{name} ended before it was ready; see {}", log.display());
        };
        // At its next start it is where it was.
        *port = address.rsplit(':').next().and_then(|port| port.parse().ok()).unwrap_or(*port);
        let ready = News::Ready { name: name.clone(), pid, address: address.to_owned() };
        let _ = self.news.send(ready).await;
        Ok(child)
    }

    /// Nobody hears it any more at the end.
    async fn tell_ended(&self, how: String) {
        let _ = self.news.send(News::Ended { name: self.planned.name.clone(), how }).await;
    }
}

fn how(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("with exit code {code}"),
        (None, Some(signal)) => format!("by signal {signal}"),
        (None, None) => "somehow".to_owned(),
    }
}

/// Asks it to end, and ends it by force where it does not.
async fn end(child: &mut Child) -> Result<()> {
    if let Some(pid) = child.id().and_then(|pid| rustix::process::Pid::from_raw(pid.cast_signed())) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
    if timeout(STOP_TIMEOUT, child.wait()).await.is_err() {
        child.kill().await?;
    }
    Ok(())
}
