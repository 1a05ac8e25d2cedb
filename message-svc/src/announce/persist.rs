//! Tries until it succeeds.

use std::fmt::Display;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use crate::Metrics;
use crate::shard::Shard;
use crate::writer::WriterHandle;

/// The first wait after a failure; it doubles up to `retry_max`.
const RETRY_MIN: Duration = Duration::from_millis(50);

/// One shard's patience.
#[derive(Clone)]
pub(super) struct Persistence {
    /// Whose commits are announced.
    pub shard: Shard,
    /// The writer that they come from.
    pub writer: WriterHandle,
    /// What it counts.
    pub metrics: Arc<Metrics>,
    /// The longest wait between two attempts.
    pub retry_max: Duration,
}

impl Persistence {
    /// Tries until it succeeds: sends go on meanwhile, and what is not announced waits in the store.
    pub async fn persist<T, E, F>(&self, what: &'static str, mut attempt: impl FnMut() -> F) -> T
    where
        E: Display,
        F: Future<Output = Result<T, E>>,
    {
        let mut wait = RETRY_MIN;
        let mut tries = 0_u64;
        loop {
            match attempt().await {
                Ok(done) => {
                    if tries > 0 {
                        info!(shard = %self.shard, what, tries, "announcing goes on");
                    }
                    return done;
                }
                Err(error) if tries == 0 => {
                    warn!(shard = %self.shard, what, %error, "announcing fails, and is tried until it succeeds");
                }
                Err(_) => {}
            }
            tries += 1;
            self.metrics.announce_retried();
            // What is committed meanwhile waits, too.
            self.note_lag();
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(self.retry_max);
        }
    }

    /// Counts the commits that are not announced.
    pub fn note_lag(&self) {
        let committed = self.writer.progress().borrow().0;
        let lag = committed.saturating_sub(self.writer.announced().position.0);
        self.metrics.announce_lag(&self.shard.to_string(), lag);
    }
}
