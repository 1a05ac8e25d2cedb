//! The processes that hold the sockets, as the tool sees them: started, told, listened to, ended. They are its own children, and
//! end when it does.

mod together;
mod worker;

use std::time::Duration;

use anyhow::{anyhow, bail};
use tokio::sync::mpsc;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::clock::Moment;
use super::line::Line;
use super::live::{self, COMING_BACK, CONNECTING, Course};
use super::orders::{Job, Order, Report, Returns, Tally};
use super::pulse::Pulse;
use super::target::Target;
use super::tool::{Measured, Used};
use super::trial::Side;
use crate::Host;
use crate::rank::Rank;
pub use together::{Rings, Together};
use worker::Worker;

/// Reports that wait; a process that says more waits as well.
const REPORTS_MAX: usize = 256;
/// How long tokens may take; a command for each takes its time.
const READY_DEADLINE: Duration = Duration::from_secs(600);
/// How long an answer may take.
const ANSWER_DEADLINE: Duration = Duration::from_secs(30);
/// How often it is told how it goes while something else is done.
const LOOK: Duration = Duration::from_millis(200);
/// From one question whether all have heard to the next.
const ASK_PAUSE: Duration = Duration::from_millis(50);
/// How long a few may take to hear of a publish; the server looks for lost ones every 2 s.
const HEARD_DEADLINE: Duration = Duration::from_secs(20);
/// Followers that even a crowded machine tells in a second.
const TOLD_A_SECOND: u64 = 20_000;
/// How long the end of all of them may take.
const END_DEADLINE: Duration = Duration::from_secs(10);

/// Somebody asked the tool to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

/// All processes.
pub struct Fleet {
    workers: Vec<Worker>,
    reports: mpsc::Receiver<(usize, Report)>,
    readers: JoinSet<()>,
    stop: CancellationToken,
    pulse: Pulse,
    /// Sessions of all of them.
    sessions: u64,
    course: Course,
    /// What the tool had used when what is measured began, and what that is.
    used: (Used, Measured),
}

impl Fleet {
    /// Starts a process for each job, and waits until all have their tokens.
    ///
    /// # Errors
    /// One of them does not start, or cannot make its tokens.
    pub async fn start(
        host: &Host,
        (jobs, rank): (&[Job], Rank),
        stop: &CancellationToken,
        line: &mut Line,
    ) -> anyhow::Result<Self> {
        let (say, reports) = mpsc::channel(REPORTS_MAX);
        let mut fleet = Self {
            workers: Vec::new(),
            reports,
            readers: JoinSet::new(),
            stop: stop.clone(),
            pulse: line.pulse.clone(),
            sessions: jobs.iter().map(|job| u64::from(job.sessions)).sum(),
            course: Course::default(),
            used: (Used::default(), Measured::Time),
        };
        for (index, job) in jobs.iter().enumerate() {
            let (mut worker, told) = Worker::start(host, job, rank)?;
            fleet.readers.spawn(worker::read(index, told, say.clone()));
            worker.tell(job).await?;
            fleet.workers.push(worker);
        }
        fleet.all("tokens", READY_DEADLINE, line, |report| matches!(report, Report::Ready)).await?;
        Ok(fleet)
    }

    /// Nobody, who says nothing for as long as there is who could.
    #[cfg(test)]
    pub fn of_nobody() -> (Self, mpsc::Sender<(usize, Report)>) {
        let (say, reports) = mpsc::channel(1);
        let nobody = Self {
            workers: Vec::new(),
            reports,
            readers: JoinSet::new(),
            stop: CancellationToken::new(),
            pulse: Pulse::default(),
            sessions: 0,
            course: Course::default(),
            used: (Used::default(), Measured::Time),
        };
        (nobody, say)
    }

    /// Tells all of them.
    ///
    /// # Errors
    /// One of them is gone.
    pub async fn order(&mut self, order: Order) -> anyhow::Result<()> {
        match &order {
            Order::Open => self.mark(Measured::Sessions),
            Order::Measure(plan) => {
                self.pulse.measure();
                self.course = Course::of(plan);
            }
            // From here on nobody knows how far it is.
            Order::Lose(_) => self.course = Course::default(),
            // With these nothing begins.
            _ => {}
        }
        for worker in &mut self.workers {
            worker.tell(&order).await?;
        }
        Ok(())
    }

    /// From now on CPU of the tool is told of, for what is measured.
    pub fn mark(&mut self, of: Measured) {
        self.used = (Used::now(&self.numbers()), of);
    }

    /// How long all may take to hear of one publish: many are told one after the other.
    pub const fn patience(&self) -> Duration {
        HEARD_DEADLINE.saturating_add(Duration::from_secs(self.sessions / TOLD_A_SECOND))
    }

    /// Until when all should have heard of what is published now.
    pub fn heard_by(&self) -> Instant {
        Instant::now() + self.patience()
    }

    /// The processes that are there.
    fn numbers(&self) -> Vec<u32> {
        self.workers.iter().map(Worker::number).collect()
    }

    /// Opens all sessions at one side; what there is second by second is gathered from then on.
    ///
    /// # Errors
    /// It takes longer than `deadline`, or a process is gone.
    pub async fn open(
        &mut self,
        (target, side): (&Target, Side),
        deadline: Duration,
        line: &mut Line,
    ) -> anyhow::Result<()> {
        self.pulse.begin(side, &target.meter, self.numbers());
        self.order(Order::Open).await?;
        self.all(CONNECTING, deadline, line, |report| matches!(report, Report::Opened(_))).await
    }

    /// What goes on lasts so long: how far that is, is shown.
    pub fn lasts(&mut self, time: Duration) {
        self.course = Course::lasting(time);
    }

    /// Does nothing else for that long: how far that is, is shown.
    ///
    /// # Errors
    /// As [`Fleet::watch`].
    pub async fn rest(&mut self, what: &str, time: Duration, line: &mut Line) -> anyhow::Result<()> {
        self.lasts(time);
        self.watch(what, time, line).await
    }

    /// Goes on for that long.
    ///
    /// # Errors
    /// A process is gone, or the tool was asked to end.
    pub async fn watch(&mut self, what: &str, time: Duration, line: &mut Line) -> anyhow::Result<()> {
        let until = Instant::now() + time;
        while self.next(until).await?.is_some() {
            self.show(what, line);
        }
        Ok(())
    }

    /// Waits until all followers have heard of a version; answers whether they have before `until`.
    ///
    /// # Errors
    /// A process is gone, or the tool was asked to end.
    pub async fn reached(
        &mut self,
        version: Moment,
        until: Instant,
        what: &str,
        line: &mut Line,
    ) -> anyhow::Result<bool> {
        while self.workers.iter().any(|worker| worker.lacks(version)) {
            if self.next(until).await?.is_none() {
                return Ok(false);
            }
            self.show(what, line);
        }
        Ok(true)
    }

    /// Waits until all have learned of `due` publishes or rings, by what `learned` finds in what was seen where `last` is the last version; no
    /// longer than that takes at most.
    ///
    /// # Errors
    /// As [`Fleet::watch`], or one does not say what it saw.
    pub async fn learned(
        &mut self,
        (last, due): (Moment, u64),
        learned: impl Fn(&Together) -> u64,
        line: &mut Line,
    ) -> anyhow::Result<()> {
        let until = self.heard_by();
        // Who was refused learns from the next, or never.
        while learned(&self.seen(last).await?) < due && Instant::now() < until {
            self.watch("last hints", ASK_PAUSE, line).await?;
        }
        Ok(())
    }

    /// Has a thread do it, and goes on meanwhile: reports are taken, so that nobody waits for the tool. Where this is left, for whatever
    /// reason, the thread is told to leave off.
    ///
    /// # Errors
    /// As [`Fleet::watch`], or the thread panicked.
    pub async fn blocking<T: Send + 'static>(
        &mut self,
        what: &str,
        work: impl FnOnce(&CancellationToken) -> T + Send + 'static,
        line: &mut Line,
    ) -> anyhow::Result<T> {
        let stop = self.stop.child_token();
        let _guard = stop.clone().drop_guard();
        let working = spawn_blocking(move || work(&stop));
        Ok(self.meanwhile(what, working, line).await??)
    }

    /// As [`Fleet::blocking`], for no longer than that.
    ///
    /// # Errors
    /// As [`Fleet::blocking`], or it takes longer.
    pub async fn within<T: Send + 'static>(
        &mut self,
        (what, deadline): (&str, Duration),
        work: impl FnOnce(&CancellationToken) -> T + Send + 'static,
        line: &mut Line,
    ) -> anyhow::Result<T> {
        let done = timeout(deadline, self.blocking(what, work, line)).await;
        done.map_err(|_| anyhow!("{what} took longer than {} s", deadline.as_secs()))?
    }

    /// Goes on while something else is done.
    ///
    /// # Errors
    /// As [`Fleet::watch`].
    pub async fn meanwhile<T>(
        &mut self,
        what: &str,
        work: impl Future<Output = T>,
        line: &mut Line,
    ) -> anyhow::Result<T> {
        let mut work = std::pin::pin!(work);
        loop {
            let soon = Instant::now() + LOOK;
            tokio::select! {
                done = &mut work => return Ok(done),
                // Dropped where the other is done: a report that was not taken is there for the next.
                next = self.next(soon) => {
                    next?;
                }
            }
            self.show(what, line);
        }
    }

    /// Waits until so many sessions that were lost are current again, or will not be; answers whether that is so before `until`.
    ///
    /// # Errors
    /// As [`Fleet::watch`].
    pub async fn returned(&mut self, sessions: u64, until: Instant, line: &mut Line) -> anyhow::Result<bool> {
        loop {
            let Returns { current, refused, .. } = self.tally().returns;
            if current + refused >= sessions {
                return Ok(true);
            }
            if self.next(until).await?.is_none() {
                return Ok(false);
            }
            self.show(COMING_BACK, line);
        }
    }

    /// What all of them have seen, where `last` is the last version that was published (0: none).
    ///
    /// # Errors
    /// One of them does not say.
    pub async fn seen(&mut self, last: Moment) -> anyhow::Result<Together> {
        self.order(Order::Report(last)).await?;
        let (mut together, until) = (Together::default(), Instant::now() + ANSWER_DEADLINE);
        for _ in 0..self.workers.len() {
            let seen = loop {
                match self.next(until).await? {
                    Some((_, Report::Seen(seen))) => break seen,
                    Some(_) => {}
                    None => bail!("a process with sockets does not say what it saw"),
                }
            };
            together.add(&seen);
        }
        together.tool = Used::now(&self.numbers()).since(&self.used.0, self.used.1);
        Ok(together)
    }

    /// Has all sessions leave, and waits until the processes are gone; who does not go is ended.
    pub async fn leave(mut self) {
        for worker in &mut self.workers {
            // Who is gone need not be told.
            let _ = worker.tell(&Order::Leave).await;
        }
        // What they still say is taken, so that none of them waits to say it.
        let silent = async { while self.reports.recv().await.is_some() {} };
        let until = Instant::now() + END_DEADLINE;
        let _ = timeout_at(until, silent).await;
        for worker in &mut self.workers {
            worker.end(until).await;
        }
        self.reports.close();
        while self.readers.join_next().await.is_some() {}
    }

    /// Counts of all of them, as last told.
    pub fn tally(&self) -> Tally {
        self.workers.iter().map(|worker| worker.tally).fold(Tally::default(), Tally::plus)
    }

    async fn all(
        &mut self,
        what: &str,
        deadline: Duration,
        line: &mut Line,
        is: impl Fn(&Report) -> bool,
    ) -> anyhow::Result<()> {
        let (mut left, until) = (self.workers.len(), Instant::now() + deadline);
        while left > 0 {
            let Some((_, report)) = self.next(until).await? else {
                bail!("{what} took longer than {} s: {}", deadline.as_secs(), live::counts(self.tally()));
            };
            left -= usize::from(is(&report));
            self.show(what, line);
        }
        Ok(())
    }

    fn show(&self, what: &str, line: &mut Line) {
        self.pulse.part(what);
        let tally = self.tally();
        let place = live::place(what, &self.course, tally, self.sessions);
        line.show(|| live::shown(what, place, tally, &self.pulse.live()));
    }

    /// The next report; `None` where none comes before `until`.
    async fn next(&mut self, until: Instant) -> anyhow::Result<Option<(usize, Report)>> {
        let next = tokio::select! {
            biased;
            () = self.stop.cancelled() => return Err(Interrupted.into()),
            next = self.reports.recv() => next,
            () = sleep_until(until) => return Ok(None),
        };
        let Some((index, report)) = next else { bail!("all processes with sockets are gone") };
        match &report {
            Report::Progress(tally) | Report::Opened(tally) => self.workers[index].tally = *tally,
            Report::Head(version) => self.workers[index].head = *version,
            Report::Second(second) => self.pulse.second(index, second),
            Report::Broken(why) => bail!("{why}"),
            Report::Ready | Report::Seen(_) => {}
        }
        self.pulse.look()?;
        Ok(Some((index, report)))
    }
}
