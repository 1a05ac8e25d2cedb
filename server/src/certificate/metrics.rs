//! What is counted about the certificate. Metric names stand nowhere else.

use doorbell_protocol::Timestamp;
use prometheus::{Gauge, IntCounterVec, IntGauge, Opts, Registry};

/// Cheap to clone: the families are shared.
#[derive(Clone, Debug)]
pub struct Metrics {
    readings: IntCounterVec,
    fault: IntGauge,
    expiry: Gauge,
}

impl Metrics {
    /// Makes the families and registers them.
    ///
    /// # Errors
    /// A family of that name is there already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            readings: IntCounterVec::new(
                Opts::new(
                    "doorbell_server_certificate_readings_total",
                    "Readings of a certificate that is new or asked for, by outcome.",
                ),
                &["outcome"],
            )?,
            fault: IntGauge::new(
                "doorbell_server_certificate_fault",
                "1 while the certificate's files cannot be used, and what they held before is shown.",
            )?,
            expiry: Gauge::new(
                "doorbell_server_certificate_expiry_timestamp_seconds",
                "When the certificate that is shown ends, in Unix time; 0 without TLS.",
            )?,
        };
        for outcome in ["ok", "failed"] {
            let _ = metrics.readings.with_label_values(&[outcome]);
        }
        registry.register(Box::new(metrics.readings.clone()))?;
        registry.register(Box::new(metrics.fault.clone()))?;
        registry.register(Box::new(metrics.expiry.clone()))?;
        Ok(metrics)
    }

    /// One was read, and is shown.
    pub fn read(&self, expires: Timestamp) {
        self.readings.with_label_values(&["ok"]).inc();
        self.fault.set(0);
        #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit 53 bits")]
        self.expiry.set(expires.as_millis() as f64 / 1000.0);
    }

    /// One could not be read.
    pub fn failed(&self) {
        self.readings.with_label_values(&["failed"]).inc();
        self.fault.set(1);
    }

    #[cfg(test)]
    pub fn readings(&self, outcome: &str) -> u64 {
        self.readings.with_label_values(&[outcome]).get()
    }

    #[cfg(test)]
    pub fn fault(&self) -> i64 {
        self.fault.get()
    }
}
