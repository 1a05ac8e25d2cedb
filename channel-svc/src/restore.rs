//! Stores what is known here again, where the store of versions is another one than before (CH-7).
//!
//! A store that was restarted, replaced or failed over may have lost versions that gateways were told of. Whoever begins
//! to follow such a topic would read too little, and its next version, counted from nothing, could be smaller than one
//! that was told.

use std::collections::HashMap;
use std::sync::Arc;

use doorbell_backplane::{Partition, PartitionIdentity};
use doorbell_protocol::Raise;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::service::Shared;

/// The task that looks which stores answer.
pub(crate) struct Restorer {
    shared: Arc<Shared>,
    /// The stores that have all that is known here.
    seen: HashMap<Partition, PartitionIdentity>,
}

impl Restorer {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, seen: HashMap::new() }
    }

    /// Looks until `stop`. What fails is done with the next look.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut ticks = interval(self.shared.config.check_interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            stop.run_until_cancelled(self.look()).await;
        }
    }

    async fn look(&mut self) {
        let Shared { versions, store, config, metrics, .. } = &*self.shared;
        let partitions: Vec<_> = versions.partitions().all().collect();
        let look = versions.look(partitions.iter().map(|partition| (*partition, None)).collect(), 1);
        let Ok(looks) = store.within(config.store_deadline, look).await else {
            return metrics.store_failed();
        };
        for (partition, look) in partitions.into_iter().zip(looks) {
            let known = self.seen.get(&partition);
            if known.is_none_or(|known| *known == look.identity) || self.restore(partition).await {
                self.seen.insert(partition, look.identity);
            }
        }
    }

    /// Whether all of it is stored.
    async fn restore(&self, partition: Partition) -> bool {
        let shared = &self.shared;
        tracing::warn!(%partition, "the store of versions is another one: what is known here is stored again");
        let partitions = shared.versions.partitions();
        let known = shared.directory.known(|topic| partitions.of_topic(topic) == partition);
        for some in known.chunks(shared.batch()) {
            let raises: Vec<_> =
                some.iter().map(|(topic, version)| (topic.clone(), Raise::To(*version))).collect();
            if shared.store_and_tell(&raises).await.is_err() {
                return false;
            }
            shared.metrics.restored(raises.len());
        }
        true
    }
}
