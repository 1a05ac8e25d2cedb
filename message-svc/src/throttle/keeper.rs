//! Keeps the throttles' buckets where whoever takes the store over finds them, some times a second.
//!
//! The buckets in memory decide, and no send waits for what is kept: a round trip for each would make every send as slow
//! as the backplane, and end all of them with it. The price: what was taken since the last round is forgotten by a crash,
//! so that its users may do as much once more.

use std::sync::Arc;
use std::time::Duration;

use doorbell_backplane::{BucketLevel, Buckets, Error, Partition};
use doorbell_rpc::Peer;
use futures_util::future::try_join_all;
use tokio::time::{MissedTickBehavior, interval, timeout};
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
        let mut levels = self.throttles.taken(KEEP_INTERVAL);
        if levels.is_empty() {
            return self.metrics.throttles.round(Round::Quiet);
        }
        while !levels.is_empty() {
            let rest = levels.split_off(levels.len().min(KEPT_MAX));
            let kept = peer.within(KEEP_TIMEOUT, self.buckets.keep(levels.clone())).await;
            if kept.is_err() {
                levels.extend(rest);
                levels.iter().for_each(|level| self.throttles.note(level.bucket));
                return self.metrics.throttles.round(Round::Failed);
            }
            levels = rest;
        }
        self.metrics.throttles.round(Round::Kept);
    }

    /// Takes over the buckets as whoever had the store before left them. Without an answer in time they begin full, which is
    /// said in the log: a user may then do too much once, and nobody has to wait.
    pub async fn recall(&self) {
        let recalls = self.buckets.partitions().all().map(|partition| self.recall_partition(partition));
        match timeout(RECALL_TIMEOUT, try_join_all(recalls)).await {
            Ok(Ok(taken)) => match taken.iter().sum::<usize>() {
                0 => {}
                buckets => info!(buckets, "throttles go on as they were left"),
            },
            Ok(Err(error)) => self.not_recalled(&error.to_string()),
            Err(_) => self.not_recalled(&format!("no answer within {RECALL_TIMEOUT:?}")),
        }
    }

    async fn recall_partition(&self, partition: Partition) -> Result<usize, Error> {
        let mut taken = 0;
        loop {
            let levels = self.buckets.recall(partition, taken, RECALLED_MAX).await?;
            if levels.is_empty() {
                return Ok(taken);
            }
            taken += levels.len();
            levels.into_iter().for_each(|level: BucketLevel| self.throttles.restore(level));
        }
    }

    fn not_recalled(&self, error: &str) {
        warn!(error, "how throttles stood cannot be read: those that were not read begin anew");
    }
}

#[cfg(test)]
mod tests;
