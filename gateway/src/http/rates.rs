//! How many calls over HTTP each user may make here: as many as over one socket.

use std::collections::HashMap;
use std::time::Duration;

use doorbell_protocol::{ErrorBody, ErrorCode, UserId};
use parking_lot::Mutex;

use super::metrics::{Limited, Metrics};
use crate::Config;
use crate::session::rate::{Rate, RateRule};
use crate::uptime::{Moment, Uptime};

/// Users who are remembered at most: some ten megabytes. One is forgotten when a limit that never saw them would say
/// the same, some seconds after their last call; so that many within seconds are a storm, and not our users.
const CALLERS_MAX: usize = 100_000;
/// When to come back where nobody more can be remembered: some have been forgotten by then.
const FULL_WAIT: Duration = Duration::from_secs(1);
/// Room for so many is not looked through.
const SWEEP_FROM: usize = 1_024;
const SWEEP_PAUSE: Duration = Duration::from_millis(100);

/// Counts calls by user. Shared by all connections; bounded, whoever calls.
pub struct CallRates {
    rule: RateRule,
    uptime: Uptime,
    callers_max: usize,
    callers: Mutex<Callers>,
    metrics: Metrics,
}

#[derive(Default)]
struct Callers {
    rates: HashMap<UserId, Rate>,
    /// With so many, those who are level again are forgotten: at twice what was left the last time, so that a sweep costs
    /// each call a constant.
    sweep_at: usize,
    /// Nor before then: a full memory is not looked through for each stranger.
    sweep_after: Moment,
}

impl CallRates {
    /// The limit of `frames_per_second` and `frames_burst`.
    #[must_use]
    pub fn new(config: &Config, uptime: Uptime, metrics: Metrics) -> Self {
        metrics.callers_max(CALLERS_MAX);
        Self {
            rule: RateRule::new(config),
            uptime,
            callers_max: CALLERS_MAX,
            callers: Mutex::default(),
            metrics,
        }
    }

    /// Counts one call. A refused one does not count: who waits as told is served.
    ///
    /// # Errors
    /// `rate_limited`, with the time after which the same call is served.
    pub fn take(&self, user: &UserId) -> Result<(), ErrorBody> {
        let now = self.uptime.now();
        let mut callers = self.callers.lock();
        let (answer, limited) = match callers.rate(user, now, self.callers_max) {
            Some(rate) => (rate.take(&self.rule, now), Limited::User),
            None => (Err(FULL_WAIT), Limited::Full),
        };
        self.metrics.callers(callers.rates.len());
        drop(callers);
        answer.map_err(|wait| {
            self.metrics.limited(limited);
            let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
            ErrorBody::retry_after(ErrorCode::RateLimited, "too many calls: slow down", wait_ms)
        })
    }
}

impl Callers {
    /// A user's rate; `None` where there is no room for one more.
    fn rate(&mut self, user: &UserId, now: Moment, callers_max: usize) -> Option<&mut Rate> {
        if !self.rates.contains_key(user) {
            let sweep_at = self.sweep_at.clamp(SWEEP_FROM.min(callers_max), callers_max);
            if self.rates.len() >= sweep_at && now >= self.sweep_after {
                self.rates.retain(|_, rate| !rate.is_level(now));
                self.sweep_at = self.rates.len() * 2;
                self.sweep_after = now.plus(SWEEP_PAUSE);
            }
            if self.rates.len() >= callers_max {
                return None;
            }
        }
        Some(self.rates.entry(user.clone()).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    struct Case {
        rates: CallRates,
        millis: Arc<AtomicU64>,
    }

    fn case(callers_max: usize) -> Case {
        let millis = Arc::new(AtomicU64::new(1_000));
        let told = Arc::clone(&millis);
        let uptime = Uptime::from_fn(move || Moment::from_micros(told.load(Ordering::Relaxed) * 1_000));
        let metrics = Metrics::register(&prometheus::Registry::new()).unwrap();
        let rates = CallRates { callers_max, ..CallRates::new(&Config::default(), uptime, metrics) };
        Case { rates, millis }
    }

    impl Case {
        /// How many of so many calls at once are served.
        fn served(&self, user: &str, calls: usize) -> usize {
            let user = UserId::new(user).unwrap();
            (0..calls).filter(|_| self.rates.take(&user).is_ok()).count()
        }

        fn wait(&self, millis: u64) {
            self.millis.fetch_add(millis, Ordering::Relaxed);
        }

        fn remembered(&self) -> usize {
            self.rates.callers.lock().rates.len()
        }
    }

    #[test]
    fn a_user_has_the_burst_and_then_the_rate_of_a_socket() {
        let case = case(10);
        assert_eq!(case.served("ada", 300), 200);
        assert_eq!(case.served("bob", 300), 200, "each user for themselves");
        case.wait(1_000);
        assert_eq!(case.served("ada", 300), 50);
    }

    #[test]
    fn who_waits_as_told_is_served() {
        let case = case(10);
        case.served("ada", 1_000);
        let error = case.rates.take(&UserId::new("ada").unwrap()).unwrap_err();
        assert_eq!(error.code, ErrorCode::RateLimited);
        case.wait(error.retry_after_ms.unwrap());
        assert_eq!(case.served("ada", 1), 1);
    }

    #[test]
    fn a_full_memory_refuses_strangers_until_somebody_is_level() {
        let case = case(2);
        assert_eq!(case.served("ada", 50), 50);
        assert_eq!(case.served("bob", 100), 100);
        assert_eq!((case.served("eve", 1), case.served("bob", 1), case.remembered()), (0, 1, 2));
        case.wait(1_001);
        assert_eq!((case.served("eve", 1), case.served("dan", 1), case.remembered()), (1, 0, 2));
    }

    #[test]
    fn who_is_level_is_forgotten_without_a_full_memory() {
        let case = case(CALLERS_MAX);
        for number in 0..50_000 {
            case.wait(1);
            assert_eq!(case.served(&format!("u{number}"), 1), 1);
        }
        // With those of one pause.
        assert!(case.remembered() <= SWEEP_FROM + 100, "{}", case.remembered());
    }
}
