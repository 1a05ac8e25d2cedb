//! How late the event loop is, and how long the process runs: what `/metrics` and `/readyz` say about the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing_appender::non_blocking::ErrorCounter;

use crate::metrics::Metrics;

/// How often the loop is asked; a lag shorter than this is seen by chance only.
const BEAT: Duration = Duration::from_millis(100);
/// A loop that is later than this serves nobody well: not ready until a beat is in time again.
const LAG_MAX: Duration = Duration::from_secs(2);

/// The last beat's lag, for whoever asks.
#[derive(Clone, Debug, Default)]
pub struct Lag(Arc<AtomicU64>);

impl Lag {
    /// Whether the loop is so late that new clients should go elsewhere.
    pub fn is_too_late(&self) -> bool {
        Duration::from_micros(self.0.load(Ordering::Relaxed)) > LAG_MAX
    }
}

/// Beats until stopped.
pub struct Heartbeat {
    started: Instant,
    lag: Lag,
    log_lines_dropped: ErrorCounter,
    metrics: Metrics,
}

impl Heartbeat {
    /// The process's time counts from here.
    pub fn new(lag: Lag, log_lines_dropped: ErrorCounter, metrics: Metrics) -> Self {
        Self { started: Instant::now(), lag, log_lines_dropped, metrics }
    }

    /// Runs until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while let Some(due) = stop.run_until_cancelled(beat.tick()).await {
            let late = due.elapsed();
            self.lag.0.store(u64::try_from(late.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
            self.metrics.beat(self.started.elapsed(), late);
            self.metrics.log_lines_dropped(self.log_lines_dropped.dropped_lines() as u64);
        }
    }
}
