//! What the process counts about itself.

use std::time::Duration;

use prometheus::{Gauge, IntCounter, IntGauge, IntGaugeVec, Opts, Registry};

/// The process's own families. Cheap to clone: they are shared.
#[derive(Clone, Debug)]
pub struct Metrics {
    uptime: Gauge,
    lag: Gauge,
    log_lines_dropped: IntCounter,
    descriptors_max: IntGauge,
}

impl Metrics {
    /// Makes the families and registers them.
    ///
    /// # Errors
    /// Where the registry holds one of the names already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let info = IntGaugeVec::new(
            Opts::new("doorbell_server_build_info", "1, with the version of the binary."),
            &["version"],
        )?;
        info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let metrics = Self {
            uptime: Gauge::new("doorbell_server_uptime_seconds", "Time since the start.")?,
            lag: Gauge::new(
                "doorbell_server_event_loop_lag_seconds",
                "How late the last beat of the event loop was.",
            )?,
            log_lines_dropped: IntCounter::new(
                "doorbell_server_log_lines_dropped_total",
                "Lines of the log that nobody read in time.",
            )?,
            descriptors_max: IntGauge::new(
                "doorbell_server_file_descriptors_max",
                "File descriptors that the process may open.",
            )?,
        };
        registry.register(Box::new(info))?;
        registry.register(Box::new(metrics.uptime.clone()))?;
        registry.register(Box::new(metrics.lag.clone()))?;
        registry.register(Box::new(metrics.log_lines_dropped.clone()))?;
        registry.register(Box::new(metrics.descriptors_max.clone()))?;
        Ok(metrics)
    }

    /// One beat of the event loop.
    pub fn beat(&self, uptime: Duration, lag: Duration) {
        self.uptime.set(uptime.as_secs_f64());
        self.lag.set(lag.as_secs_f64());
    }

    /// Lines dropped since the start, as the log's writer counts them.
    pub fn log_lines_dropped(&self, total: u64) {
        self.log_lines_dropped.inc_by(total.saturating_sub(self.log_lines_dropped.get()));
    }

    /// The limit of the process.
    pub fn descriptors_max(&self, limit: u64) {
        self.descriptors_max.set(i64::try_from(limit).unwrap_or(i64::MAX));
    }
}
