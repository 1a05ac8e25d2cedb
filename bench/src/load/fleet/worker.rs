//! One process that holds sockets, as the tool sees it.

use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

use crate::Host;
use crate::load::clock::Moment;
use crate::load::orders::{Job, Report, Tally};
use crate::rank::Rank;

/// How long it may take to hear an order: it reads them whatever else it does.
const HEAR_DEADLINE: Duration = Duration::from_secs(30);

/// The process, and what it said last.
pub struct Worker {
    child: Child,
    orders: ChildStdin,
    /// Counts.
    pub tally: Tally,
    /// The last version that all its followers, or users, have heard of.
    pub head: Moment,
    /// Whether any of its sessions count.
    pub counts: bool,
}

impl Worker {
    /// Starts it for a job, which it is not told yet; answers where its reports come from.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(host: &Host, job: &Job, rank: Rank) -> anyhow::Result<(Self, ChildStdout)> {
        let mut command = Command::new(&host.binary);
        command
            .args(["bench", "load-worker"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // What is typed at the terminal is for the tool alone, which ends its children itself.
            .process_group(0)
            .kill_on_drop(true);
        let spawned = rank.of(|| command.spawn()).flatten();
        let mut child = spawned.context("a process with sockets")?;
        let orders = child.stdin.take().context("a child has a standard input")?;
        let told = child.stdout.take().context("a child has a standard output")?;
        let counts = job.first < job.steady;
        Ok((Self { child, orders, tally: Tally::default(), head: 0, counts }, told))
    }

    /// Tells it something.
    ///
    /// # Errors
    /// It is gone.
    pub async fn tell(&mut self, what: &impl serde::Serialize) -> anyhow::Result<()> {
        let mut bytes = serde_json::to_vec(what)?;
        bytes.push(b'\n');
        let written = timeout(HEAR_DEADLINE, self.orders.write_all(&bytes)).await;
        written.context("a process with sockets does not listen")?.context("a process with sockets is gone")
    }

    /// Its number in `/proc`; 0 where it is gone.
    pub fn number(&self) -> u32 {
        self.child.id().unwrap_or(0)
    }

    /// Whether it lacks a version that it should know: who has no follower hears of nothing.
    pub const fn lacks(&self, version: Moment) -> bool {
        self.counts && self.tally.open > 0 && self.head < version
    }

    /// Waits until it is gone; one that is not by then is ended.
    pub async fn end(&mut self, until: Instant) {
        if timeout_at(until, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
    }
}

/// Passes on what it says, as the process of that index.
pub async fn read(index: usize, told: ChildStdout, say: mpsc::Sender<(usize, Report)>) {
    let mut lines = BufReader::new(told).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let report = serde_json::from_str(&line).unwrap_or_else(|error| {
            Report::Broken(format!("a process with sockets says what nobody knows: {error}"))
        });
        if say.send((index, report)).await.is_err() {
            return;
        }
    }
    // Nobody minds where it was told to leave.
    let _ = say.send((index, Report::Broken("a process with sockets is gone".to_owned()))).await;
}
