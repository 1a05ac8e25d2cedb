//! What the channel service counts.

use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounter, IntGauge, Registry};

use crate::directory::Told;

/// Seconds: from a local call to beyond the deadline.
const SECONDS: &[f64] = &[0.000_1, 0.000_25, 0.001, 0.002_5, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5];
/// Gateways, or topics.
const WIDTH: &[f64] = &[0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1_024.0];

/// How one call to one gateway ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendOutcome {
    /// It answered for every topic.
    Answered,
    /// It could not be reached.
    Unreachable,
    /// It had no room.
    Busy,
    /// It did not answer within the deadline.
    Late,
    /// It answered for another number of topics than it was told.
    BadReply,
}

impl SendOutcome {
    const ALL: [Self; 5] = [Self::Answered, Self::Unreachable, Self::Busy, Self::Late, Self::BadReply];

    const fn label(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Unreachable => "unreachable",
            Self::Busy => "busy",
            Self::Late => "late",
            Self::BadReply => "bad_reply",
        }
    }
}

/// What is remembered, as of the last check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) gateways: usize,
    pub(crate) topics: usize,
    pub(crate) subscriptions: usize,
    pub(crate) waiting: usize,
}

/// The families, their labels resolved once.
#[derive(Clone, Debug)]
pub struct Metrics {
    gateways: IntGauge,
    topics: IntGauge,
    subscriptions: IntGauge,
    waiting: IntGauge,
    publishes: IntCounter,
    width: Histogram,
    conflated: IntCounter,
    sends: [Histogram; SendOutcome::ALL.len()],
    send_topics: Histogram,
    unfollowed: IntCounter,
    refused: IntCounter,
    forgotten: IntCounter,
    store_errors: IntCounter,
    restored: IntCounter,
}

impl Metrics {
    /// Makes the families and registers them.
    ///
    /// # Errors
    /// Where the registry holds one of the names already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let families = Families(registry);
        let sends = families.add(HistogramVec::new(
            HistogramOpts::new(
                "doorbell_channel_send_seconds",
                "Duration of one call to one gateway, by how it ended.",
            )
            .buckets(SECONDS.to_vec()),
            &["outcome"],
        ))?;
        Ok(Self {
            gateways: families.gauge("doorbell_channel_gateways", "Gateways that were heard of lately.")?,
            topics: families.gauge("doorbell_channel_topics", "Topics that a gateway subscribes to, or did some seconds ago.")?,
            subscriptions: families.gauge(
                "doorbell_channel_subscriptions",
                "Subscriptions of gateways to topics: the limit of each gateway is its capacity.",
            )?,
            waiting: families.gauge(
                "doorbell_channel_waiting_topics",
                "Versions that wait to be sent, one a topic and gateway.",
            )?,
            publishes: families.counter("doorbell_channel_publishes_total", "Topics published.")?,
            width: families.histogram(
                "doorbell_channel_fan_out_gateways",
                "Gateways to which one published version had to be sent.",
                WIDTH,
            )?,
            conflated: families.counter(
                "doorbell_channel_conflated_total",
                "Versions that replaced an older one which still waited for the same gateway.",
            )?,
            sends: SendOutcome::ALL.map(|outcome| sends.with_label_values(&[outcome.label()])),
            send_topics: families.histogram(
                "doorbell_channel_send_topics",
                "Topics of one call to one gateway.",
                WIDTH,
            )?,
            unfollowed: families.counter(
                "doorbell_channel_unfollowed_total",
                "Topics that a gateway was told of and nobody there followed.",
            )?,
            refused: families.counter(
                "doorbell_channel_refused_total",
                "Subscriptions beyond what one gateway may have: these followers learn by the gateway's look.",
            )?,
            forgotten: families.counter(
                "doorbell_channel_forgotten_gateways_total",
                "Gateways that said nothing for too long.",
            )?,
            store_errors: families.counter(
                "doorbell_channel_store_errors_total",
                "Calls to the store of versions that failed or were late.",
            )?,
            restored: families.counter(
                "doorbell_channel_restored_total",
                "Versions that were stored again, because the store of versions was another one.",
            )?,
        })
    }

    pub(crate) fn published(&self, topics: usize) {
        self.publishes.inc_by(topics as u64);
    }

    pub(crate) fn told(&self, told: Told) {
        self.width.observe(told.gateways as f64);
        self.conflated.inc_by(told.conflated as u64);
    }

    pub(crate) fn sent(&self, outcome: SendOutcome, topics: usize, took: Duration) {
        self.sends[outcome as usize].observe(took.as_secs_f64());
        self.send_topics.observe(topics as f64);
    }

    pub(crate) fn unfollowed(&self) {
        self.unfollowed.inc();
    }

    pub(crate) fn refused(&self) {
        self.refused.inc();
    }

    pub(crate) fn forgot(&self) {
        self.forgotten.inc();
    }

    pub(crate) fn store_failed(&self) {
        self.store_errors.inc();
    }

    pub(crate) fn restored(&self, versions: usize) {
        self.restored.inc_by(versions as u64);
    }

    pub(crate) fn sampled(&self, size: Size) {
        let Size { gateways, topics, subscriptions, waiting } = size;
        for (gauge, count) in [
            (&self.gateways, gateways),
            (&self.topics, topics),
            (&self.subscriptions, subscriptions),
            (&self.waiting, waiting),
        ] {
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }
}

/// Makes a family and registers it.
struct Families<'a>(&'a Registry);

impl Families<'_> {
    fn add<F: Collector + Clone + 'static>(
        &self,
        family: Result<F, prometheus::Error>,
    ) -> Result<F, prometheus::Error> {
        let family = family?;
        self.0.register(Box::new(family.clone()))?;
        Ok(family)
    }

    fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Result<Histogram, prometheus::Error> {
        self.add(Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec())))
    }

    fn counter(&self, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
        self.add(IntCounter::new(name, help))
    }

    fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
        self.add(IntGauge::new(name, help))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_index_their_own_label() {
        for (index, outcome) in SendOutcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, index, "{outcome:?}");
        }
    }
}
