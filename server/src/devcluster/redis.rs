//! A Redis of the cluster's own: on a free port of loopback, without persistence, ended with it.

use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

/// A start takes some milliseconds.
const READY_TIMEOUT: Duration = Duration::from_secs(10);
const LOOK_PAUSE: Duration = Duration::from_millis(20);
/// Between the choice of a port and its use another program may take it.
const TRIES: usize = 3;

/// A running `redis-server`.
pub struct OwnRedis {
    child: Child,
    port: u16,
}

impl OwnRedis {
    /// Starts it.
    ///
    /// # Errors
    /// There is no `redis-server`, or it does not get ready.
    pub async fn start(dir: &Path) -> Result<Self> {
        for _ in 0..TRIES {
            let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
            let mut child = Self::spawn(dir, port)?;
            if ready(&mut child, port).await {
                return Ok(Self { child, port });
            }
            let _ = child.kill().await;
        }
        bail!("redis-server did not get ready; see {}", dir.join("logs/redis.log").display())
    }

    fn spawn(dir: &Path, port: u16) -> Result<Child> {
        let log = std::fs::File::create(dir.join("logs/redis.log"))?;
        let mut command = Command::new("redis-server");
        command
            .args([
                "--port",
                &port.to_string(),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "no",
                "--dir",
            ])
            .arg(dir)
            .stdin(Stdio::null())
            .stdout(log)
            .process_group(0)
            .kill_on_drop(true);
        command.spawn().context(
            "cannot start redis-server: install it (Debian: apt install redis-server), or name a Redis with --redis",
        )
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Ends it. It keeps nothing.
    pub async fn stop(mut self) {
        let _ = self.child.kill().await;
    }
}

/// Until it takes connections; false where it ended or takes too long.
async fn ready(child: &mut Child, port: u16) -> bool {
    let deadline = Instant::now() + READY_TIMEOUT;
    while Instant::now() < deadline && matches!(child.try_wait(), Ok(None)) {
        let connect = TcpStream::connect(("127.0.0.1", port));
        if matches!(timeout(READY_TIMEOUT, connect).await, Ok(Ok(_))) {
            return true;
        }
        sleep(LOOK_PAUSE).await;
    }
    false
}
