//! A whole installation: the processes of `doorbell dev-cluster`, around a Redis of the test's own.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};

use crate::process::{binary, http};

/// Ten processes start within a few seconds; a loaded test machine may take longer.
const READY_DEADLINE: Duration = Duration::from_secs(90);
const LOOK_PAUSE: Duration = Duration::from_millis(20);

/// How many of each, and what becomes of who dies.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Gateways.
    pub gateways: u16,
    /// Notifiers.
    pub notifiers: u16,
    /// Channel services.
    pub channels: u16,
    /// Message services.
    pub messages: u16,
    /// `never`, or the time after which who died is started again.
    pub restart_after: &'static str,
}

impl Default for Shape {
    fn default() -> Self {
        Self { gateways: 2, notifiers: 2, channels: 2, messages: 1, restart_after: "500ms" }
    }
}

/// One process, as it was told of last.
#[derive(Clone, Debug)]
pub struct Told {
    /// Its number; none after its end.
    pub pid: Option<u32>,
    /// `HOST:PORT`.
    pub address: String,
    /// How often it was ready.
    pub starts: u32,
    /// How it ended, each time: `by signal 9`.
    pub ends: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
enum Line {
    Ready { name: String, pid: u32, address: String },
    Ended { name: String, how: String },
    Complete {},
}

/// A `redis-server` that keeps nothing, on one port, whatever happens to it.
pub struct Redis {
    child: Option<Child>,
    port: u16,
    dir: TempDir,
}

impl Redis {
    /// Starts one on a free port.
    ///
    /// # Errors
    /// It is not there, or does not get ready.
    pub async fn start() -> anyhow::Result<Self> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut redis = Self { child: None, port, dir: tempfile::tempdir()? };
        redis.start_again().await?;
        Ok(redis)
    }

    /// Starts it where it was, empty.
    ///
    /// # Errors
    /// It does not get ready.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        let mut command = Command::new("redis-server");
        command.args([
            "--port",
            &self.port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ]);
        command
            .arg("--dir")
            .arg(self.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true);
        self.child = Some(command.spawn().context("starting redis-server")?);
        let ready = async {
            let mut looks = interval(LOOK_PAUSE);
            while TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
                looks.tick().await;
            }
        };
        timeout(READY_DEADLINE, ready).await.context("redis-server did not get ready")
    }

    /// Ends it at once; what it held is gone.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill().await?;
        }
        Ok(())
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

/// A running installation, ended when it is dropped.
pub struct Cluster {
    /// What its processes share.
    pub redis: Redis,
    told: watch::Receiver<HashMap<String, Told>>,
    launcher: Child,
    program: PathBuf,
    dir: PathBuf,
    _reader: JoinSet<()>,
    _scratch: TempDir,
}

impl Cluster {
    /// Starts it, and waits until every process was ready once. `env` are keys of the configuration for all of them.
    ///
    /// # Errors
    /// Something did not start in time.
    pub async fn start(shape: Shape, env: &[(&str, &str)]) -> anyhow::Result<Self> {
        Self::start_program(binary()?, shape, env).await
    }

    /// As [`Cluster::start`], of another build.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    pub async fn start_program(program: PathBuf, shape: Shape, env: &[(&str, &str)]) -> anyhow::Result<Self> {
        let (scratch, redis) = (tempfile::tempdir()?, Redis::start().await?);
        let dir = scratch.path().join("cluster");
        let numbers = [
            ("--gateways", shape.gateways),
            ("--notifiers", shape.notifiers),
            ("--channels", shape.channels),
            ("--messages", shape.messages),
        ];
        let mut command = Command::new(&program);
        command.args(["dev-cluster", "--json", "--port", "0", "--restart-after", shape.restart_after]);
        for (flag, number) in numbers {
            command.args([flag, &number.to_string()]);
        }
        command.args(["--redis", &redis.url(), "--dir"]).arg(&dir);
        command
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .envs(env.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).kill_on_drop(true);
        let mut launcher = command.spawn().context("starting dev-cluster")?;
        let lines = BufReader::new(launcher.stdout.take().context("no standard output")?).lines();
        let (tell, mut told) = watch::channel(HashMap::new());
        let mut reader = JoinSet::new();
        reader.spawn(read(lines, tell));
        let expected = usize::from(shape.gateways + shape.notifiers + shape.channels + shape.messages);
        let all = told.wait_for(|told: &HashMap<String, Told>| told.len() == expected);
        timeout(READY_DEADLINE, all).await.context("not all got ready")?.context("dev-cluster ended")?;
        Ok(Self { redis, told, launcher, program, dir, _reader: reader, _scratch: scratch })
    }

    /// `HOST:PORT` of a process.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn address(&self, name: &str) -> anyhow::Result<String> {
        Ok(self.told(name)?.address)
    }

    fn told(&self, name: &str) -> anyhow::Result<Told> {
        self.told.borrow().get(name).cloned().with_context(|| format!("there is no {name}"))
    }

    /// The status and the body of a GET at a process.
    ///
    /// # Errors
    /// There is none of this name, or it does not answer.
    pub async fn get(&self, name: &str, path: &str) -> anyhow::Result<(u16, String)> {
        http(&self.address(name)?, "GET", path, &[], "").await
    }

    /// Whether a process has not ended.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn runs(&self, name: &str) -> anyhow::Result<bool> {
        Ok(self.told(name)?.pid.is_some())
    }

    /// Which of these processes is stopped.
    ///
    /// # Errors
    /// None of them is, or one has ended.
    pub fn stopped(&self, names: &[&str]) -> anyhow::Result<String> {
        for name in names {
            let pid = self.told(name)?.pid.with_context(|| format!("{name} is gone"))?;
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
            if stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T')) {
                return Ok((*name).to_owned());
            }
        }
        bail!("none of {names:?} is stopped")
    }

    /// Sends a signal, `-KILL` say.
    ///
    /// # Errors
    /// It is gone already.
    pub async fn signal(&self, name: &str, signal: &str) -> anyhow::Result<()> {
        let pid = self.told(name)?.pid.with_context(|| format!("{name} is gone"))?;
        let sent = Command::new("kill").args([signal, &pid.to_string()]).status().await?;
        ensure!(sent.success(), "kill {signal} {pid} failed");
        Ok(())
    }

    /// Ends a process at once, and waits until its end was told.
    ///
    /// # Errors
    /// It is gone already, or does not end.
    pub async fn kill(&self, name: &str) -> anyhow::Result<()> {
        let before = self.told(name)?;
        self.signal(name, "-KILL").await?;
        self.until(name, |told| told.pid != before.pid).await
    }

    /// Waits until a process has ended itself: a point of the build that obeys tests was passed.
    ///
    /// # Errors
    /// It does not in time, or ends in another way first.
    pub async fn dies(&self, name: &str) -> anyhow::Result<()> {
        self.until(name, |told| !told.ends.is_empty()).await?;
        let ends = self.told(name)?.ends;
        ensure!(ends == ["by signal 6"], "{name} ended {ends:?}");
        Ok(())
    }

    /// Waits until a process was ready once more than at its last kill.
    ///
    /// # Errors
    /// It does not come back in time.
    pub async fn is_back(&self, name: &str) -> anyhow::Result<()> {
        self.until(name, |told| told.pid.is_some()).await
    }

    async fn until(&self, name: &str, holds: impl Fn(&Told) -> bool) -> anyhow::Result<()> {
        let mut told = self.told.clone();
        let wait = told.wait_for(|all| all.get(name).is_some_and(&holds));
        timeout(READY_DEADLINE, wait).await.with_context(|| format!("waiting for {name}"))??;
        Ok(())
    }

    /// A token for a user.
    ///
    /// # Errors
    /// The command fails.
    pub async fn token(&self, user: &str) -> anyhow::Result<String> {
        let key = self.dir.join("key");
        let mut command = Command::new(&self.program);
        let output = command.args(["token", user, "--key-file"]).arg(key).output().await?;
        ensure!(output.status.success(), "doorbell token: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
    }

    /// Where keys, messages and logs are.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Ends all processes in order.
    ///
    /// # Errors
    /// They do not end in time.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        let pid = self.launcher.id().context("dev-cluster is gone")?;
        Command::new("kill").args(["-TERM", &pid.to_string()]).status().await?;
        let ended =
            timeout(READY_DEADLINE, self.launcher.wait()).await.context("dev-cluster did not end")??;
        ensure!(ended.success(), "dev-cluster ended with {ended}");
        Ok(())
    }
}

impl Drop for Cluster {
    /// A launcher that is killed leaves its processes: they are ended by their numbers.
    fn drop(&mut self) {
        if matches!(self.launcher.try_wait(), Ok(Some(_))) {
            return;
        }
        let _ = self.launcher.start_kill();
        for pid in self.told.borrow().values().filter_map(|told| told.pid) {
            let _ = std::process::Command::new("kill").args(["-KILL", &pid.to_string()]).status();
        }
    }
}

async fn read(
    mut lines: tokio::io::Lines<BufReader<tokio::process::ChildStdout>>,
    tell: watch::Sender<HashMap<String, Told>>,
) {
    while let Ok(Some(line)) = lines.next_line().await {
        let Ok(line) = serde_json::from_str::<Line>(&line) else { continue };
        tell.send_modify(|told| match line {
            Line::Ready { name, pid, address } => {
                let address = address.trim_start_matches("http://").to_owned();
                let before = told.remove(&name);
                let starts = before.as_ref().map_or(0, |before| before.starts) + 1;
                let ends = before.map(|before| before.ends).unwrap_or_default();
                told.insert(name, Told { pid: Some(pid), address, starts, ends });
            }
            Line::Ended { name, how } => {
                if let Some(one) = told.get_mut(&name) {
                    one.pid = None;
                    one.ends.push(how);
                }
            }
            Line::Complete {} => {}
        });
    }
}
