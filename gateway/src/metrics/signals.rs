//! What the gateway counts of signals.

use prometheus::{IntCounterVec, Opts, Registry};

use super::by_label;

/// What became of a signal of a session here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// Message-svc passed it on.
    Passed,
    /// Message-svc refused it: the client was told.
    Refused,
    /// Too soon after the user's last about this topic: the client was told.
    TooOften,
    /// Dropped: too many are on their way.
    Busy,
    /// Dropped: message-svc did not answer in time.
    Late,
    /// Dropped: message-svc could not be reached.
    Failed,
    /// Dropped by message-svc.
    Dropped,
}

impl Sent {
    const ALL: [Self; 7] =
        [Self::Passed, Self::Refused, Self::TooOften, Self::Busy, Self::Late, Self::Failed, Self::Dropped];

    const fn label(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Refused => "refused",
            Self::TooOften => "too_often",
            Self::Busy => "busy",
            Self::Late => "late",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
        }
    }
}

/// What became of a signal at a session that was to see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// Written to the socket.
    Written,
    /// Dropped: the socket did not take it at once.
    Slow,
    /// Dropped: the session has no `welcome` yet, or was ending.
    Gone,
}

impl Shown {
    const ALL: [Self; 3] = [Self::Written, Self::Slow, Self::Gone];

    const fn label(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Slow => "slow",
            Self::Gone => "gone",
        }
    }
}

/// The families of signals. Cheap to clone: they are shared.
#[derive(Clone, Debug)]
pub(super) struct SignalMetrics {
    sent: IntCounterVec,
    shown: IntCounterVec,
}

impl SignalMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let outcomes = |name: &str, help: &str, values: &[&str]| {
            by_label(Opts::new(name, help), "outcome", values, registry)
        };
        Ok(Self {
            sent: outcomes(
                "doorbell_gateway_signals_sent_total",
                "signals of sessions here, by outcome; all but `passed`, `refused` and `too_often` were dropped \
                 without a word",
                &Sent::ALL.map(Sent::label),
            )?,
            shown: outcomes(
                "doorbell_gateway_signals_shown_total",
                "signals for sessions here, by outcome; all but `written` were dropped",
                &Shown::ALL.map(Shown::label),
            )?,
        })
    }

    pub(super) fn sent(&self, sent: Sent) {
        self.sent.with_label_values(&[sent.label()]).inc();
    }

    pub(super) fn shown(&self, shown: Shown) {
        self.shown.with_label_values(&[shown.label()]).inc();
    }
}
