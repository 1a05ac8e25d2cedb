//! Counts what goes through a back-end, whichever it is.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use doorbell_protocol::{Epoch, GatewayId, InstanceId, Raise, TopicId, UserId, Version};
use tokio::time::Instant;

use crate::metrics::Operation;
use crate::queue::QueueDepth;
use crate::{
    BucketLevel, Buckets, ChangeCounter, Claim, ClaimToken, Discovery, Enter, Entered, Entry, Error,
    HintQueue, HintReport, Instance, Instances, Lease, LeaseRenewal, Look, Metrics, Partition, Partitions,
    Registry, Settled, Settlement, UserHint, Versions,
};

/// A back-end with metrics around it.
#[derive(Debug)]
pub struct Metered<B> {
    inner: B,
    metrics: Arc<Metrics>,
}

impl<B> Metered<B> {
    /// Counts what goes through `inner`.
    #[must_use]
    pub const fn new(inner: B, metrics: Arc<Metrics>) -> Self {
        Self { inner, metrics }
    }

    /// The back-end itself.
    #[must_use]
    pub const fn inner(&self) -> &B {
        &self.inner
    }

    async fn timed<T>(
        &self,
        operation: Operation,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let start = Instant::now();
        let answer = call.await;
        self.metrics.called(operation, start.elapsed());
        if answer.is_err() {
            self.metrics.failed(operation);
        }
        answer
    }
}

#[async_trait]
impl<B: HintQueue> HintQueue for Metered<B> {
    fn partitions(&self) -> Partitions {
        self.inner.partitions()
    }

    async fn hint(&self, hints: Vec<UserHint>) -> Result<HintReport, Error> {
        let report = self.timed(Operation::Hint, self.inner.hint(hints)).await?;
        self.metrics.hinted(&report);
        Ok(report)
    }

    async fn claim(
        &self,
        partition: Partition,
        users_max: usize,
        lease: Duration,
    ) -> Result<Vec<Claim>, Error> {
        let claims = self.timed(Operation::Claim, self.inner.claim(partition, users_max, lease)).await?;
        self.metrics.claimed(claims.len());
        Ok(claims)
    }

    async fn settle(
        &self,
        partition: Partition,
        settlements: Vec<Settlement>,
        delay: Duration,
    ) -> Result<Vec<Settled>, Error> {
        let outcomes =
            self.timed(Operation::Settle, self.inner.settle(partition, settlements, delay)).await?;
        self.metrics.settled(&outcomes);
        Ok(outcomes)
    }

    async fn release(
        &self,
        partition: Partition,
        claims: Vec<(UserId, ClaimToken)>,
        delay: Duration,
    ) -> Result<(), Error> {
        let count = claims.len();
        self.timed(Operation::Release, self.inner.release(partition, claims, delay)).await?;
        self.metrics.released(count);
        Ok(())
    }

    async fn bell(&self) -> Partition {
        self.inner.bell().await
    }

    /// As the back-end's; the gauges follow.
    async fn depth(&self) -> Result<QueueDepth, Error> {
        let depth = self.timed(Operation::Depth, self.inner.depth()).await?;
        self.metrics.sampled(&depth);
        Ok(depth)
    }
}

#[async_trait]
impl<B: Registry> Registry for Metered<B> {
    async fn take_lease(
        &self,
        gateway: &GatewayId,
        partition: Partition,
        ttl: Duration,
    ) -> Result<Lease, Error> {
        self.timed(Operation::TakeLease, self.inner.take_lease(gateway, partition, ttl)).await
    }

    async fn renew_leases(
        &self,
        gateway: &GatewayId,
        leases: Vec<(Partition, Epoch)>,
        ttl: Duration,
    ) -> Result<Vec<LeaseRenewal>, Error> {
        let call = self.inner.renew_leases(gateway, leases, ttl);
        let outcomes = self.timed(Operation::RenewLeases, call).await?;
        self.metrics.renewed(&outcomes);
        Ok(outcomes)
    }

    async fn end_leases(&self, gateway: &GatewayId, leases: Vec<(Partition, Epoch)>) -> Result<(), Error> {
        self.timed(Operation::EndLeases, self.inner.end_leases(gateway, leases)).await
    }

    async fn enter(&self, enters: Vec<Enter>) -> Result<Vec<Entered>, Error> {
        let outcomes = self.timed(Operation::Enter, self.inner.enter(enters)).await?;
        self.metrics.entered(&outcomes);
        Ok(outcomes)
    }

    async fn leave(&self, leaves: Vec<Enter>) -> Result<(), Error> {
        self.timed(Operation::Leave, self.inner.leave(leaves)).await
    }

    async fn look_up(&self, users: Vec<UserId>) -> Result<Vec<Vec<Entry>>, Error> {
        self.timed(Operation::LookUp, self.inner.look_up(users)).await
    }

    async fn online(&self, users: Vec<UserId>) -> Result<Vec<bool>, Error> {
        self.timed(Operation::Online, self.inner.online(users)).await
    }

    async fn lapsed(&self, partition: Partition, entries_max: usize) -> Result<Vec<Enter>, Error> {
        self.timed(Operation::Lapsed, self.inner.lapsed(partition, entries_max)).await
    }
}

#[async_trait]
impl<B: Versions> Versions for Metered<B> {
    fn partitions(&self) -> Partitions {
        self.inner.partitions()
    }

    async fn raise(&self, raises: Vec<(TopicId, Raise)>) -> Result<Vec<Version>, Error> {
        self.timed(Operation::Raise, self.inner.raise(raises)).await
    }

    async fn read(&self, topics: Vec<TopicId>) -> Result<Vec<Version>, Error> {
        self.timed(Operation::Read, self.inner.read(topics)).await
    }

    async fn look(
        &self,
        since: Vec<(Partition, Option<ChangeCounter>)>,
        changes_max: usize,
    ) -> Result<Vec<Look>, Error> {
        let looks = self.timed(Operation::Look, self.inner.look(since, changes_max)).await?;
        self.metrics.looked(&looks);
        Ok(looks)
    }
}

#[async_trait]
impl<B: Discovery> Discovery for Metered<B> {
    async fn announce(&self, instance: &Instance, ttl: Duration) -> Result<Instances, Error> {
        self.timed(Operation::Announce, self.inner.announce(instance, ttl)).await
    }

    async fn withdraw(&self, instance: &InstanceId) -> Result<(), Error> {
        self.timed(Operation::Withdraw, self.inner.withdraw(instance)).await
    }

    async fn settle_store(&self, store: &str) -> Result<String, Error> {
        self.timed(Operation::SettleStore, self.inner.settle_store(store)).await
    }
}

#[async_trait]
impl<B: Buckets> Buckets for Metered<B> {
    fn partitions(&self) -> Partitions {
        self.inner.partitions()
    }

    async fn keep(&self, levels: Vec<BucketLevel>) -> Result<(), Error> {
        self.timed(Operation::Keep, self.inner.keep(levels)).await
    }

    async fn recall(
        &self,
        partition: Partition,
        passed_over: usize,
        buckets_max: usize,
    ) -> Result<Vec<BucketLevel>, Error> {
        self.timed(Operation::Recall, self.inner.recall(partition, passed_over, buckets_max)).await
    }
}
