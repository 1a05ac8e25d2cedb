//! What is counted about the upstream. Metric names stand nowhere else, and no label holds a user or a method.

use std::time::Duration;

use doorbell_protocol::ErrorCode;
use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
    register_histogram_with_registry, register_int_counter_vec_with_registry,
    register_int_counter_with_registry, register_int_gauge_with_registry,
};

use crate::error::NoAnswer;

/// From a millisecond to beyond the longest that a call may take.
const SECONDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The upstream's metrics. Cheap to clone: the families are shared.
#[derive(Clone, Debug)]
pub struct Metrics {
    calls: IntCounterVec,
    call_time: Histogram,
    refused: IntCounterVec,
    in_flight: IntGauge,
    in_flight_max: IntGauge,
    open: IntGauge,
    opened: IntCounter,
}

/// One request under way; counted until it is dropped.
pub(crate) struct InFlight<'m>(&'m IntGauge);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    /// Makes the families and registers them.
    ///
    /// # Errors
    /// A family of that name is there already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str| register_int_gauge_with_registry!(name, help, registry);
        let counters = |name: &str, help: &str, label: &str| {
            register_int_counter_vec_with_registry!(Opts::new(name, help), &[label], registry)
        };
        let calls =
            counters("doorbell_upstream_calls_total", "calls of the upstream, by outcome", "outcome")?;
        let codes = ErrorCode::ALL.iter().map(|code| code.as_str());
        let outcomes = codes.chain(NoAnswer::LABELS).chain(["ok"]);
        outcomes.for_each(|outcome| _ = calls.with_label_values(&[outcome]));
        let refused = counters(
            "doorbell_upstream_calls_refused_total",
            "calls that were not sent: the upstream is spared, or too many are under way, of all users or of one",
            "reason",
        )?;
        ["spared", "busy", "busy_user"].iter().for_each(|reason| _ = refused.with_label_values(&[reason]));
        let call_time = HistogramOpts::new(
            "doorbell_upstream_calls_seconds",
            "calls of the upstream, from the request to the last byte of the answer",
        );
        Ok(Self {
            calls,
            call_time: register_histogram_with_registry!(call_time.buckets(SECONDS.to_vec()), registry)?,
            refused,
            in_flight: gauge("doorbell_upstream_calls_in_flight", "calls of the upstream under way")?,
            in_flight_max: gauge(
                "doorbell_upstream_calls_in_flight_capacity",
                "calls of the upstream that may be under way at most, the gateways' questions included",
            )?,
            open: gauge("doorbell_upstream_breaker_open", "1 while the upstream is spared")?,
            opened: register_int_counter_with_registry!(
                "doorbell_upstream_breaker_opened_total",
                "how often the upstream began to be spared, failed probes included",
                registry
            )?,
        })
    }

    pub(crate) fn capacity(&self, calls: usize) {
        self.in_flight_max.set(i64::try_from(calls).unwrap_or(i64::MAX));
    }

    pub(crate) fn refused(&self, reason: &'static str) {
        self.refused.with_label_values(&[reason]).inc();
    }

    pub(crate) fn call_started(&self) -> InFlight<'_> {
        self.in_flight.inc();
        InFlight(&self.in_flight)
    }

    pub(crate) fn call_ended(&self, outcome: &'static str, took: Duration) {
        self.calls.with_label_values(&[outcome]).inc();
        self.call_time.observe(took.as_secs_f64());
    }

    pub(crate) fn breaker(&self, open: bool) {
        self.open.set(open.into());
        if open {
            self.opened.inc();
        }
    }
}
