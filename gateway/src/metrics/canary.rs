//! What the gateway counts of its canaries.

use std::time::Duration;

use prometheus::{
    Gauge, Histogram, IntCounterVec, IntGauge, Opts, Registry, register_gauge_with_registry,
    register_int_gauge_with_registry,
};

use super::{by_label, seconds};

/// What the queue said to one ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rung {
    /// It has it.
    Sent,
    /// The canary has no entry.
    Offline,
    /// No answer, or an error.
    Failed,
}

impl Rung {
    const ALL: [Self; 3] = [Self::Sent, Self::Offline, Self::Failed];

    const fn label(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Offline => "offline",
            Self::Failed => "failed",
        }
    }
}

/// The families of canaries. Cheap to clone: they are shared.
#[derive(Clone, Debug)]
pub(crate) struct CanaryMetrics {
    age: Gauge,
    late: IntGauge,
    rings: IntCounterVec,
    time: Histogram,
}

impl CanaryMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {
            age: register_gauge_with_registry!(
                "doorbell_gateway_canary_age_seconds",
                "how long ago the newest ring of a canary that arrived was sent, in the worst partition; 0 where `canary_interval` is 0",
                registry
            )?,
            late: register_int_gauge_with_registry!(
                "doorbell_gateway_canaries_late",
                "partitions whose canary was not heard for three times `canary_interval`; the log names them",
                registry
            )?,
            rings: by_label(
                Opts::new("doorbell_gateway_canary_rings_total", "rings of canaries, by what the queue said"),
                "outcome",
                &Rung::ALL.map(Rung::label),
                registry,
            )?,
            time: seconds(
                "doorbell_gateway_canary_seconds",
                "from the ring of a canary to its arrival, by way of the queue and a notifier",
                registry,
            )?,
        })
    }

    pub(crate) fn looked(&self, worst: Duration, late: usize) {
        self.age.set(worst.as_secs_f64());
        self.late.set(late as i64);
    }

    pub(crate) fn rung(&self, rung: Rung) {
        self.rings.with_label_values(&[rung.label()]).inc();
    }

    pub(crate) fn arrived(&self, took: Duration) {
        self.time.observe(took.as_secs_f64());
    }
}
