//! This gateway's entries in the session registry: entered, renewed, registered again, left.
//!
//! Each partition has a lane: one task that alone takes the partition's lease and enters its users, so that a lease is
//! always taken before the enters under it, and a partition that does not answer holds up no other. Renewals are
//! apart, so that a slow enter never costs a lease.

mod lane;
mod lingering;
mod renewal;
mod waiting;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use doorbell_backplane::{Enter, Entry, Partition, Partitions, Registry};
use doorbell_protocol::{GatewayId, Generation, Stamp, UserId};
use doorbell_rpc::Peer;
use futures_util::future::join_all;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::gateway::Gateway;
use crate::local::Left;
use crate::metrics::Metrics;
use crate::session::Session;
use lane::{Lane, LaneTask, within};
use renewal::Renewals;

/// All partitions' lanes, and the one counter of enters.
pub(crate) struct Entries {
    gateway: GatewayId,
    registry: Arc<dyn Registry>,
    partitions: Partitions,
    lanes: Vec<Lane>,
    peer: Peer,
    /// One for the process; it never goes back, so that of two entries of a user the later is the greater (GW-5).
    generation: AtomicU64,
}

impl Entries {
    pub(crate) fn new(
        gateway: GatewayId,
        registry: Arc<dyn Registry>,
        partitions: Partitions,
        metrics: &Metrics,
    ) -> Self {
        let lanes = partitions.all().map(|_| Lane::new(metrics.clone())).collect();
        let peer = Peer::new("the registry");
        Self { gateway, registry, partitions, lanes, peer, generation: AtomicU64::new(0) }
    }

    /// Queues a session's enter: it is confirmed by an event to the session. The session is in the local index.
    ///
    /// The queue holds a session at most once and drops those that ended, so it is bounded by the sessions.
    pub(crate) fn enter(&self, session: &Arc<Session>) {
        if let Some(identity) = session.identity() {
            self.lane(&identity.user).queue_enter(session);
        }
    }

    /// Leaves for a user whose last session has gone, after the grace, if the user is not back by then.
    pub(crate) fn leave(&self, user: &UserId, left: Left, grace: Duration) {
        self.lane(user).linger(user.clone(), left, grace);
    }

    /// What an absent user is answered with. Called under the lock of the user's shard: any later enter is greater. The
    /// entry may go by the answer, so that a return is news (GW-17).
    pub(crate) fn absent(&self, user: &UserId) -> Stamp {
        let lane = self.lane(user);
        lane.miss(user);
        Stamp { epoch: lane.epoch(), generation: Generation(self.generation.load(Ordering::SeqCst)) }
    }

    /// Something of the partition waits to be entered.
    pub(crate) fn wake(&self, partition: Partition) {
        self.lane_of(partition).wake();
    }

    fn next_generation(&self) -> Generation {
        Generation(self.generation.fetch_add(1, Ordering::SeqCst)).next()
    }

    fn lane(&self, user: &UserId) -> &Lane {
        self.lane_of(self.partitions.of(user))
    }

    fn lane_of(&self, partition: Partition) -> &Lane {
        &self.lanes[partition.index()]
    }

    /// Starts the tasks that own the lanes and the renewals.
    pub(crate) fn spawn(&self, gateway: &Arc<Gateway>, into: &mut JoinSet<()>, stop: &CancellationToken) {
        for partition in self.partitions.all() {
            into.spawn(LaneTask::new(Arc::clone(gateway), partition).run(stop.clone()));
        }
        into.spawn(Renewals::new(Arc::clone(gateway)).run(stop.clone()));
    }

    /// The sweep would find them as well, some seconds later.
    async fn leave_canaries(&self, gateway: &Gateway) {
        let entry = |stamp| Entry { gateway: self.gateway.clone(), stamp };
        let leaves = gateway.canaries().take_leaves().into_iter();
        let leaves: Vec<_> = leaves.map(|(user, stamp)| Enter { user, entry: entry(stamp) }).collect();
        if !leaves.is_empty() {
            // What fails ends with the lease.
            let _ = within(gateway, self.registry.leave(leaves)).await;
        }
    }

    /// Sends the leaves that wait, tells who went and ends the leases: for a gateway that has closed its last session.
    pub(crate) async fn finish(&self, gateway: &Gateway, budget: Duration) {
        let leaving = async {
            let leave = async |lane: &Lane| {
                lane.end_graces();
                // What fails ends with the lease.
                let _ = lane.leave_batch(gateway).await;
            };
            join_all(self.lanes.iter().map(leave)).await;
            gateway.tell_last_moves().await;
            let lanes = self.partitions.all().zip(&self.lanes);
            let leases =
                lanes.filter_map(|(partition, lane)| Some((partition, lane.drop_lease()?))).collect();
            // Those who call this gateway wait for the end of the leases, and nobody for canaries.
            let ending = self.registry.end_leases(&self.gateway, leases);
            tokio::join!(self.leave_canaries(gateway), ending).1
        };
        match tokio::time::timeout(budget, leaving).await {
            Ok(Ok(())) => tracing::info!("left the registry"),
            Ok(Err(error)) => {
                tracing::warn!(%error, "could not leave the registry: the leases end by themselves")
            }
            Err(_) => tracing::warn!("no time left to leave the registry: the leases end by themselves"),
        }
    }
}
