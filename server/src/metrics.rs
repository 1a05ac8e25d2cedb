//! What the process counts about itself.

use std::time::Duration;

use prometheus::process_collector::ProcessCollector;
use prometheus::{Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry};

/// Seconds: from a beat in time to a process that serves nobody.
const LAG_SECONDS: &[f64] = &[0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0];

/// The process's own families. Cheap to clone: they are shared.
#[derive(Clone, Debug)]
pub struct Metrics {
    uptime: Gauge,
    lag: Histogram,
    log_lines_dropped: IntCounter,
    rereads: IntCounterVec,
}

impl Metrics {
    /// Makes the families and registers them, with those that every process of Prometheus' world has: CPU, memory,
    /// open files, threads, start.
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
            lag: Histogram::with_opts(
                HistogramOpts::new(
                    "doorbell_server_event_loop_lag_seconds",
                    "How late the beats of the event loop were, ten a second.",
                )
                .buckets(LAG_SECONDS.to_vec()),
            )?,
            log_lines_dropped: IntCounter::new(
                "doorbell_server_log_lines_dropped_total",
                "Lines of the log that nobody read in time.",
            )?,
            rereads: IntCounterVec::new(
                Opts::new("doorbell_server_rereads_total", "Files read again at SIGHUP, by outcome."),
                &["outcome"],
            )?,
        };
        registry.register(Box::new(info))?;
        registry.register(Box::new(metrics.uptime.clone()))?;
        registry.register(Box::new(metrics.lag.clone()))?;
        registry.register(Box::new(metrics.log_lines_dropped.clone()))?;
        registry.register(Box::new(ProcessCollector::for_self()))?;
        registry.register(Box::new(metrics.rereads.clone()))?;
        for outcome in ["done", "failed"] {
            metrics.rereads.with_label_values(&[outcome]);
        }
        Ok(metrics)
    }

    /// A file was read again, or could not be.
    pub fn read_again(&self, is_good: bool) {
        self.rereads.with_label_values(&[if is_good { "done" } else { "failed" }]).inc();
    }

    /// One beat of the event loop.
    pub fn beat(&self, uptime: Duration, lag: Duration) {
        self.uptime.set(uptime.as_secs_f64());
        self.lag.observe(lag.as_secs_f64());
    }

    /// Lines dropped since the start, as the log's writer counts them.
    pub fn log_lines_dropped(&self, total: u64) {
        self.log_lines_dropped.inc_by(total.saturating_sub(self.log_lines_dropped.get()));
    }
}
