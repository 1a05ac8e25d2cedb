//! What the message service counts.

mod again;
mod hints;
mod presence;
mod reads;
mod signals;
mod throttles;

use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};
use tokio::time::Instant;

use self::again::AgainMetrics;
pub use self::again::Reason;
use self::hints::HintMetrics;
pub use self::reads::{Cached, Pulled, ReadFor, Reads};
pub(crate) use presence::{MoveOutcome, PresenceMetrics};
use signals::SignalMetrics;
pub use signals::{SignalCall, SignalOutcome};
pub use throttles::Round;
use throttles::ThrottleMetrics;

/// Seconds: from a commit on a fast disk to beyond a client's patience.
const SECONDS: &[f64] =
    &[0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];
/// Writes in one commit.
const WRITES: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// The calls that dashboards and alerts look at, and the ends that tell of a fault of ours: there from the start, so that
/// the first one is a step from 0 and not a series that comes out of nothing.
const WATCHED_METHODS: [&str; 3] = ["messages.send", "messages.list", "topics.changes"];
const WATCHED_OUTCOMES: [&str; 4] = ["ok", "unavailable", "internal", DROPPED];
/// The outcome of a call whose caller waited no longer.
const DROPPED: &str = "dropped";

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
    const ALL: [Self; 3] = [Self::Committed, Self::DiskFull, Self::Failed];

    const fn label(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::DiskFull => "disk_full",
            Self::Failed => "failed",
        }
    }
}

/// A number as a gauge takes it.
fn signed(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

/// Registers a family.
fn put<C: Collector + Clone + 'static>(
    registry: &Registry,
    family: Result<C, prometheus::Error>,
) -> Result<C, prometheus::Error> {
    let family = family?;
    registry.register(Box::new(family.clone()))?;
    Ok(family)
}

/// The counters of this crate.
pub struct Metrics {
    calls: IntCounterVec,
    call_seconds: HistogramVec,
    appends: IntCounter,
    repeats: IntCounter,
    /// What reads count.
    pub(crate) reads: Reads,
    signals: SignalMetrics,
    pub(crate) throttles: ThrottleMetrics,
    pub(crate) presence: PresenceMetrics,
    commits: IntCounterVec,
    commit_writes: Histogram,
    commit_seconds: Histogram,
    queue_depth: IntGaugeVec,
    queue_refusals: IntCounter,
    announce_lag: IntGaugeVec,
    hints: HintMetrics,
    announce_retries: IntCounter,
    again: AgainMetrics,
    recoveries: IntCounter,
    sound: IntGauge,
}

impl Metrics {
    /// Makes the families and registers them.
    ///
    /// # Errors
    /// A family of the same name is registered already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
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
        let metrics = Self {
            calls: counters(
                "doorbell_message_calls_total",
                "Calls, by method and outcome: `ok`, an error's code, or `dropped` where the caller waited no longer",
                &["method", "outcome"],
            )?,
            call_seconds: put(registry, HistogramVec::new(call_opts.buckets(SECONDS.to_vec()), &["method"]))?,
            appends: counter(
                "doorbell_message_appends_total",
                "Entries of logs (messages and what changes them) appended and durable",
            )?,
            repeats: counter(
                "doorbell_message_repeats_total",
                "Writes answered from their key, with nothing written",
            )?,
            reads: Reads::register(registry)?,
            signals: SignalMetrics::register(registry)?,
            throttles: ThrottleMetrics::register(registry)?,
            presence: PresenceMetrics::register(registry)?,
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
            hints: HintMetrics::register(registry)?,
            announce_retries: counter(
                "doorbell_message_announce_retries_total",
                "Announcements tried again",
            )?,
            again: AgainMetrics::register(registry)?,
            recoveries: counter(
                "doorbell_message_recoveries_total",
                "Times the store was opened again after a failed write",
            )?,
            sound: gauge(
                "doorbell_message_sound",
                "1 while writes are served, 0 after a failed write or a panic",
            )?,
        };
        metrics.start_at_zero();
        Ok(metrics)
    }

    fn start_at_zero(&self) {
        for method in WATCHED_METHODS {
            WATCHED_OUTCOMES.iter().for_each(|outcome| _ = self.calls.with_label_values(&[method, outcome]));
            self.call_seconds.with_label_values(&[method]);
        }
        CommitOutcome::ALL.iter().for_each(|outcome| _ = self.commits.with_label_values(&[outcome.label()]));
    }
}

/// One method per event.
impl Metrics {
    /// A call came in. It is counted when it is answered, or as dropped together with what this returns.
    #[must_use]
    pub fn call_began(&self, method: &'static str) -> OpenCall<'_> {
        OpenCall { metrics: self, method, began: Instant::now(), answered: false }
    }

    /// What became of one signal.
    pub fn signal(&self, outcome: SignalOutcome) {
        self.signals.ended(outcome);
    }

    /// How one gateway took one signal.
    pub fn signal_call(&self, call: SignalCall) {
        self.signals.called(call);
    }

    /// Entries became durable.
    pub fn appended(&self, entries: u64) {
        self.appends.inc_by(entries);
    }

    /// A write was answered from its key.
    pub fn repeated(&self) {
        self.repeats.inc();
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
        self.queue_depth.with_label_values(&[shard]).set(signed(depth));
    }

    /// A write found its queue full.
    pub fn write_refused(&self) {
        self.queue_refusals.inc();
    }

    /// So many commits of a shard wait for their announcement.
    pub fn announce_lag(&self, shard: &str, commits: u64) {
        self.announce_lag.with_label_values(&[shard]).set(signed(commits));
    }

    /// The queue took hints.
    pub fn hinted(&self, queued: u64, merged: u64, offline: usize) {
        self.hints.hinted(queued, merged, offline);
    }

    /// So many large conversations were published.
    pub fn published(&self, conversations: usize) {
        self.hints.published(conversations);
    }

    /// An announcement failed and will be tried again.
    pub fn announce_retried(&self) {
        self.announce_retries.inc();
    }

    /// The cursor of a shard goes back over so many commits.
    pub fn announces_again(&self, reason: Reason, commits: u64) {
        self.again.went_back(reason, commits);
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

/// A call that has no answer yet. Dropped without one, its caller waits no longer, and whether it takes effect is open.
pub struct OpenCall<'a> {
    metrics: &'a Metrics,
    method: &'static str,
    began: Instant,
    answered: bool,
}

impl OpenCall<'_> {
    /// It was answered: `ok` or the error's code.
    pub fn answered(mut self, outcome: &'static str) {
        self.answered = true;
        self.metrics.calls.with_label_values(&[self.method, outcome]).inc();
        let took = self.began.elapsed().as_secs_f64();
        self.metrics.call_seconds.with_label_values(&[self.method]).observe(took);
    }
}

impl Drop for OpenCall<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.metrics.calls.with_label_values(&[self.method, DROPPED]).inc();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_counted_once_answered_or_dropped() {
        let metrics = Metrics::register(&Registry::new()).unwrap();
        metrics.call_began("messages.send").answered("ok");
        drop(metrics.call_began("messages.send"));

        let counted = ["ok", DROPPED, "internal"]
            .map(|end| metrics.calls.with_label_values(&["messages.send", end]).get());
        assert_eq!(counted, [1, 1, 0]);
    }
}
