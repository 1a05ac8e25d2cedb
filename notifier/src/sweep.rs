//! What dead gateways left in the registry goes, by the stamps it was found with (NT-6); who was there is told first.

use std::sync::Arc;

use doorbell_backplane::Partition;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::backplane::Failed;
use crate::turn::Shared;

/// Looks through all partitions once an interval. Several notifiers may sweep at once: removal is by stamp, so the
/// second changes nothing.
pub(crate) struct Sweep {
    pub(crate) shared: Arc<Shared>,
}

impl Sweep {
    /// Runs until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut tick = interval(self.shared.config.sweep_interval);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            for partition in self.shared.backplane.partitions().all() {
                if stop.is_cancelled() {
                    break;
                }
                // A failure is counted and logged where it happened, and says nothing of the other partitions; the
                // next look finds the same entries.
                let _ = self.sweep(partition, &stop).await;
            }
        }
    }

    async fn sweep(&self, partition: Partition, stop: &CancellationToken) -> Result<(), Failed> {
        let entries_max = self.shared.config.sweep_entries_max.get() as usize;
        while !stop.is_cancelled() {
            let lapsed = self.shared.backplane.lapsed(partition, entries_max).await?;
            let found = lapsed.len();
            if found == 0 {
                break;
            }
            // Removed first, a crash between the two would leave nobody who knows that they went (NT-7).
            self.shared.backplane.tell_went(&lapsed).await?;
            self.shared.backplane.leave(lapsed).await?;
            self.shared.metrics.swept(found);
            tracing::debug!(%partition, entries = found, "removed the entries of gateways whose lease had ended");
            if found < entries_max {
                break;
            }
        }
        Ok(())
    }
}
