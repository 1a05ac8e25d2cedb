//! The end of a process, in five phases, each with a budget and a line in the log: unready; stop accepting; ask
//! clients to move; finish or release what is held; abort what is left.

use std::sync::Arc;
use std::time::Duration;

use doorbell_cluster::Others;
use doorbell_gateway::Gateway;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Shutdown;
use crate::readiness::{Readiness, Stage};
use crate::supervisor::Supervisor;

/// Added to the finish phase's budget for what is no service: writing out the last answers.
const GRACE: Duration = Duration::from_millis(500);

/// Ends a process in order.
pub struct Ending {
    /// The budgets.
    pub budgets: Shutdown,
    /// What `/readyz` says.
    pub readiness: Readiness,
    /// Whose clients move; none where this process has no gateway.
    pub gateway: Option<Arc<Gateway>>,
    /// Sockets on their way to it.
    pub upgrades: TaskTracker,
    /// Who is told at once that this gateway takes no clients any more; none where it is alone.
    pub others: Option<Others>,
    /// Asks every task to end.
    pub stop: CancellationToken,
}

/// Whether everything ended as it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// All tasks finished.
    InOrder,
    /// Some failed, or had to be aborted.
    Aborted,
}

impl Ending {
    /// Goes through the phases. Each ends early when it has nothing left to wait for.
    pub async fn run(self, supervisor: &mut Supervisor) -> Ended {
        let began = Instant::now();
        let Self { budgets, readiness, gateway, upgrades, others, stop } = self;

        readiness.enter(Stage::Leaving);
        if let Some(others) = others {
            others.changed();
        }
        tracing::info!(phase = "unready", budget = ?budgets.unready_budget, "shutdown: not ready any more");
        sleep(budgets.unready_budget).await;

        readiness.enter(Stage::Closing);
        upgrades.close();
        let arrived = timeout(GRACE, upgrades.wait()).await.is_ok();
        tracing::info!(phase = "stop accepting", arrived, "shutdown: new sockets are refused");

        if let Some(gateway) = gateway {
            let drained = gateway.drain(budgets.move_budget).await;
            tracing::info!(
                phase = "move",
                took = ?began.elapsed(),
                sessions = drained.sessions,
                closed = drained.closed,
                cut = drained.cut,
                "shutdown: clients have moved"
            );
        }

        stop.cancel();
        let finished = supervisor.all_ended_by(Instant::now() + budgets.finish_budget + GRACE).await;
        match finished {
            Ok(()) => {
                tracing::info!(phase = "finish", took = ?began.elapsed(), "shutdown: nothing is held any more");
                Ended::InOrder
            }
            Err(wrong) => {
                tracing::error!(phase = "abort", took = ?began.elapsed(), ?wrong, "shutdown: ended by force");
                Ended::Aborted
            }
        }
    }
}
