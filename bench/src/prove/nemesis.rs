//! What does harm: a schedule drawn from the seed, carried out on a cluster.

mod given;
pub mod local;
mod port;
mod schedule;
mod way;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::history::{Harmed, What};
use super::stage::Stage;
pub use given::Given;
pub use schedule::{Fault, Harm, Pace, Schedule};

/// One of the processes, by its place in [`Cluster::processes`].
pub type Process = usize;
/// One of the connections that can be cut, by its place in [`Cluster::links`].
pub type Cut = usize;

/// A process that is not there, and not because the nemesis killed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fallen {
    /// Its name.
    pub process: String,
    /// What it did, to be read after its name.
    pub how: String,
}

/// What a nemesis can do harm to. Each call returns when the harm is done, and says whether it was seen to be done.
///
/// A process is asked for one thing at a time; different ones at once.
#[async_trait]
pub trait Cluster: Send + Sync {
    /// Names for people.
    fn processes(&self) -> Vec<String>;

    /// Names of the connections that can be cut; none by default.
    fn links(&self) -> Vec<String> {
        Vec::new()
    }

    /// Where clients connect: ws://HOST:PORT, any of them.
    fn urls(&self) -> Vec<String>;

    /// Where metrics are read.
    fn metrics_urls(&self) -> Vec<String>;

    /// The key that makes tokens for all of it.
    fn key_file(&self) -> PathBuf;

    /// Who ended by itself since this was asked last, or did not start again.
    async fn fallen(&self) -> Vec<Fallen>;

    /// Ends all of it in order, so that what it wrote can be looked at; answers who was gone, did not end in time, or ended
    /// with another status than success.
    async fn end(&self) -> Vec<Fallen>;

    /// What a harm is done to.
    fn harmed(&self, harm: Harm) -> Harmed;

    /// Ends a process as a crash would (SIGKILL) and waits until it is gone.
    async fn kill(&self, process: Process) -> anyhow::Result<()>;

    /// Asks a process to end in order (SIGTERM) and waits until it has.
    ///
    /// # Errors
    /// It did not end with success within the budgets that it has for it: [`Cluster::fallen`] tells it as well.
    async fn leave(&self, process: Process) -> anyhow::Result<()>;

    /// Starts a killed process, or one that has left, again and waits until it is ready.
    async fn restart(&self, process: Process) -> anyhow::Result<()>;

    /// Stops a process where it stands (SIGSTOP), and sees it stopped.
    async fn stop(&self, process: Process) -> anyhow::Result<()>;

    /// Has it go on (SIGCONT), and sees it going.
    async fn cont(&self, process: Process) -> anyhow::Result<()>;

    /// Lets nothing pass a connection.
    ///
    /// # Errors
    /// There is no such connection.
    async fn cut(&self, link: Cut) -> anyhow::Result<()> {
        anyhow::bail!("there is no connection {link} to cut")
    }

    /// Lets it pass again.
    ///
    /// # Errors
    /// There is no such connection.
    async fn mend(&self, link: Cut) -> anyhow::Result<()> {
        anyhow::bail!("there is no connection {link} to mend")
    }
}

/// Carries a schedule out; ends when its last fault is over, or is cut short by `stop`, after which everything runs.
pub async fn run(cluster: Arc<dyn Cluster>, schedule: Schedule, shared: Arc<Stage>, stop: CancellationToken) {
    let begun = Instant::now();
    // One harm at a time for each thing that can be harmed: a late restart must not meet the next kill.
    let places = cluster.processes().len() + cluster.links().len();
    let turns: Arc<Vec<Mutex<()>>> = Arc::new((0..places).map(|_| Mutex::new(())).collect());
    let mut faults = JoinSet::new();
    for (number, fault) in (1..).zip(schedule.faults) {
        if stop.run_until_cancelled(sleep_until(begun + fault.at)).await.is_none() {
            break;
        }
        let (cluster, shared, turns) = (Arc::clone(&cluster), Arc::clone(&shared), Arc::clone(&turns));
        let stop = stop.clone();
        faults.spawn(async move {
            let place = fault.harm.place(cluster.processes().len());
            let Some(turn) = turns.get(place) else { return };
            let _turn = turn.lock().await;
            // One that had to wait for another one until the load was over does not happen.
            if stop.is_cancelled() {
                return;
            }
            carry_out(&*cluster, number, fault, &shared, &stop).await;
        });
    }
    while faults.join_next().await.is_some() {}
}

async fn carry_out(
    cluster: &dyn Cluster,
    fault: u32,
    drawn: Fault,
    shared: &Stage,
    stop: &CancellationToken,
) {
    let what = drawn.harm.described(cluster);
    let harmed = cluster.harmed(drawn.harm);
    shared.progress.fault_begins(fault, what.clone());
    let spares_sends = harmed.spares_sends();
    shared.recorder.record(What::FaultBegin { fault, what, spares_sends, harmed: Some(harmed) }).await;
    let begun = match drawn.harm {
        Harm::Kill(process) => cluster.kill(process).await,
        Harm::Stop(process) => cluster.stop(process).await,
        Harm::Cut(link) => cluster.cut(link).await,
        Harm::End(process) => cluster.leave(process).await,
    };
    let _ = stop.run_until_cancelled(sleep(drawn.lasts)).await;
    let ended = match drawn.harm {
        Harm::Kill(process) | Harm::End(process) => cluster.restart(process).await,
        Harm::Stop(process) => cluster.cont(process).await,
        Harm::Cut(link) => cluster.mend(link).await,
    };
    let effective = begun.is_ok() && ended.is_ok();
    // What a fault did is over when its end is written down: a restart is waited for before.
    shared.recorder.record(What::FaultEnd { fault, effective }).await;
    shared.progress.fault_ends(fault);
    if let Err(error) = ended {
        shared.give_up(format!("a fault could not be ended: {error:#}"));
    }
}
