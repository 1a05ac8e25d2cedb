//! What the door counts. Metric names stand nowhere else.

use prometheus::{
    IntCounter, IntCounterVec, IntGauge, Opts, Registry, register_int_counter_vec_with_registry,
    register_int_counter_with_registry, register_int_gauge_with_registry,
};

use super::admission::Verdict;
use super::secure::Outcome;
use crate::handshake::refusal::Refusal;

/// The door's metrics. Cheap to clone: the families are shared.
#[derive(Clone, Debug)]
pub struct Metrics {
    connections: IntGauge,
    connections_capacity: IntGauge,
    accepts: IntCounterVec,
    pauses: IntCounter,
    panics: IntCounter,
    handshakes: IntCounterVec,
    tls_handshakes: IntCounterVec,
}

impl Metrics {
    /// Makes the families and registers them.
    ///
    /// # Errors
    /// A family of that name is there already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str| register_int_gauge_with_registry!(name, help, registry);
        let counter = |name: &str, help: &str| register_int_counter_with_registry!(name, help, registry);
        let counters = |name: &str, help: &str, outcomes: &[&str]| {
            let opts = Opts::new(name, help);
            let family = register_int_counter_vec_with_registry!(opts, &["outcome"], registry)?;
            // From the start, so that the first event is a step from 0 and not a series that comes out of nothing.
            outcomes.iter().for_each(|outcome| _ = family.with_label_values(&[outcome]));
            Ok::<_, prometheus::Error>(family)
        };
        let refusals = Refusal::ALL.map(Refusal::label);
        Ok(Self {
            connections: gauge("doorbell_listener_connections", "connections in HTTP, not yet upgraded")?,
            connections_capacity: gauge("doorbell_listener_connections_capacity", "how many there may be")?,
            accepts: counters(
                "doorbell_listener_accepts_total",
                "connections accepted, by what became of them",
                &["served", "too_fast", "full"],
            )?,
            pauses: counter(
                "doorbell_listener_accept_pauses_total",
                "bursts in which the system had no file descriptor to give",
            )?,
            panics: counter("doorbell_listener_connection_panics_total", "connections ended by a panic")?,
            handshakes: counters(
                "doorbell_listener_handshakes_total",
                "WebSocket upgrades: accepted, lost because the client left, or refused, by why",
                &[&["accepted", "lost"], &refusals[..]].concat(),
            )?,
            tls_handshakes: counters(
                "doorbell_listener_tls_handshakes_total",
                "TLS handshakes done; or not, as the client spoke plain text, the two did not agree, it was late, or it \
                 left",
                &Outcome::ALL.map(Outcome::label),
            )?,
        })
    }

    pub(super) fn connections_allowed(&self, connections_max: usize) {
        self.connections_capacity.set(i64::try_from(connections_max).unwrap_or(i64::MAX));
    }

    pub(super) fn connection_accepted(&self) {
        self.connections.inc();
        self.accepts.with_label_values(&["served"]).inc();
    }

    pub(super) fn connection_ended(&self) {
        self.connections.dec();
    }

    pub(super) fn connection_refused(&self, why: Verdict) {
        let outcome = match why {
            Verdict::Served => return,
            Verdict::TooFast => "too_fast",
            Verdict::Full => "full",
        };
        self.accepts.with_label_values(&[outcome]).inc();
    }

    pub(super) fn connection_panicked(&self) {
        self.panics.inc();
    }

    pub(super) fn tls_handshake(&self, outcome: Outcome) {
        self.tls_handshakes.with_label_values(&[outcome.label()]).inc();
    }

    pub(super) fn accept_paused(&self) {
        self.pauses.inc();
    }

    pub(crate) fn handshake_accepted(&self) {
        self.handshakes.with_label_values(&["accepted"]).inc();
    }

    pub(crate) fn handshake_refused(&self, refusal: Refusal) {
        self.handshakes.with_label_values(&[refusal.label()]).inc();
    }

    /// The client went away before it had its 101.
    pub(crate) fn handshake_lost(&self) {
        self.handshakes.with_label_values(&["lost"]).inc();
    }

    #[cfg(test)]
    pub(super) fn accept_pauses(&self) -> u64 {
        self.pauses.get()
    }

    #[cfg(test)]
    pub(super) fn panics(&self) -> u64 {
        self.panics.get()
    }

    #[cfg(test)]
    pub(super) fn open(&self) -> i64 {
        self.connections.get()
    }
}
