//! The backplane, and message-svc's presence beside it, as the notifier calls them: each call with a deadline, counted, a burst of failures logged once.

use std::fmt::Display;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use doorbell_backplane::{
    Claim, ClaimToken, Enter, HintQueue, Partition, Partitions, Registry, Settled, Settlement,
};
use doorbell_protocol::UserId;
use doorbell_rpc::{Move, Peer, Presence, Way};

use crate::metrics::Metrics;

/// A call has no answer: it was counted, and logged where it was the first.
pub(crate) struct Failed;

/// The queue and the registry.
pub(crate) struct Backplane {
    queue: Arc<dyn HintQueue>,
    registry: Arc<dyn Registry>,
    presence: Option<Arc<dyn Presence>>,
    deadline: Duration,
    metrics: Metrics,
    claiming: Operation,
    settling: Operation,
    sweeping: Operation,
    telling: Operation,
}

/// Who is called.
pub(crate) struct Asked {
    pub(crate) queue: Arc<dyn HintQueue>,
    pub(crate) registry: Arc<dyn Registry>,
    /// `None` where presence is turned off.
    pub(crate) presence: Option<Arc<dyn Presence>>,
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
    pub(crate) fn new(asked: Asked, deadline: Duration, metrics: Metrics) -> Self {
        let Asked { queue, registry, presence } = asked;
        let claiming = Operation::of("claim", "the hint queue (claims)");
        let settling = Operation::of("settle", "the hint queue (settlements)");
        let sweeping = Operation::of("sweep", "the registry (sweeps)");
        let telling = Operation::of("tell", "message-svc (who went)");
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

    /// Who of these users is online, in their order.
    pub(crate) async fn online(&self, users: Vec<UserId>) -> Result<Vec<bool>, Failed> {
        self.call(&self.settling, self.registry.online(users)).await
    }

    /// Tells message-svc who went with their gateway, where presence is turned on. A canary is nobody.
    pub(crate) async fn tell_went(&self, lapsed: &[Enter]) -> Result<(), Failed> {
        let Some(presence) = &self.presence else { return Ok(()) };
        let people = lapsed.iter().filter(|enter| !enter.user.is_canary());
        let moves: Vec<_> = people.map(|enter| Move { user: enter.user.clone(), way: Way::Went }).collect();
        if moves.is_empty() {
            return Ok(());
        }
        self.call(&self.telling, presence.moved(moves)).await
    }

    async fn call<T, E: Display>(
        &self,
        operation: &Operation,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Failed> {
        let answer = operation.peer.within(self.deadline, call).await;
        if answer.is_err() {
            self.metrics.backplane_failed(operation.label);
        }
        answer.map_err(|_| Failed)
    }
}
