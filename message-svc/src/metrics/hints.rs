//! What the queue and the channel service are told.

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

use super::put;

/// A counter for each answer: an answer that has none can't be counted, so all are there from the start.
pub(super) struct HintMetrics {
    queued: IntCounter,
    merged: IntCounter,
    offline: IntCounter,
    published: IntCounter,
}

impl HintMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let opts = Opts::new("doorbell_message_hints_total", "Hints given to the queue, by answer");
        let hints = put(registry, IntCounterVec::new(opts, &["answer"]))?;
        let answer = |label| hints.with_label_values(&[label]);
        Ok(Self {
            queued: answer("queued"),
            merged: answer("merged"),
            offline: answer("offline"),
            published: answer("published"),
        })
    }

    pub(super) fn hinted(&self, queued: u64, merged: u64, offline: usize) {
        self.queued.inc_by(queued);
        self.merged.inc_by(merged);
        self.offline.inc_by(u64::try_from(offline).unwrap_or(u64::MAX));
    }

    pub(super) fn published(&self, conversations: usize) {
        self.published.inc_by(u64::try_from(conversations).unwrap_or(u64::MAX));
    }
}
