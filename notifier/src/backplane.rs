//! The backplane as the notifier calls it: each call with a deadline, counted, a burst of failures logged once.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use doorbell_backplane::{
    Claim, ClaimToken, Enter, HintQueue, Partition, Partitions, Registry, Settled, Settlement,
};
use doorbell_protocol::UserId;
use doorbell_rpc::{NoAnswer, Peer};

use crate::metrics::Metrics;

/// Why one call to the backplane has no answer.
pub(crate) type Failed = NoAnswer<doorbell_backplane::Error>;

/// The queue and the registry.
pub(crate) struct Backplane {
    queue: Arc<dyn HintQueue>,
    registry: Arc<dyn Registry>,
    deadline: Duration,
    metrics: Metrics,
    claiming: Operation,
    settling: Operation,
    sweeping: Operation,
}

/// One kind of call: it may fail for a while where the others work.
struct Operation {
    label: &'static str,
    peer: Peer,
}

impl Operation {
    const fn of(label: &'static str, name: &'static str) -> Self {
        Self { label, peer: Peer::new(name) }
    }
}

impl Backplane {
    pub(crate) fn new(
        queue: Arc<dyn HintQueue>,
        registry: Arc<dyn Registry>,
        deadline: Duration,
        metrics: Metrics,
    ) -> Self {
        let claiming = Operation::of("claim", "the hint queue (claims)");
        let settling = Operation::of("settle", "the hint queue (settlements)");
        let sweeping = Operation::of("sweep", "the registry (sweeps)");
        Self { queue, registry, deadline, metrics, claiming, settling, sweeping }
    }

    pub(crate) fn partitions(&self) -> Partitions {
        self.queue.partitions()
    }

    pub(crate) async fn bell(&self) -> Partition {
        self.queue.bell().await
    }

    pub(crate) async fn claim(
        &self,
        partition: Partition,
        users_max: usize,
        lease: Duration,
    ) -> Result<Vec<Claim>, Failed> {
        self.call(&self.claiming, self.queue.claim(partition, users_max, lease)).await
    }

    pub(crate) async fn settle(
        &self,
        partition: Partition,
        settlements: Vec<Settlement>,
        delay: Duration,
    ) -> Result<Vec<Settled>, Failed> {
        self.call(&self.settling, self.queue.settle(partition, settlements, delay)).await
    }

    pub(crate) async fn release(
        &self,
        partition: Partition,
        claims: Vec<(UserId, ClaimToken)>,
    ) -> Result<(), Failed> {
        self.call(&self.settling, self.queue.release(partition, claims, Duration::ZERO)).await
    }

    pub(crate) async fn lapsed(
        &self,
        partition: Partition,
        entries_max: usize,
    ) -> Result<Vec<Enter>, Failed> {
        self.call(&self.sweeping, self.registry.lapsed(partition, entries_max)).await
    }

    pub(crate) async fn leave(&self, leaves: Vec<Enter>) -> Result<(), Failed> {
        self.call(&self.sweeping, self.registry.leave(leaves)).await
    }

    async fn call<T>(
        &self,
        operation: &Operation,
        call: impl Future<Output = Result<T, doorbell_backplane::Error>>,
    ) -> Result<T, Failed> {
        let answer = operation.peer.within(self.deadline, call).await;
        if answer.is_err() {
            self.metrics.backplane_failed(operation.label);
        }
        answer
    }
}
