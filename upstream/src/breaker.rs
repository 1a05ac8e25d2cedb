//! When to spare the upstream: after some failures in a row, and then but for one probe at a time.

use std::num::NonZeroU32;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::metrics::Metrics;

/// Counts failures in a row. Closed, calls go out; open, none does; when its time is over, the next one probes.
pub(crate) struct Breaker {
    failures_max: NonZeroU32,
    open_for: Duration,
    state: Mutex<State>,
    metrics: Metrics,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// So many calls in a row have failed.
    Closed { failures: u32 },
    /// Spared until then; a call after that probes.
    Open { until: Instant },
    /// The probe is out.
    Probing,
}

/// Leave for one call. What is dropped without a verdict says nothing about the upstream.
pub(crate) struct Permit<'b> {
    breaker: &'b Breaker,
    probes: bool,
    settled: bool,
}

impl Breaker {
    pub(crate) fn new(failures_max: NonZeroU32, open_for: Duration, metrics: Metrics) -> Self {
        Self { failures_max, open_for, state: Mutex::new(State::Closed { failures: 0 }), metrics }
    }

    /// Leave to call, or how long the upstream is still spared.
    pub(crate) fn admit(&self, now: Instant) -> Result<Permit<'_>, Duration> {
        let mut state = self.state.lock();
        let probes = match *state {
            State::Closed { .. } => false,
            State::Open { until } if now >= until => {
                *state = State::Probing;
                true
            }
            State::Open { until } => return Err(until - now),
            // About as long as a probe takes that succeeds; one that does not opens it anew.
            State::Probing => return Err(self.open_for),
        };
        Ok(Permit { breaker: self, probes, settled: false })
    }

    fn open(&self, state: &mut State, now: Instant) {
        *state = State::Open { until: now + self.open_for };
        self.metrics.breaker(true);
    }
}

impl Permit<'_> {
    /// It answered.
    pub(crate) fn succeeded(mut self) {
        self.settled = true;
        let mut state = self.breaker.state.lock();
        match *state {
            State::Closed { .. } => *state = State::Closed { failures: 0 },
            State::Probing if self.probes => {
                *state = State::Closed { failures: 0 };
                self.breaker.metrics.breaker(false);
                tracing::info!("the upstream answers again");
            }
            // A call from before it opened: only a probe closes it.
            State::Open { .. } | State::Probing => {}
        }
    }

    /// It did not answer, or could not.
    pub(crate) fn failed(mut self, now: Instant) {
        self.settled = true;
        let breaker = self.breaker;
        let mut state = breaker.state.lock();
        match *state {
            State::Closed { failures } if failures + 1 >= breaker.failures_max.get() => {
                breaker.open(&mut state, now);
                tracing::error!(
                    failures = breaker.failures_max,
                    "the upstream does not answer: it is spared, and tried again from time to time"
                );
            }
            State::Closed { failures } => *state = State::Closed { failures: failures + 1 },
            State::Probing if self.probes => breaker.open(&mut state, now),
            State::Open { .. } | State::Probing => {}
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if self.probes && !self.settled {
            // Its caller went away: the next call probes at once.
            *self.breaker.state.lock() = State::Open { until: Instant::now() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN_FOR: Duration = Duration::from_secs(5);

    fn breaker() -> Breaker {
        let metrics = Metrics::register(&prometheus::Registry::new()).unwrap();
        Breaker::new(NonZeroU32::new(3).unwrap(), OPEN_FOR, metrics)
    }

    fn fail(breaker: &Breaker, times: usize) {
        for _ in 0..times {
            breaker.admit(Instant::now()).ok().unwrap().failed(Instant::now());
        }
    }

    fn spared(breaker: &Breaker) -> Option<Duration> {
        breaker.admit(Instant::now()).err()
    }

    #[tokio::test(start_paused = true)]
    async fn it_opens_after_failures_in_a_row_and_says_for_how_long() {
        let breaker = breaker();
        fail(&breaker, 2);
        breaker.admit(Instant::now()).ok().unwrap().succeeded();
        fail(&breaker, 2);
        assert_eq!(spared(&breaker), None, "a success between starts the count anew");
        fail(&breaker, 1);
        assert_eq!(spared(&breaker), Some(OPEN_FOR));
        tokio::time::advance(Duration::from_secs(4)).await;
        assert_eq!(spared(&breaker), Some(Duration::from_secs(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn then_one_call_probes_and_its_success_closes_it() {
        let breaker = breaker();
        fail(&breaker, 3);
        tokio::time::advance(OPEN_FOR).await;

        let probe = breaker.admit(Instant::now()).ok().unwrap();
        assert!(spared(&breaker).is_some(), "one probe at a time");
        probe.succeeded();

        fail(&breaker, 2);
        assert_eq!(spared(&breaker), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_fails_opens_it_anew() {
        let breaker = breaker();
        fail(&breaker, 3);
        tokio::time::advance(OPEN_FOR).await;
        fail(&breaker, 1);
        assert_eq!(spared(&breaker), Some(OPEN_FOR));
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_whose_caller_went_away_is_followed_by_another() {
        let breaker = breaker();
        fail(&breaker, 3);
        tokio::time::advance(OPEN_FOR).await;
        drop(breaker.admit(Instant::now()).ok().unwrap());
        assert_eq!(spared(&breaker), None);
    }

    #[tokio::test(start_paused = true)]
    async fn calls_from_before_it_opened_change_nothing() {
        let breaker = breaker();
        let (late, later) =
            (breaker.admit(Instant::now()).ok().unwrap(), breaker.admit(Instant::now()).ok().unwrap());
        fail(&breaker, 3);
        late.succeeded();
        tokio::time::advance(Duration::from_secs(4)).await;
        later.failed(Instant::now());
        assert_eq!(spared(&breaker), Some(Duration::from_secs(1)));
    }
}
