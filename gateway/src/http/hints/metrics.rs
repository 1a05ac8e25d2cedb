//! What the door for hints counts.

use std::time::Duration;

use doorbell_protocol::{ErrorBody, ErrorCode};
use prometheus::{
    Histogram, HistogramOpts, IntCounterVec, IntGauge, Opts, Registry, register_histogram_with_registry,
    register_int_counter_vec_with_registry, register_int_gauge_with_registry,
};

/// From half a millisecond to the longest that a call may take.
const SECONDS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The door's metrics. Cheap to clone: the families are shared.
#[derive(Clone, Debug)]
pub struct Metrics {
    calls: IntCounterVec,
    call_time: Histogram,
    places: IntGauge,
}

impl Metrics {
    /// Makes the families and registers them.
    ///
    /// # Errors
    /// A family of that name is there already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let calls = register_int_counter_vec_with_registry!(
            Opts::new("doorbell_gateway_hint_calls_total", "calls of other back ends with hints, by outcome"),
            &["outcome"],
            registry
        )?;
        let codes = ErrorCode::ALL.iter().map(|code| code.as_str());
        codes.chain(["ok"]).for_each(|outcome| _ = calls.with_label_values(&[outcome]));
        let call_time = HistogramOpts::new(
            "doorbell_gateway_hint_calls_seconds",
            "calls of other back ends with hints, from the head to the answer",
        );
        Ok(Self {
            calls,
            call_time: register_histogram_with_registry!(call_time.buckets(SECONDS.to_vec()), registry)?,
            places: register_int_gauge_with_registry!(
                "doorbell_gateway_hint_calls_capacity",
                "calls with hints that may be under way at most",
                registry
            )?,
        })
    }

    pub(super) fn capacity(&self, places: usize) {
        self.places.set(i64::try_from(places).unwrap_or(i64::MAX));
    }

    pub(super) fn answered(&self, outcome: Result<(), &ErrorBody>, took: Duration) {
        let label = outcome.map_or_else(|error| error.code.as_str(), |()| "ok");
        self.calls.with_label_values(&[label]).inc();
        self.call_time.observe(took.as_secs_f64());
    }
}
