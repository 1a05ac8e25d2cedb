//! What the message service counts of signals.

use prometheus::{IntCounterVec, Opts, Registry};

use super::put;

/// What became of one signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalOutcome {
    /// Handed to the gateways of the others.
    Passed,
    /// None of the others is online.
    Nobody,
    /// Not allowed: the sender is told.
    Refused,
    /// Dropped: too many are on their way.
    Busy,
    /// Dropped: the store did not say in time who the others are.
    NoStore,
    /// Dropped: the registry did not say in time where the others are.
    NoRegistry,
}

impl SignalOutcome {
    const ALL: [Self; 6] =
        [Self::Passed, Self::Nobody, Self::Refused, Self::Busy, Self::NoStore, Self::NoRegistry];

    /// Whether it was lost on the way.
    #[must_use]
    pub const fn is_dropped(self) -> bool {
        match self {
            Self::Passed | Self::Nobody | Self::Refused => false,
            Self::Busy | Self::NoStore | Self::NoRegistry => true,
        }
    }

    const fn label(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Nobody => "nobody",
            Self::Refused => "refused",
            Self::Busy => "busy",
            Self::NoStore => "no_store",
            Self::NoRegistry => "no_registry",
        }
    }
}

/// How one gateway took one signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalCall {
    /// It wrote what its sockets took.
    Answered,
    /// Too many are under way there.
    Busy,
    /// Nobody answers under that name.
    Unreachable,
    /// No answer in time.
    Late,
}

impl SignalCall {
    const ALL: [Self; 4] = [Self::Answered, Self::Busy, Self::Unreachable, Self::Late];

    const fn label(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Busy => "busy",
            Self::Unreachable => "unreachable",
            Self::Late => "late",
        }
    }
}

/// The families of signals.
pub(super) struct SignalMetrics {
    ended: IntCounterVec,
    called: IntCounterVec,
}

impl SignalMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let outcomes =
            |name: &str, help: &str| put(registry, IntCounterVec::new(Opts::new(name, help), &["outcome"]));
        let metrics = Self {
            ended: outcomes(
                "doorbell_message_signals_total",
                "Signals, by outcome; `busy`, `no_store` and `no_registry` were dropped",
            )?,
            called: outcomes(
                "doorbell_message_signal_calls_total",
                "Calls of gateways with a signal, by outcome; all but `answered` were dropped",
            )?,
        };
        SignalOutcome::ALL.iter().for_each(|outcome| _ = metrics.ended.with_label_values(&[outcome.label()]));
        SignalCall::ALL.iter().for_each(|call| _ = metrics.called.with_label_values(&[call.label()]));
        Ok(metrics)
    }

    pub(super) fn ended(&self, outcome: SignalOutcome) {
        self.ended.with_label_values(&[outcome.label()]).inc();
    }

    pub(super) fn called(&self, call: SignalCall) {
        self.called.with_label_values(&[call.label()]).inc();
    }
}
