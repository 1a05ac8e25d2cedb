//! The backplane as the notifier calls it: each call with a deadline, counted, a burst of failures logged once.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use doorbell_backplane::{
    Claim, ClaimToken, Enter, HintQueue, Partition, Partitions, Registry, Settled, Settlement,
};
use doorbell_protocol::UserId;

use crate::error::Trouble;
use crate::metrics::Metrics;

/// The queue and the registry.
pub(crate) struct Backplane {
    queue: Arc<dyn HintQueue>,
    registry: Arc<dyn Registry>,
    deadline: Duration,
    metrics: Metrics,
    /// Failures since the last success, for each kind of call.
    claiming: Burst,
    settling: Burst,
    sweeping: Burst,
}

/// One kind of call that may fail for a while.
struct Burst {
    operation: &'static str,
    failures: AtomicU64,
}

impl Burst {
    const fn of(operation: &'static str) -> Self {
        Self { operation, failures: AtomicU64::new(0) }
    }
}

impl Backplane {
    pub(crate) fn new(
        queue: Arc<dyn HintQueue>,
        registry: Arc<dyn Registry>,
        deadline: Duration,
        metrics: Metrics,
    ) -> Self {
        let (claiming, settling, sweeping) = (Burst::of("claim"), Burst::of("settle"), Burst::of("sweep"));
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
    ) -> Result<Vec<Claim>, Trouble> {
        self.call(&self.claiming, self.queue.claim(partition, users_max, lease)).await
    }

    pub(crate) async fn settle(
        &self,
        partition: Partition,
        settlements: Vec<Settlement>,
        delay: Duration,
    ) -> Result<Vec<Settled>, Trouble> {
        self.call(&self.settling, self.queue.settle(partition, settlements, delay)).await
    }

    pub(crate) async fn release(
        &self,
        partition: Partition,
        claims: Vec<(UserId, ClaimToken)>,
    ) -> Result<(), Trouble> {
        self.call(&self.settling, self.queue.release(partition, claims, Duration::ZERO)).await
    }

    pub(crate) async fn lapsed(
        &self,
        partition: Partition,
        entries_max: usize,
    ) -> Result<Vec<Enter>, Trouble> {
        self.call(&self.sweeping, self.registry.lapsed(partition, entries_max)).await
    }

    pub(crate) async fn leave(&self, leaves: Vec<Enter>) -> Result<(), Trouble> {
        self.call(&self.sweeping, self.registry.leave(leaves)).await
    }

    async fn call<T>(
        &self,
        burst: &Burst,
        call: impl Future<Output = Result<T, doorbell_backplane::Error>>,
    ) -> Result<T, Trouble> {
        let operation = burst.operation;
        let result = match tokio::time::timeout(self.deadline, call).await {
            Ok(result) => result.map_err(Trouble::from),
            Err(_) => Err(Trouble::Late),
        };
        match &result {
            // The load keeps the common path free of a write that all workers would share.
            Ok(_) if burst.failures.load(Ordering::Relaxed) > 0 => {
                let failures = burst.failures.swap(0, Ordering::Relaxed);
                tracing::info!(operation, failures, "the backplane answers again");
            }
            Ok(_) => {}
            Err(error) => {
                self.metrics.backplane_failed(operation);
                if burst.failures.fetch_add(1, Ordering::Relaxed) == 0 {
                    tracing::warn!(operation, %error, "the backplane fails; trying again until it answers");
                }
            }
        }
        result
    }
}
