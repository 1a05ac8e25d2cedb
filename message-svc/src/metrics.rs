//! What the message service counts.

use std::time::Duration;

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

/// Seconds: from a commit on a fast disk to beyond a client's patience.
const SECONDS: &[f64] =
    &[0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];
/// Writes in one commit.
const WRITES: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// How one commit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitOutcome {
    /// Durable.
    Committed,
    /// The disk has no room: nothing was written.
    DiskFull,
    /// The write or its fsync failed: the store must be opened again.
    Failed,
}

impl CommitOutcome {
    const fn label(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::DiskFull => "disk_full",
            Self::Failed => "failed",
        }
    }
}

/// The counters of this crate.
pub struct Metrics {
    calls: IntCounterVec,
    call_seconds: HistogramVec,
    appends: IntCounter,
    repeats: IntCounter,
    throttle_users: IntGauge,
    commits: IntCounterVec,
    commit_writes: Histogram,
    commit_seconds: Histogram,
    queue_depth: IntGaugeVec,
    queue_refusals: IntCounter,
    announce_lag: IntGaugeVec,
    announce_hints: IntCounterVec,
    announce_retries: IntCounter,
    recoveries: IntCounter,
    sound: IntGauge,
}

impl Metrics {
    /// Makes the families and registers them.
    ///
    /// # Errors
    /// A family of the same name is registered already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        fn put<C: prometheus::core::Collector + Clone + 'static>(
            registry: &Registry,
            family: Result<C, prometheus::Error>,
        ) -> Result<C, prometheus::Error> {
            let family = family?;
            registry.register(Box::new(family.clone()))?;
            Ok(family)
        }
        let counter = |name, help| put(registry, IntCounter::new(name, help));
        let counters =
            |name, help, labels: &[&str]| put(registry, IntCounterVec::new(Opts::new(name, help), labels));
        let gauge = |name, help| put(registry, IntGauge::new(name, help));
        let gauges = |name, help| put(registry, IntGaugeVec::new(Opts::new(name, help), &["shard"]));
        let histogram = |name: &str, help: &str, buckets: &[f64]| {
            put(registry, Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec())))
        };
        let call_opts =
            HistogramOpts::new("doorbell_message_call_seconds", "Time to answer one call, by method");
        Ok(Self {
            calls: counters(
                "doorbell_message_calls_total",
                "Calls, by method and outcome",
                &["method", "outcome"],
            )?,
            call_seconds: put(registry, HistogramVec::new(call_opts.buckets(SECONDS.to_vec()), &["method"]))?,
            appends: counter("doorbell_message_appends_total", "Messages appended and durable")?,
            repeats: counter(
                "doorbell_message_repeats_total",
                "Writes answered from their key, with nothing written",
            )?,
            throttle_users: gauge("doorbell_message_throttle_users", "Users whom the throttle knows")?,
            commits: counters("doorbell_message_commits_total", "Commits, by outcome", &["outcome"])?,
            commit_writes: histogram("doorbell_message_commit_writes", "Writes in one commit", WRITES)?,
            commit_seconds: histogram(
                "doorbell_message_commit_seconds",
                "Time of one commit with its fsync",
                SECONDS,
            )?,
            queue_depth: gauges("doorbell_message_write_queue_writes", "Writes that wait for their writer")?,
            queue_refusals: counter(
                "doorbell_message_write_queue_refusals_total",
                "Writes refused: the queue is full",
            )?,
            announce_lag: gauges(
                "doorbell_message_announce_lag_commits",
                "Commits that are not yet announced",
            )?,
            announce_hints: counters(
                "doorbell_message_hints_total",
                "Hints given to the queue, by answer",
                &["answer"],
            )?,
            announce_retries: counter(
                "doorbell_message_announce_retries_total",
                "Announcements tried again",
            )?,
            recoveries: counter(
                "doorbell_message_recoveries_total",
                "Times the store was opened again after a failed write",
            )?,
            sound: gauge(
                "doorbell_message_sound",
                "1 while writes are served, 0 after a failed write or a panic",
            )?,
        })
    }
}

/// One method per event.
impl Metrics {
    /// A call was answered: `ok` or the error's code.
    pub fn called(&self, method: &'static str, outcome: &'static str, took: Duration) {
        self.calls.with_label_values(&[method, outcome]).inc();
        self.call_seconds.with_label_values(&[method]).observe(took.as_secs_f64());
    }

    /// Messages became durable.
    pub fn appended(&self, messages: u64) {
        self.appends.inc_by(messages);
    }

    /// A write was answered from its key.
    pub fn repeated(&self) {
        self.repeats.inc();
    }

    /// The throttle knows so many users.
    pub fn throttle_users(&self, users: usize) {
        self.throttle_users.set(i64::try_from(users).unwrap_or(i64::MAX));
    }

    /// A commit of so many writes ended.
    pub fn committed(&self, outcome: CommitOutcome, writes: usize, took: Duration) {
        self.commits.with_label_values(&[outcome.label()]).inc();
        if outcome == CommitOutcome::Committed {
            self.commit_writes.observe(f64::from(u32::try_from(writes).unwrap_or(u32::MAX)));
            self.commit_seconds.observe(took.as_secs_f64());
        }
    }

    /// So many writes wait for a shard's writer.
    pub fn write_queue(&self, shard: &str, depth: usize) {
        self.queue_depth.with_label_values(&[shard]).set(i64::try_from(depth).unwrap_or(i64::MAX));
    }

    /// A write found its queue full.
    pub fn write_refused(&self) {
        self.queue_refusals.inc();
    }

    /// So many commits of a shard wait for their announcement.
    pub fn announce_lag(&self, shard: &str, commits: u64) {
        self.announce_lag.with_label_values(&[shard]).set(i64::try_from(commits).unwrap_or(i64::MAX));
    }

    /// The queue took hints.
    pub fn hinted(&self, queued: u64, merged: u64, offline: usize) {
        self.announce_hints.with_label_values(&["queued"]).inc_by(queued);
        self.announce_hints.with_label_values(&["merged"]).inc_by(merged);
        self.announce_hints
            .with_label_values(&["offline"])
            .inc_by(u64::try_from(offline).unwrap_or(u64::MAX));
    }

    /// An announcement failed and will be tried again.
    pub fn announce_retried(&self) {
        self.announce_retries.inc();
    }

    /// The store was opened again after a failed write.
    pub fn recovered(&self) {
        self.recoveries.inc();
    }

    /// Whether writes are served.
    pub fn sound(&self, sound: bool) {
        self.sound.set(i64::from(sound));
    }
}
