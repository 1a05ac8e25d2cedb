//! What the gateway counts. Metric names stand nowhere else, and no label holds a user, topic or session.

mod canary;
mod presence;
mod signals;
mod topics;

use std::time::Duration;

use doorbell_protocol::{CloseCode, ErrorBody, ErrorCode};
use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
    register_histogram_with_registry, register_int_counter_vec_with_registry,
    register_int_counter_with_registry, register_int_gauge_with_registry,
};

use crate::close;
use crate::error::End;
use signals::SignalMetrics;

pub(crate) use canary::{CanaryMetrics, Rung};
pub(crate) use presence::{GraceEnd, PresenceMetrics, Told};
pub(crate) use signals::{Sent, Shown};
pub(crate) use topics::{Judged, TopicMetrics};

/// The sessions' metrics. Cheap to clone: the families are shared.
#[derive(Clone, Debug)]
pub struct Metrics {
    sockets: IntGauge,
    sessions: IntGauge,
    slow: IntGauge,
    draining: IntGauge,
    closes: IntCounterVec,
    panics: IntCounter,
    frames_in: IntCounter,
    frames_out: IntCounter,
    refused: IntCounterVec,
    hints: Hints,
    calls: IntCounterVec,
    call_time: Histogram,
    calls_in_flight: IntGauge,
    enters: IntCounterVec,
    enters_waiting: IntGauge,
    leaves: IntCounterVec,
    renewals: IntCounterVec,
    lapses: IntCounter,
    welcome_time: Histogram,
    signals: SignalMetrics,
    pub(crate) topics: TopicMetrics,
    pub(crate) presence: PresenceMetrics,
    pub(crate) canary: CanaryMetrics,
}

/// The outcomes of a hint, each looked up once: this is the hottest counter.
#[derive(Clone, Debug)]
struct Hints {
    written: IntCounter,
    merged: IntCounter,
    held: IntCounter,
    gone: IntCounter,
}

impl Hints {
    fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let opts = Opts::new("doorbell_gateway_hints_total", "hints offered to sessions, by outcome");
        let family = by_label(opts, "outcome", &[], registry)?;
        let outcome = |label| family.with_label_values(&[label]);
        Ok(Self {
            written: outcome("written"),
            merged: outcome("merged"),
            held: outcome("held"),
            gone: outcome("gone"),
        })
    }
}

/// What became of one hint at one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offered {
    /// Written to the socket at once.
    Written,
    /// Merged into what the session has not taken yet.
    Merged,
    /// Kept for a session that has no `welcome` yet.
    Held,
    /// The session was ending, or follows the topic no longer.
    Gone,
}

/// How a call of the registry ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It happened.
    Done,
    /// The lease had ended.
    Lapsed,
    /// No answer, or an error: tried again.
    Failed,
}

impl Answer {
    const ALL: [Self; 3] = [Self::Done, Self::Lapsed, Self::Failed];

    const fn label(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Lapsed => "lapsed",
            Self::Failed => "failed",
        }
    }
}

/// A counter for each value of a label, there from the start: the first event is a step from 0, and not a series that
/// comes out of nothing.
fn by_label(
    opts: Opts,
    label: &str,
    values: &[&str],
    registry: &Registry,
) -> Result<IntCounterVec, prometheus::Error> {
    let family = register_int_counter_vec_with_registry!(opts, &[label], registry)?;
    values.iter().for_each(|value| _ = family.with_label_values(&[value]));
    Ok(family)
}

fn seconds(name: &str, help: &str, registry: &Registry) -> Result<Histogram, prometheus::Error> {
    let opts = HistogramOpts::new(name, help).buckets(SECONDS.to_vec());
    register_histogram_with_registry!(opts, registry)
}

/// Each way in which a session can end, as [`close::label`] names it.
fn close_labels() -> Vec<String> {
    let numbers = CloseCode::ALL.iter().map(|code| code.number().to_string());
    numbers.chain(["client", "gone"].map(str::to_owned)).collect()
}

/// From 0.5 ms to 10 s, the longest that a call may take.
const SECONDS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

impl Metrics {
    /// Makes the families and registers them.
    ///
    /// # Errors
    /// A family of that name is there already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str| register_int_gauge_with_registry!(name, help, registry);
        let counter = |name: &str, help: &str| register_int_counter_with_registry!(name, help, registry);
        let counters = |name: &str, help: &str, label: &str, values: &[&str]| {
            by_label(Opts::new(name, help), label, values, registry)
        };
        let errors: Vec<&str> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
        let answers = Answer::ALL.map(Answer::label);
        let seconds = |name: &str, help: &str| seconds(name, help, registry);
        Ok(Self {
            sockets: gauge("doorbell_gateway_sockets", "open WebSockets")?,
            sessions: gauge("doorbell_gateway_sessions", "sessions that had their welcome")?,
            slow: gauge("doorbell_gateway_slow_sockets", "sockets that do not take what waits for them")?,
            draining: gauge("doorbell_gateway_draining", "1 from the moment that clients are asked to move")?,
            closes: counters(
                "doorbell_gateway_closes_total",
                "sessions ended, by close code; or `client` and `gone`, where the client closed or vanished",
                "code",
                &close_labels().iter().map(String::as_str).collect::<Vec<_>>(),
            )?,
            panics: counter("doorbell_gateway_session_panics_total", "sessions ended by a panic")?,
            frames_in: counter("doorbell_gateway_frames_in_total", "client frames read")?,
            frames_out: counter("doorbell_gateway_frames_out_total", "server frames begun")?,
            refused: counters(
                "doorbell_gateway_frames_refused_total",
                "client frames answered with an error",
                "code",
                &errors,
            )?,
            hints: Hints::register(registry)?,
            calls: counters(
                "doorbell_gateway_calls_total",
                "calls answered, by outcome; or `dropped`, where the session ended before",
                "outcome",
                &[&["ok", "dropped"], &errors[..]].concat(),
            )?,
            call_time: seconds("doorbell_gateway_call_seconds", "from a call to its answer")?,
            calls_in_flight: gauge("doorbell_gateway_calls_in_flight", "calls that wait for their answer")?,
            enters: counters(
                "doorbell_gateway_enters_total",
                "users entered into the registry, by outcome",
                "outcome",
                &answers,
            )?,
            enters_waiting: gauge(
                "doorbell_gateway_enters_waiting",
                "sessions that wait to be entered into the registry",
            )?,
            leaves: counters(
                "doorbell_gateway_leaves_total",
                "users removed from the registry, by outcome",
                "outcome",
                &[&["dropped"], &answers[..]].concat(),
            )?,
            renewals: counters(
                "doorbell_gateway_lease_renewals_total",
                "lease renewals, by outcome",
                "outcome",
                &answers,
            )?,
            lapses: counter("doorbell_gateway_lease_lapses_total", "partitions registered again")?,
            welcome_time: seconds("doorbell_gateway_welcome_seconds", "from hello to welcome")?,
            signals: SignalMetrics::register(registry)?,
            topics: TopicMetrics::register(registry)?,
            presence: PresenceMetrics::register(registry)?,
            canary: CanaryMetrics::register(registry)?,
        })
    }

    pub(crate) fn socket_opened(&self) {
        self.sockets.inc();
    }

    pub(crate) fn socket_closed(&self) {
        self.sockets.dec();
    }

    pub(crate) fn session_welcomed(&self, waited: Duration) {
        self.sessions.inc();
        self.welcome_time.observe(waited.as_secs_f64());
    }

    pub(crate) fn session_left(&self) {
        self.sessions.dec();
    }

    pub(crate) fn session_ended(&self, end: &End) {
        self.closes.with_label_values(&[&*close::label(end)]).inc();
    }

    pub(crate) fn session_panicked(&self) {
        self.panics.inc();
    }

    pub(crate) fn socket_slowed(&self) {
        self.slow.inc();
    }

    pub(crate) fn socket_caught_up(&self) {
        self.slow.dec();
    }

    pub(crate) fn drain_began(&self) {
        self.draining.set(1);
    }

    pub(crate) fn frame_read(&self) {
        self.frames_in.inc();
    }

    pub(crate) fn frame_written(&self) {
        self.frames_out.inc();
    }

    pub(crate) fn frame_refused(&self, code: ErrorCode) {
        self.refused.with_label_values(&[code.as_str()]).inc();
    }

    pub(crate) fn hint_offered(&self, offered: Offered) {
        let outcome = match offered {
            Offered::Written => &self.hints.written,
            Offered::Merged => &self.hints.merged,
            Offered::Held => &self.hints.held,
            Offered::Gone => &self.hints.gone,
        };
        outcome.inc();
    }

    pub(crate) fn signal_sent(&self, sent: Sent) {
        self.signals.sent(sent);
    }

    pub(crate) fn signal_shown(&self, shown: Shown) {
        self.signals.shown(shown);
    }

    pub(crate) fn call_started(&self) {
        self.calls_in_flight.inc();
    }

    pub(crate) fn call_ended(&self, outcome: Result<(), &ErrorBody>, took: Duration) {
        self.calls_in_flight.dec();
        self.calls.with_label_values(&[outcome.map_or_else(|error| error.code.as_str(), |()| "ok")]).inc();
        self.call_time.observe(took.as_secs_f64());
    }

    pub(crate) fn call_dropped(&self) {
        self.calls_in_flight.dec();
        self.calls.with_label_values(&["dropped"]).inc();
    }

    pub(crate) fn entered(&self, answer: Answer, users: usize) {
        self.enters.with_label_values(&[answer.label()]).inc_by(users as u64);
    }

    /// A queue of enters changed from one length to another.
    pub(crate) fn waiting_changed(&self, before: usize, after: usize) {
        self.enters_waiting.add(after as i64 - before as i64);
    }

    /// A leave found its queue full.
    pub(crate) fn leave_dropped(&self) {
        self.leaves.with_label_values(&["dropped"]).inc();
    }

    pub(crate) fn left(&self, answer: Answer, users: usize) {
        self.leaves.with_label_values(&[answer.label()]).inc_by(users as u64);
    }

    pub(crate) fn renewed(&self, answer: Answer) {
        self.renewals.with_label_values(&[answer.label()]).inc();
    }

    pub(crate) fn partition_lapsed(&self) {
        self.lapses.inc();
    }
}
