//! Renews all leases, once a second, all at once.

use std::sync::Arc;

use doorbell_backplane::{Lease, LeaseRenewal, Partition};
use futures_util::future::join_all;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::lane::within;
use crate::gateway::Gateway;
use crate::metrics::Answer;

/// The task that keeps the leases.
pub(super) struct Renewals {
    gateway: Arc<Gateway>,
}

impl Renewals {
    pub(super) fn new(gateway: Arc<Gateway>) -> Self {
        Self { gateway }
    }

    /// Runs until `stop`.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(self.gateway.setting().rules.config.lease_renewal);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            self.renew_all().await;
        }
    }

    /// One call a partition, so that one that does not answer costs the others nothing.
    async fn renew_all(&self) {
        let entries = self.gateway.entries();
        let held = entries.partitions.all().filter_map(|partition| {
            let lease = entries.lane_of(partition).lease()?;
            Some(self.renew(partition, lease))
        });
        join_all(held).await;
    }

    async fn renew(&self, partition: Partition, lease: Lease) {
        let entries = self.gateway.entries();
        let ttl = self.gateway.setting().rules.config.lease_ttl;
        let call = entries.registry.renew_leases(&entries.gateway, vec![(partition, lease.epoch)], ttl);
        let lane = entries.lane_of(partition);
        let answer = match within(&self.gateway, call).await.as_deref() {
            None => Answer::Failed,
            Some([LeaseRenewal::Renewed(identity)]) if !lane.moved(lease.epoch, identity) => Answer::Done,
            // Another store, or a lease that ended: what was entered there may be gone.
            Some(_) => {
                if lane.lapse(lease.epoch) {
                    tracing::warn!(%partition, epoch = lease.epoch.0, "the lease lapsed: registering again");
                }
                Answer::Lapsed
            }
        };
        self.gateway.setting().metrics.renewed(answer);
    }
}
