//! Keeps the throttles' buckets where whoever takes the store over finds them, some times a second.
//!
//! The buckets in memory decide, and no send waits for what is kept: a round trip for each would make every send as slow
//! as the backplane, and end all of them with it. The price: what was taken since the last round is forgotten by a crash,
//! so that its users may do as much once more.

use std::sync::Arc;
use std::time::Duration;

use doorbell_backplane::{BucketLevel, Buckets, Error, Partition};
use doorbell_rpc::Peer;
use futures_util::future::join_all;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Throttles;
use crate::Metrics;
use crate::metrics::Round;

/// Between two rounds: what a crash forgets.
pub(super) const KEEP_INTERVAL: Duration = Duration::from_millis(250);
/// For one call of a round.
const KEEP_TIMEOUT: Duration = Duration::from_secs(2);
/// Buckets in one call of a round.
const KEPT_MAX: usize = 4_096;
/// For everything that is taken over: sends wait for it.
const RECALL_TIMEOUT: Duration = Duration::from_secs(2);
/// Between two tries of a partition.
const RECALL_PAUSE: Duration = Duration::from_millis(100);
/// Buckets in one answer.
const RECALLED_MAX: usize = 1_000;

/// The task that keeps buckets.
pub struct Keeper {
    /// Whose.
    pub throttles: Arc<Throttles>,
    /// Where.
    pub buckets: Arc<dyn Buckets>,
    /// What it counts.
    pub metrics: Arc<Metrics>,
}

impl Keeper {
    /// Keeps what was taken until `stop`, and then the rest.
    pub async fn run(self, stop: CancellationToken) {
        let peer = Peer::new("the backplane, told how throttles stand");
        let mut ticks = interval(KEEP_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            self.round(&peer).await;
        }
        self.round(&peer).await;
    }

    /// Keeps what was taken since the last round. What cannot be kept is noted again for the next one, which has less of it:
    /// a bucket that is full by then is none of its business.
    async fn round(&self, peer: &Peer) {
        let levels = self.throttles.taken(KEEP_INTERVAL);
        if levels.is_empty() {
            return self.metrics.throttles.round(Round::Quiet);
        }
        let mut round = Round::Kept;
        for batch in levels.chunks(KEPT_MAX) {
            let kept = peer.within(KEEP_TIMEOUT, self.buckets.keep(batch.to_vec())).await;
            // The others are not held up: what failed may be one partition's alone.
            if kept.is_err() {
                batch.iter().for_each(|level| self.throttles.note(level.bucket));
                round = Round::Failed;
            }
        }
        self.metrics.throttles.round(round);
    }

    /// Takes over the buckets as whoever had the store before left them. Those of a partition that does not answer in time begin
    /// full, which is said in the log: a user may then do too much once, and nobody has to wait.
    pub async fn recall(&self) {
        let by = Instant::now() + RECALL_TIMEOUT;
        let recalls = self.buckets.partitions().all().map(async |partition| {
            let mut failed = None;
            let recalled = timeout_at(by, self.recall_partition(partition, &mut failed)).await;
            recalled.map_err(|_| failed.map_or_else(|| "no answer".to_owned(), |error| error.to_string()))
        });
        let recalled = join_all(recalls).await;
        let buckets: usize = recalled.iter().flatten().sum();
        if buckets > 0 {
            info!(buckets, "throttles go on as they were left");
        }
        if let Some(error) = recalled.iter().find_map(|recalled| recalled.as_ref().err()) {
            warn!(error, "how throttles stood cannot be read: those that were not read begin anew");
        }
    }

    /// Until it is done: what fails is tried again, and told in `failed` to whoever has no more time.
    async fn recall_partition(&self, partition: Partition, failed: &mut Option<Error>) -> usize {
        let mut taken = 0;
        loop {
            match self.buckets.recall(partition, taken, RECALLED_MAX).await {
                Ok(levels) if levels.is_empty() => return taken,
                Ok(levels) => {
                    taken += levels.len();
                    levels.into_iter().for_each(|level: BucketLevel| self.throttles.restore(level));
                }
                Err(error) => {
                    *failed = Some(error);
                    sleep(RECALL_PAUSE).await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
