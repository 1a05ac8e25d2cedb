//! The backplane, and message-svc's presence beside it, as the notifier calls them: each call with a deadline, counted, a burst of failures logged once.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use doorbell_backplane::{
    Claim, ClaimToken, Enter, HintQueue, Partition, Partitions, Registry, Settled, Settlement,
};
use doorbell_protocol::UserId;
use doorbell_rpc::{Move, Presence, Way};

use crate::error::Trouble;
use crate::metrics::Metrics;

/// The queue and the registry.
pub(crate) struct Backplane {
    queue: Arc<dyn HintQueue>,
    registry: Arc<dyn Registry>,
    presence: Option<Arc<dyn Presence>>,
    deadline: Duration,
    metrics: Metrics,
    /// Failures since the last success, for each kind of call.
    claiming: Burst,
    settling: Burst,
    sweeping: Burst,
    telling: Burst,
}

/// Who is called.
pub(crate) struct Asked {
    pub(crate) queue: Arc<dyn HintQueue>,
    pub(crate) registry: Arc<dyn Registry>,
    /// `None` where presence is turned off.
    pub(crate) presence: Option<Arc<dyn Presence>>,
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
    pub(crate) fn new(asked: Asked, deadline: Duration, metrics: Metrics) -> Self {
        let Asked { queue, registry, presence } = asked;
        let (claiming, settling, sweeping) = (Burst::of("claim"), Burst::of("settle"), Burst::of("sweep"));
        let telling = Burst::of("tell");
        Self { queue, registry, presence, deadline, metrics, claiming, settling, sweeping, telling }
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

    /// Tells message-svc who went with their gateway, where presence is turned on.
    pub(crate) async fn tell_went(&self, lapsed: &[Enter]) -> Result<(), Trouble> {
        let Some(presence) = &self.presence else { return Ok(()) };
        let moves = lapsed.iter().map(|enter| Move { user: enter.user.clone(), way: Way::Went }).collect();
        self.call(&self.telling, presence.moved(moves)).await
    }

    async fn call<T, E: Into<Trouble>>(
        &self,
        burst: &Burst,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Trouble> {
        let operation = burst.operation;
        let result = match tokio::time::timeout(self.deadline, call).await {
            Ok(result) => result.map_err(Into::into),
            Err(_) => Err(Trouble::Late),
        };
        match &result {
            // The load keeps the common path free of a write that all workers would share.
            Ok(_) if burst.failures.load(Ordering::Relaxed) > 0 => {
                let failures = burst.failures.swap(0, Ordering::Relaxed);
                tracing::info!(operation, failures, "answered again");
            }
            Ok(_) => {}
            Err(error) => {
                self.metrics.backplane_failed(operation);
                if burst.failures.fetch_add(1, Ordering::Relaxed) == 0 {
                    tracing::warn!(operation, %error, "no answer; trying again until there is one");
                }
            }
        }
        result
    }
}
