//! When to spare the upstream: after failures of several calls with no success since, and then but for a few probes.
//!
//! One slow or faulty method, called by one user as often as may be, must cut nobody off from the others. So a failure
//! counts only where nothing has succeeded since its call began, and seldom of the same user; and one user has one probe.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU32;
use std::time::Duration;

use doorbell_protocol::UserId;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::metrics::Metrics;

/// Calls that may try at a time whether a spared upstream is back, each of another user.
const PROBES_MAX: usize = 3;
/// Of one user's failed calls, those that began sooner than this after the last that counted do not count.
const FAILURES_INTERVAL: Duration = Duration::from_secs(1);

/// Counts failures. Closed, calls go out; open, none does; when its time is over, some probe, and the first that succeeds
/// closes it.
pub(crate) struct Breaker {
    failures_max: NonZeroU32,
    open_for: Duration,
    state: Mutex<State>,
    metrics: Metrics,
}

#[derive(Debug, Default)]
struct State {
    /// Open until then; a call after that probes. None: closed.
    open_until: Option<Instant>,
    /// When it last answered, or was last opened. A failure of a call that began before says nothing new.
    known_at: Option<Instant>,
    /// Failures that counted since it last answered.
    failures: u32,
    /// Who made those, and when the last of each counted: at most as many as `failures`.
    counted: HashMap<UserId, Instant>,
    /// Whose probes are out, `PROBES_MAX` at most.
    probes: HashSet<UserId>,
}

/// Leave for one call. What is dropped without a verdict says nothing about the upstream.
pub(crate) struct Permit<'b> {
    breaker: &'b Breaker,
    user: &'b UserId,
    began: Instant,
    probes: bool,
}

impl Breaker {
    pub(crate) fn new(failures_max: NonZeroU32, open_for: Duration, metrics: Metrics) -> Self {
        Self { failures_max, open_for, state: Mutex::default(), metrics }
    }

    /// Leave to call, or how long the upstream is still spared.
    pub(crate) fn admit<'b>(&'b self, user: &'b UserId, now: Instant) -> Result<Permit<'b>, Duration> {
        let mut state = self.state.lock();
        let probes = match state.open_until {
            None => false,
            Some(until) if now < until => return Err(until - now),
            // About as long as a probe takes that succeeds; one that does not opens it anew.
            Some(_) if state.probes.len() >= PROBES_MAX || state.probes.contains(user) => {
                return Err(self.open_for);
            }
            Some(_) => state.probes.insert(user.clone()),
        };
        Ok(Permit { breaker: self, user, began: now, probes })
    }

    fn open(&self, state: &mut State, now: Instant) {
        state.open_until = Some(now + self.open_for);
        state.known_at = Some(now);
        state.start_count();
        self.metrics.breaker(true);
    }
}

impl State {
    fn start_count(&mut self) {
        self.failures = 0;
        self.counted.clear();
    }

    /// Whether this failure is one more.
    fn count(&mut self, user: &UserId, began: Instant, now: Instant) -> bool {
        let last = self.counted.get(user);
        let counts = last.is_none_or(|last| began >= *last + FAILURES_INTERVAL);
        if counts {
            self.counted.insert(user.clone(), now);
            self.failures += 1;
        }
        counts
    }
}

impl Permit<'_> {
    /// It answered.
    pub(crate) fn succeeded(self, now: Instant) {
        let mut state = self.breaker.state.lock();
        state.known_at = Some(now);
        state.start_count();
        // Open, and a call from before: only a probe closes it.
        if self.probes && state.open_until.take().is_some() {
            self.breaker.metrics.breaker(false);
            tracing::info!("the upstream answers again");
        }
    }

    /// It did not answer, or could not.
    pub(crate) fn failed(self, now: Instant) {
        let breaker = self.breaker;
        let mut state = breaker.state.lock();
        if state.known_at.is_some_and(|at| at >= self.began) {
            return;
        }
        if state.open_until.is_some() {
            if self.probes {
                breaker.open(&mut state, now);
            }
        } else if state.count(self.user, self.began, now) && state.failures >= breaker.failures_max.get() {
            breaker.open(&mut state, now);
            tracing::error!(
                failures = breaker.failures_max,
                "the upstream does not answer: it is spared, and tried again from time to time"
            );
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if self.probes {
            // Also where its caller went away: another call may probe.
            self.breaker.state.lock().probes.remove(self.user);
        }
    }
}

#[cfg(test)]
mod tests;
