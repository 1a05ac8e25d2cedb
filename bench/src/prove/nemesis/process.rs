//! One process that can be harmed: started, killed, stopped, started again where it was.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};

/// A start takes well under a second; a loaded machine may take longer.
const READY_DEADLINE: Duration = Duration::from_secs(60);
/// How long a signal may take to be seen.
const SEEN_DEADLINE: Duration = Duration::from_secs(5);
/// An end in order has budgets of its own.
const END_DEADLINE: Duration = Duration::from_secs(60);
const LOOK_PAUSE: Duration = Duration::from_millis(5);
const READY_LINE: &str = "doorbell ready on http://";

/// How a process is started.
#[derive(Clone, Debug)]
pub(super) struct Launch {
    /// What people call it.
    pub(super) name: String,
    /// The program.
    pub(super) program: PathBuf,
    /// Its flags, but for where it listens.
    pub(super) args: Vec<String>,
    /// Its environment, whole.
    pub(super) env: Vec<(String, String)>,
    /// Where its standard error goes.
    pub(super) log: PathBuf,
    /// Which kind it is.
    pub(super) kind: Kind,
}

/// How a process is told where to listen, and says that it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A `doorbell`: it prints a line.
    Doorbell,
    /// A `redis-server`: it takes connections at this port of the loopback.
    Redis(u16),
}

/// A process, running or not.
pub(super) struct Member {
    launch: Launch,
    address: String,
    child: Mutex<Child>,
}

impl Member {
    /// Starts it; a `doorbell` on a free port of the loopback.
    ///
    /// # Errors
    /// It does not get ready in time; its log says why.
    pub(super) async fn start(launch: Launch) -> anyhow::Result<Self> {
        let (child, address) = launch.start("127.0.0.1:0").await?;
        Ok(Self { launch, address, child: Mutex::new(child) })
    }

    /// `HOST:PORT`; the same after each restart.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// What people call it.
    pub(super) fn name(&self) -> &str {
        &self.launch.name
    }

    /// Ends it in order.
    pub(super) async fn end(&self) -> anyhow::Result<()> {
        let mut child = self.child.lock().await;
        signal(&child, Signal::TERM)?;
        timeout(END_DEADLINE, child.wait())
            .await
            .with_context(|| format!("{} did not end", self.name()))??;
        Ok(())
    }

    /// Ends it as a crash would.
    pub(super) async fn kill(&self) -> anyhow::Result<()> {
        use std::os::unix::process::ExitStatusExt;
        let mut child = self.child.lock().await;
        child.start_kill()?;
        let status = timeout(SEEN_DEADLINE, child.wait()).await.context("it was not gone in time")??;
        ensure!(status.signal() == Some(9), "it had ended by itself: {status}");
        Ok(())
    }

    /// Starts it again where it was, and waits until it is ready.
    pub(super) async fn restart(&self) -> anyhow::Result<()> {
        let (child, _) = self.launch.start(&self.address).await?;
        *self.child.lock().await = child;
        Ok(())
    }

    /// Stops it where it stands.
    pub(super) async fn stop(&self) -> anyhow::Result<()> {
        let child = self.child.lock().await;
        signal(&child, Signal::STOP)?;
        seen(&child, |state| state == 'T').await
    }

    /// Has it go on.
    pub(super) async fn cont(&self) -> anyhow::Result<()> {
        let child = self.child.lock().await;
        signal(&child, Signal::CONT)?;
        seen(&child, |state| state != 'T').await
    }
}

impl Launch {
    async fn start(&self, listen: &str) -> anyhow::Result<(Child, String)> {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(&self.log)?;
        let place = match self.kind {
            Kind::Doorbell => ["--listen".to_owned(), listen.to_owned()],
            Kind::Redis(port) => ["--port".to_owned(), port.to_string()],
        };
        let mut child = Command::new(&self.program)
            .args(&self.args)
            .args(place)
            .env_clear()
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}", self.program.display()))?;
        let ready = async {
            match self.kind {
                Kind::Doorbell => ready_line(&mut child).await,
                Kind::Redis(port) => open_port(&mut child, port).await,
            }
        };
        let told = || format!("{} did not get ready; its log is {}", self.name, self.log.display());
        let address = timeout(READY_DEADLINE, ready).await.with_context(told)?.with_context(told)?;
        Ok((child, address))
    }
}

async fn ready_line(child: &mut Child) -> anyhow::Result<String> {
    let stdout = child.stdout.take().context("it has no standard output")?;
    let line = BufReader::new(stdout).lines().next_line().await?.context("it ended")?;
    match line.strip_prefix(READY_LINE) {
        Some(address) => Ok(address.to_owned()),
        None => bail!("expected the ready line, got {line:?}"),
    }
}

async fn open_port(child: &mut Child, port: u16) -> anyhow::Result<String> {
    while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        ensure!(child.try_wait()?.is_none(), "it ended");
        sleep(LOOK_PAUSE).await;
    }
    Ok(format!("127.0.0.1:{port}"))
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
        sleep(LOOK_PAUSE).await;
    }
}
