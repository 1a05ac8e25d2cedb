//! How many calls over HTTP each user may make here: as many as over one socket.

use std::time::Duration;

use doorbell_protocol::{ErrorBody, ErrorCode, UserId};

use super::metrics::Metrics;
use crate::Config;
use crate::rates::{Limited, Rates};
use crate::session::rate::RateRule;
use crate::uptime::Uptime;

/// Users who are remembered at most: some ten megabytes. One is forgotten when a limit that never saw them would say
/// the same, some seconds after their last call; so that many within seconds are a storm, and not our users.
const CALLERS_MAX: usize = 100_000;
/// When to come back where nobody more can be remembered: some have been forgotten by then.
const FULL_WAIT: Duration = Duration::from_secs(1);
/// Counts calls by user. Shared by all connections; bounded, whoever calls.
pub struct CallRates {
    uptime: Uptime,
    callers: Rates<UserId>,
    metrics: Metrics,
}

impl CallRates {
    /// The limit of `frames_per_second` and `frames_burst`.
    #[must_use]
    pub fn new(config: &Config, uptime: Uptime, metrics: Metrics) -> Self {
        metrics.callers_max(CALLERS_MAX);
        Self { uptime, callers: Rates::new(RateRule::new(config), CALLERS_MAX), metrics }
    }

    /// Counts one call. A refused one does not count: who waits as told is served.
    ///
    /// # Errors
    /// `rate_limited`, with the time after which the same call is served.
    pub fn take(&self, user: &UserId) -> Result<(), ErrorBody> {
        let answer = self.callers.take(user, self.uptime.now());
        self.metrics.callers(self.callers.len());
        answer.map_err(|limited| {
            self.metrics.limited(limited);
            let wait = match limited {
                Limited::Wait(wait) => wait,
                Limited::Full => FULL_WAIT,
            };
            let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
            ErrorBody::retry_after(ErrorCode::RateLimited, "too many calls: slow down", wait_ms)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uptime::Moment;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    struct Case {
        rates: CallRates,
        millis: Arc<AtomicU64>,
    }

    fn case() -> Case {
        let millis = Arc::new(AtomicU64::new(1_000));
        let told = Arc::clone(&millis);
        let uptime = Uptime::from_fn(move || Moment::from_micros(told.load(Ordering::Relaxed) * 1_000));
        let metrics = Metrics::register(&prometheus::Registry::new()).unwrap();
        let rates = CallRates::new(&Config::default(), uptime, metrics);
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
    }

    #[test]
    fn a_user_has_the_burst_and_then_the_rate_of_a_socket() {
        let case = case();
        assert_eq!(case.served("ada", 300), 200);
        assert_eq!(case.served("bob", 300), 200, "each user for themselves");
        case.wait(1_000);
        assert_eq!(case.served("ada", 300), 50);
    }

    #[test]
    fn who_waits_as_told_is_served() {
        let case = case();
        case.served("ada", 1_000);
        let error = case.rates.take(&UserId::new("ada").unwrap()).unwrap_err();
        assert_eq!(error.code, ErrorCode::RateLimited);
        case.wait(error.retry_after_ms.unwrap());
        assert_eq!(case.served("ada", 1), 1);
    }
}
