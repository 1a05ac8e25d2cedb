//! What is counted at the door for calls over HTTP.

use prometheus::{
    IntCounterVec, IntGauge, Opts, Registry, register_int_counter_vec_with_registry,
    register_int_gauge_with_registry,
};

use crate::rates::Limited;

/// The door's metrics. Cheap to clone: the families are shared.
#[derive(Clone, Debug)]
pub struct Metrics {
    limited: IntCounterVec,
    callers: IntGauge,
    callers_max: IntGauge,
}

impl Metrics {
    /// Makes the families and registers them.
    ///
    /// # Errors
    /// A family of that name is there already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str| register_int_gauge_with_registry!(name, help, registry);
        let limited = Opts::new(
            "doorbell_gateway_http_calls_limited_total",
            "calls over HTTP refused with rate_limited: of one user, or because no further user can be remembered",
        );
        let limited = register_int_counter_vec_with_registry!(limited, &["reason"], registry)?;
        ["user", "full"].iter().for_each(|reason| _ = limited.with_label_values(&[reason]));
        Ok(Self {
            limited,
            callers: gauge("doorbell_gateway_http_callers", "users whose calls over HTTP are counted now")?,
            callers_max: gauge(
                "doorbell_gateway_http_callers_capacity",
                "users whose calls over HTTP can be counted at most",
            )?,
        })
    }

    pub(super) fn limited(&self, limited: Limited) {
        let reason = match limited {
            Limited::Wait(_) => "user",
            Limited::Full => "full",
        };
        self.limited.with_label_values(&[reason]).inc();
    }

    pub(super) fn callers(&self, users: usize) {
        self.callers.set(i64::try_from(users).unwrap_or(i64::MAX));
    }

    pub(super) fn callers_max(&self, users: usize) {
        self.callers_max.set(i64::try_from(users).unwrap_or(i64::MAX));
    }
}
