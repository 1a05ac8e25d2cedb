//! What the gateway counts of followed topics.

use std::time::Duration;

use prometheus::{
    Histogram, IntCounter, IntCounterVec, IntGauge, Opts, Registry, register_int_counter_with_registry,
    register_int_gauge_with_registry,
};

use super::{Answer, by_label, seconds};
use crate::topics::Raised;

/// What became of one topic that a session asked to follow, or follows and was asked about again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judged {
    /// It may.
    Allowed,
    /// It may not, or there is no such topic.
    Denied,
    /// Nobody could say in time: it is not hinted meanwhile.
    Suspended,
}

impl Judged {
    const ALL: [Self; 3] = [Self::Allowed, Self::Denied, Self::Suspended];

    const fn label(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::Suspended => "suspended",
        }
    }
}

/// The families of followed topics. Cheap to clone: they are shared.
#[derive(Clone, Debug)]
pub(crate) struct TopicMetrics {
    topics: IntGauge,
    followers: IntGauge,
    fan_outs: IntCounter,
    fan_out_ages: Histogram,
    conflated: IntCounter,
    asks: IntCounterVec,
    asks_waiting: IntGauge,
    refollows: IntCounterVec,
    judged: IntCounterVec,
    interest: IntCounterVec,
    store: IntCounterVec,
    store_changes: IntCounter,
    look_raised: IntCounter,
}

impl TopicMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str| register_int_gauge_with_registry!(name, help, registry);
        let counter = |name: &str, help: &str| register_int_counter_with_registry!(name, help, registry);
        let outcomes = |name: &str, help: &str, values: &[&str]| {
            by_label(Opts::new(name, help), "outcome", values, registry)
        };
        let answers = [Answer::Done, Answer::Failed].map(Answer::label);
        Ok(Self {
            topics: gauge("doorbell_gateway_followed_topics", "topics that sessions here follow")?,
            followers: gauge("doorbell_gateway_followers", "followers of all topics, counted in sessions")?,
            fan_outs: counter("doorbell_gateway_fan_outs_total", "fan-outs of a topic to its followers")?,
            fan_out_ages: seconds(
                "doorbell_gateway_fan_out_age_seconds",
                "from a version's coming to the gateway until the last follower was offered it or a later one",
                registry,
            )?,
            conflated: counter(
                "doorbell_gateway_versions_conflated_total",
                "versions that went out with a later one",
            )?,
            asks: outcomes(
                "doorbell_gateway_large_topics_asks_total",
                "asks for a user's large topics, by outcome",
                &answers,
            )?,
            asks_waiting: gauge(
                "doorbell_gateway_large_topics_asks_waiting",
                "users whose large topics are to be asked for",
            )?,
            refollows: outcomes(
                "doorbell_gateway_refollows_total",
                "refollow marks, by outcome",
                &["done", "later"],
            )?,
            judged: outcomes(
                "doorbell_gateway_authorizations_total",
                "topics that sessions wanted to follow or were asked about again, by outcome",
                &Judged::ALL.map(Judged::label),
            )?,
            interest: outcomes(
                "doorbell_gateway_interest_words_total",
                "words about followed topics to the channel service, by outcome",
                &answers,
            )?,
            store: outcomes(
                "doorbell_gateway_version_store_calls_total",
                "reads and looks at the stored versions, by outcome",
                &answers,
            )?,
            store_changes: counter(
                "doorbell_gateway_version_store_changes_total",
                "partitions read again because their store had changed or forgotten",
            )?,
            look_raised: counter(
                "doorbell_gateway_look_raised_total",
                "versions that the look showed before the stream did",
            )?,
        })
    }

    pub(crate) fn topic_came(&self) {
        self.topics.inc();
    }

    pub(crate) fn topic_went(&self) {
        self.topics.dec();
    }

    pub(crate) fn follower_came(&self) {
        self.followers.inc();
    }

    pub(crate) fn follower_went(&self) {
        self.followers.dec();
    }

    pub(crate) fn raised(&self, raised: Raised) {
        if raised == Raised::Conflated {
            self.conflated.inc();
        }
    }

    pub(crate) fn fan_out_began(&self) {
        self.fan_outs.inc();
    }

    /// The last of a topic's followers was told, so long after the first version of this fan-out was raised here.
    pub(crate) fn fan_out_ended(&self, age: Duration) {
        self.fan_out_ages.observe(age.as_secs_f64());
    }

    pub(crate) fn asked(&self, answer: Answer) {
        self.asks.with_label_values(&[answer.label()]).inc();
    }

    pub(crate) fn asks_waiting(&self, users: usize) {
        self.asks_waiting.set(i64::try_from(users).unwrap_or(i64::MAX));
    }

    /// A refollow mark was done in time.
    pub(crate) fn refollow_done(&self) {
        self.refollows.with_label_values(&["done"]).inc();
    }

    /// A refollow mark was not done in time: it is to be offered again.
    pub(crate) fn refollow_late(&self) {
        self.refollows.with_label_values(&["later"]).inc();
    }

    pub(crate) fn judged(&self, judged: Judged, topics: usize) {
        self.judged.with_label_values(&[judged.label()]).inc_by(topics as u64);
    }

    pub(crate) fn interest_said(&self, answer: Answer, words: usize) {
        self.interest.with_label_values(&[answer.label()]).inc_by(words as u64);
    }

    pub(crate) fn store_answered(&self, answer: Answer) {
        self.store.with_label_values(&[answer.label()]).inc();
    }

    pub(crate) fn store_changed(&self) {
        self.store_changes.inc();
    }

    pub(crate) fn look_raised(&self) {
        self.look_raised.inc();
    }
}
