//! One `doorbell` process with a data directory of its own.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// A start takes well under a second; a loaded test machine may take longer.
const READY_DEADLINE: Duration = Duration::from_secs(20);

/// How to start a `doorbell`.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Configuration keys as environment variables, for example `DOORBELL_MESSAGE__THROTTLE`.
    pub env: Vec<(String, String)>,
    /// The port to listen on: 0 asks for a free one.
    pub port: u16,
}

impl Options {
    /// Adds one configuration key by its environment variable.
    #[must_use]
    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.env.push((key.to_owned(), value.to_owned()));
        self
    }
}

/// A running `doorbell`, ended when it is dropped.
pub struct Doorbell {
    child: Child,
    address: String,
    data: PathBuf,
    _scratch: Option<TempDir>,
}

impl Doorbell {
    /// Starts with a fresh data directory and the defaults.
    ///
    /// # Errors
    /// Where the binary is missing, or does not say that it is ready in time.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(Options::default()).await
    }

    /// Starts with a fresh data directory.
    ///
    /// # Errors
    /// As [`Doorbell::start`].
    pub async fn start_with(options: Options) -> anyhow::Result<Self> {
        let scratch = tempfile::tempdir()?;
        let data = scratch.path().join("data");
        let mut started = Self::start_in(&data, options).await?;
        started._scratch = Some(scratch);
        Ok(started)
    }

    /// Starts on a data directory that outlives the process.
    ///
    /// # Errors
    /// As [`Doorbell::start`].
    pub async fn start_in(data: &Path, options: Options) -> anyhow::Result<Self> {
        let mut child = Command::new(binary()?)
            .args(["serve", "--listen", &format!("127.0.0.1:{}", options.port), "--data-dir"])
            .arg(data)
            .env_clear()
            .envs(options.env)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .context("starting doorbell")?;
        let stdout = child.stdout.take().context("doorbell has no standard output")?;
        let mut lines = BufReader::new(stdout).lines();
        let line =
            timeout(READY_DEADLINE, lines.next_line()).await.context("doorbell did not get ready")??;
        let line = line.context("doorbell ended before it was ready")?;
        let place = line.strip_prefix("doorbell ready on ").and_then(|url| url.split_once("://"));
        let Some(("http" | "https", address)) = place else { bail!("expected the ready line, got {line:?}") };
        Ok(Self { child, address: address.to_owned(), data: data.to_owned(), _scratch: None })
    }

    /// `HOST:PORT`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The port that it listens on.
    ///
    /// # Panics
    /// Never: the ready line names one.
    #[must_use]
    pub fn port(&self) -> u16 {
        let (_, port) = self.address.rsplit_once(':').expect("an address has a port");
        port.parse().expect("a port is a number")
    }

    /// Its data directory.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// A token for a user, made by `doorbell token` beside the running server.
    ///
    /// # Errors
    /// Where the command fails.
    pub async fn token(&self, user: &str) -> anyhow::Result<String> {
        let output =
            Command::new(binary()?).args(["token", user, "--data-dir"]).arg(&self.data).output().await?;
        ensure!(output.status.success(), "doorbell token: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
    }

    /// Ends it at once, as a crash would (SIGKILL), and waits until it is gone.
    ///
    /// # Errors
    /// Where the process cannot be waited for.
    pub async fn kill(mut self) -> anyhow::Result<Option<TempDir>> {
        self.child.kill().await?;
        Ok(self._scratch.take())
    }

    /// Asks it to end (SIGTERM).
    ///
    /// # Errors
    /// Where the signal cannot be sent.
    pub async fn terminate(&self) -> anyhow::Result<()> {
        self.signal("-TERM").await
    }

    /// Has it read its keys again (SIGHUP).
    ///
    /// # Errors
    /// Where the signal cannot be sent.
    pub async fn hang_up(&self) -> anyhow::Result<()> {
        self.signal("-HUP").await
    }

    async fn signal(&self, signal: &str) -> anyhow::Result<()> {
        let pid = self.child.id().context("doorbell is gone already")?;
        let sent = Command::new("kill").args([signal, &pid.to_string()]).status().await?;
        ensure!(sent.success(), "kill {signal} {pid} failed");
        Ok(())
    }

    /// Waits for its end and answers its exit code.
    ///
    /// # Errors
    /// Where it does not end before the deadline.
    pub async fn exit_code(&mut self, deadline: Duration) -> anyhow::Result<Option<i32>> {
        Ok(timeout(deadline, self.child.wait()).await.context("doorbell did not end")??.code())
    }

    /// One value from `/metrics`, by the metric's name and its labels as they stand there.
    ///
    /// # Errors
    /// Where the metric is not there.
    pub async fn metric(&self, name: &str) -> anyhow::Result<f64> {
        let text = self.get("/metrics").await?;
        let line = text.lines().find(|line| line.split(' ').next() == Some(name));
        let (_, value) =
            line.and_then(|line| line.split_once(' ')).with_context(|| format!("no metric {name}"))?;
        Ok(value.parse()?)
    }

    /// Resident memory in bytes, as the kernel counts it.
    ///
    /// # Errors
    /// Where `/proc` does not tell.
    pub fn resident_bytes(&self) -> anyhow::Result<u64> {
        let pid = self.child.id().context("doorbell is gone")?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib * 1024)
    }

    /// CPU time used so far, in seconds (user and system).
    ///
    /// # Errors
    /// Where `/proc` does not tell.
    pub fn cpu_seconds(&self) -> anyhow::Result<f64> {
        let pid = self.child.id().context("doorbell is gone")?;
        cpu_seconds(&pid.to_string())
    }

    /// The body of a GET, whatever the status.
    ///
    /// # Errors
    /// Where the connection fails.
    pub async fn get(&self, path: &str) -> anyhow::Result<String> {
        self.http("GET", path, &[], "").await.map(|(_, body)| body)
    }

    /// One HTTP/1.1 request over a connection of its own: the status and the body.
    ///
    /// # Errors
    /// Where the connection fails or the answer is no HTTP.
    pub async fn http(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> anyhow::Result<(u16, String)> {
        http(&self.address, method, path, headers, body).await
    }
}

/// One HTTP/1.1 request to `HOST:PORT` over a connection of its own: the status and the body.
///
/// # Errors
/// Where the connection fails or the answer is no HTTP.
pub async fn http(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> anyhow::Result<(u16, String)> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut socket = tokio::net::TcpStream::connect(address).await?;
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
    socket.write_all(head.as_bytes()).await?;
    let mut answer = Vec::new();
    timeout(Duration::from_secs(20), socket.read_to_end(&mut answer)).await.context("no answer")??;
    let text = String::from_utf8_lossy(&answer);
    let (head, body) = text.split_once("\r\n\r\n").context("no end of the head")?;
    let status = head.split(' ').nth(1).context("no status")?.parse()?;
    Ok((status, body.to_owned()))
}

/// CPU time that this process has used so far, in seconds (user and system).
///
/// # Errors
/// Where `/proc` does not tell.
pub fn own_cpu_seconds() -> anyhow::Result<f64> {
    cpu_seconds("self")
}

fn cpu_seconds(pid: &str) -> anyhow::Result<f64> {
    /// `USER_HZ`: the kernel reports ticks of 10 ms to user space on every Linux architecture.
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, after_name) = stat.rsplit_once(')').context("no process name")?;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
    Ok(ticks / TICKS_PER_SECOND)
}

/// A new API key, made by `doorbell api-key` and added to the file of the keys. The server reads it at the next SIGHUP.
///
/// # Errors
/// Where the command fails, or the file cannot be written.
pub async fn api_key(file: &Path, name: &str, rights: &[&str]) -> anyhow::Result<String> {
    use std::io::Write as _;
    let output = Command::new(binary()?).args(["api-key", name]).args(rights).output().await?;
    ensure!(output.status.success(), "doorbell api-key: {}", String::from_utf8_lossy(&output.stderr));
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(file)?;
    file.write_all(&output.stderr)?;
    Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
}

/// The binary under test: `DOORBELL_BIN`, or the one beside this test's own in the target directory.
///
/// # Errors
/// Where there is none.
pub fn binary() -> anyhow::Result<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "the harness is started by people and by xtask")]
    if let Ok(path) = std::env::var("DOORBELL_BIN") {
        return Ok(path.into());
    }
    let test = std::env::current_exe()?;
    let beside =
        test.ancestors().skip(1).take(2).map(|folder| folder.join("doorbell")).find(|path| path.exists());
    beside.context("no doorbell binary: run `cargo build -p doorbell`, or set DOORBELL_BIN")
}
