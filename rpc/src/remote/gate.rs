//! When a peer may be called again after a connection failed, and what the log says of it.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::Backoff;
use crate::remote::Config;

/// Opens and closes the way to one address, for all lanes to it.
#[derive(Debug)]
pub(crate) struct Gate {
    address: String,
    stable_after: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    backoff: Backoff,
    /// Until when nobody tries, and why.
    closed: Option<(Instant, String)>,
    /// Whether the log has said that the peer is away.
    is_away: bool,
}

impl Gate {
    pub(crate) fn new(address: &str, config: &Config) -> Self {
        let backoff = Backoff::new(config.reconnect_delay_min, config.reconnect_delay_max);
        let state = Mutex::new(State { backoff, closed: None, is_away: false });
        Self { address: address.to_owned(), stable_after: config.stable_after, state }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Whether a connection may be tried.
    ///
    /// # Errors
    /// Why the last one failed.
    pub(crate) fn admit(&self, now: Instant) -> Result<(), String> {
        match &self.state.lock().closed {
            Some((until, reason)) if now < *until => Err(reason.clone()),
            _ => Ok(()),
        }
    }

    /// No connection was made. Lanes that fail together count once.
    pub(crate) fn failed(&self, now: Instant, reason: String) {
        let mut state = self.state.lock();
        if !std::mem::replace(&mut state.is_away, true) {
            tracing::warn!(
                peer = self.address,
                reason,
                "a process cannot be reached; it is tried again until it can"
            );
        }
        if state.closed.as_ref().is_none_or(|(until, _)| now >= *until) {
            let until = now + state.backoff.failed();
            state.closed = Some((until, reason));
        }
    }

    /// A connection ended. Only one that had held for a while ends a run of failures: on a link that comes and goes,
    /// each attempt would otherwise be the first.
    pub(crate) fn broke(&self, now: Instant, lived: Duration, reason: String) {
        if lived < self.stable_after {
            return self.failed(now, reason);
        }
        let mut state = self.state.lock();
        state.backoff.succeeded();
        if std::mem::take(&mut state.is_away) {
            tracing::info!(peer = self.address, "a process was reached again");
        }
    }

    /// A connection has held long enough.
    pub(crate) fn stable(&self) {
        self.broke(Instant::now(), Duration::MAX, String::new());
    }

    pub(crate) const fn stable_after(&self) -> Duration {
        self.stable_after
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate() -> Gate {
        Gate::new("10.0.0.1:7071", &Config::default())
    }

    /// Whether the way is open again after so long.
    fn is_open(gate: &Gate, now: Instant, after: Duration) -> bool {
        gate.admit(now + after).is_ok()
    }

    #[test]
    fn a_failure_closes_the_way_and_says_why() {
        let (gate, now) = (gate(), Instant::now());
        assert!(gate.admit(now).is_ok());

        gate.failed(now, "refused".to_owned());
        assert_eq!(gate.admit(now), Err("refused".to_owned()));
        assert!(is_open(&gate, now, Duration::from_millis(50)));
    }

    #[test]
    fn lanes_that_fail_together_count_once() {
        let (gate, now) = (gate(), Instant::now());
        for _ in 0..5 {
            gate.failed(now, "refused".to_owned());
        }
        assert!(is_open(&gate, now, Duration::from_millis(50)));
    }

    #[test]
    fn a_link_that_comes_and_goes_is_tried_less_and_less_until_it_holds() {
        let (gate, mut now) = (gate(), Instant::now());
        for _ in 0..10 {
            now += Duration::from_secs(1);
            gate.broke(now, Duration::from_millis(900), "cut".to_owned());
        }
        assert!(!is_open(&gate, now, Duration::from_millis(499)), "it waits as long as it may");
        assert!(is_open(&gate, now, Duration::from_secs(1)), "and no longer");

        now += Duration::from_secs(10);
        gate.broke(now, Duration::from_secs(9), "cut".to_owned());
        assert!(gate.admit(now).is_ok(), "it had held: the next attempt is at once");
        gate.failed(now, "refused".to_owned());
        assert!(is_open(&gate, now, Duration::from_millis(50)));
    }
}
