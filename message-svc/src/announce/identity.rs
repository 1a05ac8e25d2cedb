//! Looks once a second whether the stores that hints and versions go to are still the same ones: what was announced to
//! one that was restarted, lost or replaced may be gone, and is announced again.

use std::sync::Arc;
use std::time::Duration;

use doorbell_backplane::Versions;
use doorbell_rpc::Peer;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::metrics::Reason;
use crate::writer::WriterHandle;
use crate::writer::cursor::{Identities, Sighting};
use crate::{Config, Metrics};

/// Between two looks (design, section 6).
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// For one look.
const LOOK_TIMEOUT: Duration = Duration::from_secs(2);

/// The task that compares identities. As long as they cannot be read, nothing happens: announcements wait, too.
pub struct IdentityWatch {
    /// What each partition's store is; users and topics are spread over the same partitions.
    pub versions: Arc<dyn Versions>,
    /// Every shard's cursor goes back.
    pub writers: Arc<[WriterHandle]>,
    /// What it counts.
    pub metrics: Arc<Metrics>,
    /// How far back.
    pub config: Arc<Config>,
}

impl IdentityWatch {
    /// Looks until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let peer = Peer::new("the backplane, asked what it is");
        let mut ticks = interval(LOOK_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            // Before the question: what the answer says was so at some time after it.
            let asked_at = Instant::now();
            let look = stop.run_until_cancelled(peer.within(LOOK_TIMEOUT, self.look())).await;
            if let Some(Ok(Some(seen))) = look {
                self.compare(&seen, asked_at);
            }
        }
    }

    /// What each partition's store is; `None` where not all of them are told.
    async fn look(&self) -> Result<Option<Identities>, doorbell_backplane::Error> {
        let partitions: Vec<_> =
            self.versions.partitions().all().map(|partition| (partition, None)).collect();
        let asked = partitions.len();
        let looks = self.versions.look(partitions, 1).await?;
        let all = looks.len() == asked;
        Ok(all.then(|| looks.into_iter().map(|look| look.identity).collect()))
    }

    fn compare(&self, seen: &Identities, asked_at: Instant) {
        for (shard, writer) in self.writers.iter().enumerate() {
            let sighting = writer.sight(Arc::clone(seen), asked_at, self.config.reannounce_window);
            let (reason, from, to) = match sighting {
                Sighting::Known => continue,
                Sighting::Changed(from, to) => (Reason::StoreChanged, from, to),
                Sighting::ChangedMeanwhile(from, to) => (Reason::ChangedMeanwhile, from, to),
            };
            let commits = from.0 - to.0;
            self.metrics.announces_again(reason, commits);
            match reason {
                Reason::StoreChanged => {
                    warn!(
                        shard,
                        commits, "the backplane is another one: what it was told is announced again"
                    );
                }
                Reason::ChangedMeanwhile => {
                    info!(
                        shard,
                        commits, "the backplane is another one than before this start: announced again"
                    );
                }
            }
        }
    }
}
