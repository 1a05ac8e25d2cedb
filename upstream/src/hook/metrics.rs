//! What the offline hook counts.

use std::time::Duration;

use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
    register_histogram_vec_with_registry, register_int_counter_vec_with_registry,
    register_int_counter_with_registry, register_int_gauge_with_registry,
};

/// From a local receiver to the longest that a try may take.
const SECONDS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// What became of a user who was reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// The hook has heard of them.
    Delivered,
    /// They have muted all that they missed.
    Muted,
    /// There was no room to wait.
    Dropped,
    /// No try succeeded while anybody wanted to hear of it, or the process ended.
    GivenUp,
}

/// How one try went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Try {
    /// Answered with 2xx.
    Taken,
    /// Answered otherwise, or not at all.
    Failed,
}

/// The hook's metrics. Cheap to clone: the families are shared.
#[derive(Clone, Debug)]
pub struct Metrics {
    users: IntCounterVec,
    tries: HistogramVec,
    waiting: IntGauge,
    waiting_max: IntGauge,
    panics: IntCounter,
}

impl Metrics {
    /// Makes the families and registers them.
    ///
    /// # Errors
    /// A family of that name is there already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str| register_int_gauge_with_registry!(name, help, registry);
        let tries = HistogramOpts::new(
            "doorbell_upstream_hook_tries_seconds",
            "tries to deliver to the offline hook, by outcome",
        );
        let users = Opts::new(
            "doorbell_upstream_hook_users_total",
            "users without a session, by what became of their report to the offline hook",
        );
        let users = register_int_counter_vec_with_registry!(users, &["outcome"], registry)?;
        let tries =
            register_histogram_vec_with_registry!(tries.buckets(SECONDS.to_vec()), &["outcome"], registry)?;
        // From the start, so that the first failure is a step from 0.
        ["delivered", "muted", "dropped", "given_up"]
            .iter()
            .for_each(|outcome| _ = users.with_label_values(&[outcome]));
        ["taken", "failed"].iter().for_each(|outcome| _ = tries.with_label_values(&[outcome]));
        Ok(Self {
            users,
            tries,
            waiting: gauge("doorbell_upstream_hook_waiting_users", "users who wait to be reported")?,
            waiting_max: gauge(
                "doorbell_upstream_hook_waiting_capacity_users",
                "users who may wait to be reported at most; beyond it the oldest are dropped",
            )?,
            panics: register_int_counter_with_registry!(
                "doorbell_upstream_hook_panics_total",
                "deliveries to the offline hook that ended by a panic",
                registry
            )?,
        })
    }

    pub(super) fn capacity(&self, users: usize) {
        self.waiting_max.set(i64::try_from(users).unwrap_or(i64::MAX));
    }

    pub(super) fn waiting(&self, users: usize) {
        self.waiting.set(i64::try_from(users).unwrap_or(i64::MAX));
    }

    pub(super) fn users(&self, fate: Fate, users: usize) {
        let label = match fate {
            Fate::Delivered => "delivered",
            Fate::Muted => "muted",
            Fate::Dropped => "dropped",
            Fate::GivenUp => "given_up",
        };
        self.users.with_label_values(&[label]).inc_by(users as u64);
    }

    pub(super) fn tried(&self, outcome: Try, took: Duration) {
        let label = match outcome {
            Try::Taken => "taken",
            Try::Failed => "failed",
        };
        self.tries.with_label_values(&[label]).observe(took.as_secs_f64());
    }

    pub(super) fn panicked(&self) {
        self.panics.inc();
    }
}
