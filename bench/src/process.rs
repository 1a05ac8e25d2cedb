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

use crate::cpus::Cpus;
use crate::leash;
use crate::rank::Rank;

/// A start takes well under a second; a loaded machine may take longer.
const READY_DEADLINE: Duration = Duration::from_secs(60);
/// How long a signal may take to be seen.
const SEEN_DEADLINE: Duration = Duration::from_secs(5);
/// An end in order has budgets of its own.
const END_DEADLINE: Duration = Duration::from_secs(60);
const LOOK_PAUSE: Duration = Duration::from_millis(5);
/// Lines of a log that say why a process ended.
const LAST_LINES: usize = 3;
const READY_LINE: &str = "doorbell ready on ";

/// How a process is started.
#[derive(Clone, Debug)]
pub struct Launch {
    /// What people call it.
    pub name: String,
    /// The `doorbell` that becomes the program, so that it ends where the tool is killed; without one, as in tests, it does not, and its
    /// rank is that of the tool.
    pub leash: Option<PathBuf>,
    /// The program.
    pub program: PathBuf,
    /// Its flags, but for where it listens.
    pub args: Vec<String>,
    /// Its environment, whole.
    pub env: Vec<(String, String)>,
    /// Where its standard error goes.
    pub log: PathBuf,
    /// Which kind it is.
    pub kind: Kind,
    /// On which CPUs it runs; on those of the tool where none are named.
    pub cpus: Option<Cpus>,
    /// How it stands to others on them.
    pub rank: Rank,
}

/// How a process is told where to listen, and says that it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A `doorbell`: it prints a line.
    Doorbell,
    /// A `redis-server`: it takes connections at this port of the loopback.
    Redis(u16),
}

/// A process, running or not.
pub struct Member {
    launch: Launch,
    address: String,
    state: Mutex<State>,
}

/// The process itself, and what became of it.
struct State {
    child: Child,
    /// It was killed, or its end was told: that it is gone is no news.
    gone: bool,
    /// Ends of its own that nobody was told of yet.
    fallen: Vec<String>,
}

impl State {
    const fn running(child: Child) -> Self {
        Self { child, gone: false, fallen: Vec::new() }
    }

    /// Looks whether it ended by itself; `true` where it is gone.
    fn look(&mut self) -> anyhow::Result<bool> {
        if !self.gone
            && let Some(status) = self.child.try_wait()?
        {
            self.gone = true;
            self.fallen.push(format!("ended by itself: {status}"));
        }
        Ok(self.gone)
    }
}

impl Member {
    /// Starts it; a `doorbell` on a free port of the loopback.
    ///
    /// # Errors
    /// It does not get ready in time; its log says why.
    pub async fn start(launch: Launch) -> anyhow::Result<Self> {
        let (child, address) = launch.start("127.0.0.1:0").await?;
        Ok(Self { launch, address, state: Mutex::new(State::running(child)) })
    }

    /// `HOST:PORT`; the same after each restart.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its number in `/proc`.
    ///
    /// # Errors
    /// It is gone.
    pub async fn number(&self) -> anyhow::Result<u32> {
        self.state.lock().await.child.id().context("the process is gone")
    }

    /// What people call it.
    pub fn name(&self) -> &str {
        &self.launch.name
    }

    /// How it ended by itself since this was asked last; empty while all is well.
    pub async fn fallen(&self) -> Vec<String> {
        let mut state = self.state.lock().await;
        if let Err(error) = state.look() {
            state.fallen.push(format!("cannot be looked at: {error:#}"));
        }
        std::mem::take(&mut state.fallen)
    }

    /// Ends it in order.
    ///
    /// # Errors
    /// It had ended before, does not end in time, or ends with another status than success.
    pub async fn end(&self) -> anyhow::Result<()> {
        let mut state = self.state.lock().await;
        if state.look()? {
            let how = state.fallen.last().map(|how| format!(": {how}")).unwrap_or_default();
            bail!("was gone before it was asked to end{how}");
        }
        state.gone = true;
        signal(&state.child, Signal::TERM)?;
        let status = timeout(END_DEADLINE, state.child.wait())
            .await
            .context("did not end in time when it was asked to")??;
        ensure!(status.success(), "did not end well when it was asked to: {status}");
        Ok(())
    }

    /// Ends it in order, to be started again.
    ///
    /// # Errors
    /// It had ended before, does not end within that time and is killed, or ends with another status than success.
    pub async fn leave(&self, within: Duration) -> anyhow::Result<()> {
        {
            let mut state = self.state.lock().await;
            ensure!(!state.look()?, "it was gone");
            signal(&state.child, Signal::TERM)?;
            // That it goes is no news: how it goes is.
            state.gone = true;
        }
        let how = match timeout(within, self.ended()).await {
            Ok(Ok(status)) if status.success() => return Ok(()),
            Ok(Ok(status)) => format!("did not end well when it was asked to: {status}"),
            Ok(Err(error)) => format!("cannot be looked at: {error}"),
            Err(_) => {
                self.state.lock().await.child.kill().await?;
                format!("did not end within {within:?} when it was asked to")
            }
        };
        self.state.lock().await.fallen.push(how.clone());
        bail!(how)
    }

    /// Looked for again and again, so that others can look meanwhile.
    async fn ended(&self) -> std::io::Result<std::process::ExitStatus> {
        loop {
            if let Some(status) = self.state.lock().await.child.try_wait()? {
                return Ok(status);
            }
            sleep(LOOK_PAUSE).await;
        }
    }

    /// Ends it as a crash would.
    pub async fn kill(&self) -> anyhow::Result<()> {
        use std::os::unix::process::ExitStatusExt;
        let mut state = self.state.lock().await;
        ensure!(!state.look()?, "it was gone");
        state.child.start_kill()?;
        let status =
            timeout(SEEN_DEADLINE, state.child.wait()).await.context("it was not gone in time")??;
        state.gone = true;
        if status.signal() != Some(9) {
            state.fallen.push(format!("ended by itself: {status}"));
            bail!("it had ended by itself: {status}");
        }
        Ok(())
    }

    /// Starts it again where it was, and waits until it is ready.
    pub async fn restart(&self) -> anyhow::Result<()> {
        let started = self.launch.start(&self.address).await;
        let mut state = self.state.lock().await;
        match started {
            Ok((child, _)) => (state.child, state.gone) = (child, false),
            Err(error) => {
                state.fallen.push(format!("did not start again: {error:#}"));
                return Err(error);
            }
        }
        Ok(())
    }

    /// Stops it where it stands.
    pub async fn stop(&self) -> anyhow::Result<()> {
        let child = &self.state.lock().await.child;
        signal(child, Signal::STOP)?;
        seen(child, |state| state == 'T').await
    }

    /// Has it go on.
    pub async fn cont(&self) -> anyhow::Result<()> {
        let child = &self.state.lock().await.child;
        signal(child, Signal::CONT)?;
        seen(child, |state| state != 'T').await
    }
}

impl Launch {
    async fn start(&self, listen: &str) -> anyhow::Result<(Child, String)> {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(&self.log)?;
        let place = match self.kind {
            Kind::Doorbell => ["--listen".to_owned(), listen.to_owned()],
            Kind::Redis(port) => ["--port".to_owned(), port.to_string()],
        };
        let mut command = self.command();
        command
            .args(&self.args)
            .args(place)
            .env_clear()
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true);
        let mut spawn = || command.spawn();
        let spawned = match &self.cpus {
            Some(cpus) => cpus.on(spawn).with_context(|| format!("CPUs {cpus}"))?,
            None => spawn(),
        };
        let mut child = spawned.with_context(|| format!("starting {}", self.program.display()))?;
        let ready = async {
            match self.kind {
                Kind::Doorbell => ready_line(&mut child).await,
                Kind::Redis(port) => open_port(&mut child, port).await,
            }
        };
        let told = || {
            format!(
                "{} did not get ready; its log, {}, ends: {}",
                self.name,
                self.log.display(),
                self.last_words()
            )
        };
        let address = timeout(READY_DEADLINE, ready).await.with_context(told)?.with_context(told)?;
        Ok((child, address))
    }

    /// The program, or what becomes it.
    fn command(&self) -> Command {
        let Some(doorbell) = &self.leash else { return Command::new(&self.program) };
        let mut command = Command::new(doorbell);
        // It ends with the thread that starts it: that of a runtime, which lasts.
        command.args(leash::words(self.rank)).arg(&self.program);
        command
    }

    /// The end of its log, which may be gone by the time that somebody reads of it.
    fn last_words(&self) -> String {
        let log = std::fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
    }
}

async fn ready_line(child: &mut Child) -> anyhow::Result<String> {
    let stdout = child.stdout.take().context("it has no standard output")?;
    let line = BufReader::new(stdout).lines().next_line().await?.context("it ended")?;
    let place = line.strip_prefix(READY_LINE).and_then(|url| url.split_once("://"));
    match place {
        Some(("http" | "https", address)) => Ok(address.to_owned()),
        _ => bail!("expected the ready line, got {line:?}"),
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

/// Whether a process is there, and more than an end that nobody has asked for yet.
pub fn is_there(number: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{number}/stat")).ok();
    stat.and_then(|stat| state_of(&stat)).is_some_and(|state| !matches!(state, 'Z' | 'X'))
}

/// Of `/proc/PID/stat`: the name in parentheses may hold anything; the state is the first word after it.
fn state_of(stat: &str) -> Option<char> {
    stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next())
}

/// Waits until the kernel says that a process is in a state.
async fn seen(child: &Child, wanted: impl Fn(char) -> bool) -> anyhow::Result<()> {
    let path = format!("/proc/{}/stat", pid(child)?.as_raw_nonzero());
    let deadline = Instant::now() + SEEN_DEADLINE;
    loop {
        // Of /proc: answered from memory.
        let stat = std::fs::read_to_string(&path)?;
        let state = state_of(&stat);
        if state.is_some_and(&wanted) {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("the process is still in state {state:?}");
        }
        sleep(LOOK_PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A process that answers SIGTERM with a status, says that it is ready, and then does `what`.
    async fn started(scratch: &tempfile::TempDir, status: u8, what: &str) -> Member {
        let script = format!("trap 'exit {status}' TERM; echo {READY_LINE}http://127.0.0.1:1; {what}");
        let launch = Launch {
            name: "it".to_owned(),
            leash: None,
            program: "/bin/sh".into(),
            args: vec!["-c".to_owned(), script],
            env: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
            log: scratch.path().join("log"),
            kind: Kind::Doorbell,
            cpus: None,
            rank: Rank::Ordinary,
        };
        Member::start(launch).await.unwrap()
    }

    const RUNS: &str = "while :; do sleep 0.01; done";

    #[tokio::test]
    async fn a_process_that_ends_by_itself_is_told_once_and_one_that_was_killed_is_not() {
        let scratch = tempfile::tempdir().unwrap();
        let own = started(&scratch, 0, "exit 3").await;
        let fallen = loop {
            let fallen = own.fallen().await;
            if !fallen.is_empty() {
                break fallen;
            }
            tokio::task::yield_now().await;
        };
        assert_eq!(fallen, ["ended by itself: exit status: 3"]);
        assert_eq!(own.fallen().await, Vec::<String>::new());
        assert!(own.kill().await.is_err() && own.end().await.is_err());

        let killed = started(&scratch, 0, RUNS).await;
        killed.kill().await.unwrap();
        killed.restart().await.unwrap();
        assert_eq!(killed.fallen().await, Vec::<String>::new());
        killed.end().await.unwrap();
    }

    #[tokio::test]
    async fn an_end_is_a_success_or_an_error() {
        let scratch = tempfile::tempdir().unwrap();
        let ill = started(&scratch, 1, RUNS).await;
        let error = ill.end().await.unwrap_err().to_string();
        assert_eq!(error, "did not end well when it was asked to: exit status: 1");
    }

    #[tokio::test]
    async fn who_ends_before_it_is_asked_to_is_told_with_how() {
        let scratch = tempfile::tempdir().unwrap();
        let killed = started(&scratch, 0, RUNS).await;
        let number = killed.number().await.unwrap();
        assert!(is_there(number));

        kill_process(Pid::from_raw(i32::try_from(number).unwrap()).unwrap(), Signal::KILL).unwrap();
        while is_there(number) {
            tokio::task::yield_now().await;
        }

        let error = killed.end().await.unwrap_err().to_string();
        assert_eq!(error, "was gone before it was asked to end: ended by itself: signal: 9 (SIGKILL)");
        assert_eq!(state_of("7 (a) Z (b) S 1"), Some('S'), "a name may hold anything");
    }

    #[tokio::test]
    async fn who_leaves_well_may_start_again_and_who_does_not_is_told() {
        let scratch = tempfile::tempdir().unwrap();
        let well = started(&scratch, 0, RUNS).await;
        well.leave(SEEN_DEADLINE).await.unwrap();
        well.restart().await.unwrap();
        assert_eq!(well.fallen().await, Vec::<String>::new());
        well.end().await.unwrap();

        let ill = started(&scratch, 1, RUNS).await;
        assert!(ill.leave(SEEN_DEADLINE).await.is_err());
        assert_eq!(ill.fallen().await, ["did not end well when it was asked to: exit status: 1"]);

        // One that stands still does not hear it.
        let deaf = started(&scratch, 0, RUNS).await;
        deaf.stop().await.unwrap();
        assert!(deaf.leave(LOOK_PAUSE).await.is_err());
        assert_eq!(deaf.fallen().await, ["did not end within 5ms when it was asked to"]);
        deaf.restart().await.unwrap();
    }

    #[tokio::test]
    async fn one_that_does_not_start_again_is_told() {
        let scratch = tempfile::tempdir().unwrap();
        let place = scratch.path().join("was-here");
        let once = format!("test -e {0} && {{ echo why >&2; exit 4; }}; touch {0}", place.display());
        let script = format!("{once}; echo {READY_LINE}http://127.0.0.1:1; {RUNS}");
        let launch =
            Launch { args: vec!["-c".to_owned(), script], ..started(&scratch, 0, "exit 0").await.launch };
        let member = Member::start(launch).await.unwrap();
        member.kill().await.unwrap();
        assert!(member.restart().await.is_err());
        let fallen = member.fallen().await;
        assert!(fallen[0].starts_with("did not start again: it did not get ready"), "{fallen:?}");
        assert!(fallen[0].ends_with("ends: why: it ended"), "{fallen:?}");
    }
}
