//! What the calls between processes count.

use prometheus::core::Collector;
use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

use tokio::time::Instant;

use crate::remote::error::Refusal;
use crate::remote::method::Method;

/// Seconds: from a call over loopback to the longest that any may take.
const SECONDS: &[f64] = &[
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
    30.0,
];

/// More connections than there may be.
const FULL: &str = "full";

/// How a call to another process ended, for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallOutcome {
    /// An answer came, be it a refusal of the service.
    Answered,
    /// The service said that it cannot for now.
    Unavailable,
    /// Too many are under way.
    Busy,
    /// There is no connection, or it broke.
    Unreachable,
    /// The longest time for any call has passed.
    Late,
    /// The caller went away, most often at a deadline of its own.
    Dropped,
    /// The call, or the answer, broke a rule.
    Bad,
}

impl CallOutcome {
    const fn label(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Unavailable => "unavailable",
            Self::Busy => "busy",
            Self::Unreachable => "unreachable",
            Self::Late => "late",
            Self::Dropped => "dropped",
            Self::Bad => "bad",
        }
    }
}

/// Which end of a connection this process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It made the connection.
    Caller,
    /// It accepted the connection.
    Callee,
}

impl End {
    const fn label(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Callee => "callee",
        }
    }
}

/// The families. Cheap to clone: they are shared.
#[derive(Clone, Debug)]
pub struct Metrics {
    calls: HistogramVec,
    served: HistogramVec,
    in_flight: [IntGauge; 2],
    connections: [IntGauge; 2],
    connects: IntCounterVec,
    refused: IntCounterVec,
    bad_requests: IntCounter,
}

impl Metrics {
    /// Makes the families and registers them.
    ///
    /// # Errors
    /// Where the registry holds one of the names already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let families = Families(registry);
        let labels = ["service", "method", "outcome"];
        let connects = families.counters(
            "doorbell_rpc_connects_total",
            "Attempts to connect to another process, by how they ended.",
            "outcome",
        )?;
        let refused = families.counters(
            "doorbell_rpc_refused_peers_total",
            "Connections of others that were refused, by reason.",
            "reason",
        )?;
        // From the start, so that the first one is a step from 0 and not a series that comes out of nothing.
        connects.with_label_values(&["made"]);
        for reason in Refusal::LABELS {
            connects.with_label_values(&[reason]);
            refused.with_label_values(&[reason]);
        }
        refused.with_label_values(&[FULL]);
        Ok(Self {
            calls: families.seconds(
                "doorbell_rpc_call_seconds",
                "Duration of a call to another process, by service, method and how it ended for the caller.",
                &labels,
            )?,
            served: families.seconds(
                "doorbell_rpc_served_seconds",
                "Duration of a call of another process, by service, method and how it ended here.",
                &labels,
            )?,
            in_flight: families.gauges(
                "doorbell_rpc_in_flight_calls",
                "Calls between processes that are under way, by this process's end of them.",
            )?,
            connections: families.gauges(
                "doorbell_rpc_connections",
                "Connections between processes that are open, by this process's end of them.",
            )?,
            connects,
            refused,
            bad_requests: families.counter(
                "doorbell_rpc_bad_requests_total",
                "Requests of other processes that broke a rule, or that this version does not know.",
            )?,
        })
    }

    /// Families that nobody reads.
    #[must_use]
    pub fn unregistered() -> Self {
        Self::register(&Registry::new()).expect("an empty registry takes every name")
    }

    /// A call begins; it ends, and is counted, with what is returned.
    pub(crate) fn begin(&self, end: End, method: Method) -> Running {
        self.in_flight[end as usize].inc();
        Running { metrics: self.clone(), end, method, began: Instant::now(), outcome: CallOutcome::Dropped }
    }

    /// A connection is open until what is returned is dropped.
    pub(crate) fn connection(&self, end: End) -> Open {
        self.connections[end as usize].inc();
        Open(self.connections[end as usize].clone())
    }

    pub(crate) fn connected(&self, refusal: Option<&Refusal>) {
        self.connects.with_label_values(&[refusal.map_or("made", Refusal::label)]).inc();
    }

    pub(crate) fn refused(&self, refusal: &Refusal) {
        self.refused.with_label_values(&[refusal.label()]).inc();
    }

    pub(crate) fn refused_as_full(&self) {
        self.refused.with_label_values(&[FULL]).inc();
    }

    pub(crate) fn bad_request(&self) {
        self.bad_requests.inc();
    }
}

/// A call under way. Dropped without a word about its end, the caller went away.
#[derive(Debug)]
pub(crate) struct Running {
    metrics: Metrics,
    end: End,
    method: Method,
    began: Instant,
    outcome: CallOutcome,
}

impl Running {
    pub(crate) fn ended(mut self, outcome: CallOutcome) {
        self.outcome = outcome;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Self { metrics, end, method, began, outcome } = self;
        metrics.in_flight[*end as usize].dec();
        let family = match end {
            End::Caller => &metrics.calls,
            End::Callee => &metrics.served,
        };
        let labels = [method.service(), method.label(), outcome.label()];
        family.with_label_values(&labels).observe(began.elapsed().as_secs_f64());
    }
}

/// An open connection.
#[derive(Debug)]
pub(crate) struct Open(IntGauge);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

struct Families<'a>(&'a Registry);

impl Families<'_> {
    fn add<C: Collector + Clone + 'static>(&self, family: C) -> Result<C, prometheus::Error> {
        self.0.register(Box::new(family.clone()))?;
        Ok(family)
    }

    fn seconds(&self, name: &str, help: &str, labels: &[&str]) -> Result<HistogramVec, prometheus::Error> {
        let options = HistogramOpts::new(name, help).buckets(SECONDS.to_vec());
        self.add(HistogramVec::new(options, labels)?)
    }

    fn counters(&self, name: &str, help: &str, label: &str) -> Result<IntCounterVec, prometheus::Error> {
        self.add(IntCounterVec::new(Opts::new(name, help), &[label])?)
    }

    fn counter(&self, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
        self.add(IntCounter::new(name, help)?)
    }

    fn gauges(&self, name: &str, help: &str) -> Result<[IntGauge; 2], prometheus::Error> {
        let family = self.add(IntGaugeVec::new(Opts::new(name, help), &["end"])?)?;
        Ok([End::Caller, End::Callee].map(|end| family.with_label_values(&[end.label()])))
    }
}
