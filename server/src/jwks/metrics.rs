//! What the reader of the JWK Set counts. Metric names stand nowhere else.

use doorbell_protocol::Timestamp;
use prometheus::{Gauge, IntCounterVec, IntGauge, Opts, Registry};

/// Cheap to clone: the families are shared.
#[derive(Clone, Debug)]
pub struct Metrics {
    readings: IntCounterVec,
    keys: IntGauge,
    read_at: Gauge,
}

impl Metrics {
    /// Makes the families and registers them.
    ///
    /// # Errors
    /// A family of that name is there already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            readings: IntCounterVec::new(
                Opts::new("doorbell_server_jwks_readings_total", "Readings of the JWK Set, by outcome."),
                &["outcome"],
            )?,
            keys: IntGauge::new("doorbell_server_jwks_keys", "Keys of the JWK Set that are used.")?,
            read_at: Gauge::new(
                "doorbell_server_jwks_read_timestamp_seconds",
                "When the JWK Set was last read, in Unix time; 0 is never.",
            )?,
        };
        for outcome in ["ok", "failed"] {
            let _ = metrics.readings.with_label_values(&[outcome]);
        }
        registry.register(Box::new(metrics.readings.clone()))?;
        registry.register(Box::new(metrics.keys.clone()))?;
        registry.register(Box::new(metrics.read_at.clone()))?;
        Ok(metrics)
    }

    /// The set was read.
    pub fn read(&self, keys: usize, now: Timestamp) {
        self.readings.with_label_values(&["ok"]).inc();
        self.keys.set(i64::try_from(keys).unwrap_or(i64::MAX));
        #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit 53 bits")]
        self.read_at.set(now.as_millis() as f64 / 1000.0);
    }

    /// It could not be read.
    pub fn failed(&self) {
        self.readings.with_label_values(&["failed"]).inc();
    }

    #[cfg(test)]
    pub fn readings(&self, outcome: &str) -> u64 {
        self.readings.with_label_values(&[outcome]).get()
    }
}
