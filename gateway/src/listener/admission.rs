//! Who may come in now: a token bucket for the rate, a count for the crowd. Pure: the time is an argument.

use tokio::time::Instant;

use super::Config;

/// Decides about each accepted connection.
pub(super) struct Admission {
    connections_max: usize,
    per_second: f64,
    burst: f64,
    /// Connections that may come in at `filled_at`.
    left: f64,
    filled_at: Instant,
}

/// What becomes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is served.
    Welcome,
    /// Refused: beyond the rate.
    TooFast,
    /// Refused: as many are here as there may be.
    Full,
}

impl Admission {
    pub(super) fn new(config: &Config, now: Instant) -> Self {
        let burst = f64::from(config.accepts_burst.get());
        Self {
            connections_max: config.connections_max.get(),
            per_second: f64::from(config.accepts_per_second.get()),
            burst,
            left: burst,
            filled_at: now,
        }
    }

    /// Decides about one more connection beside `open` others. One that is refused for the crowd takes nothing from
    /// the rate.
    pub(super) fn admit(&mut self, open: usize, now: Instant) -> Verdict {
        if open >= self.connections_max {
            return Verdict::Full;
        }
        let since = now.saturating_duration_since(self.filled_at).as_secs_f64();
        self.left = (self.left + since * self.per_second).min(self.burst);
        self.filled_at = now;
        if self.left < 1.0 {
            return Verdict::TooFast;
        }
        self.left -= 1.0;
        Verdict::Welcome
    }
}

#[cfg(test)]
mod tests {
    use std::num::{NonZeroU32, NonZeroUsize};
    use std::time::Duration;

    use super::*;

    fn admission(start: Instant) -> Admission {
        let config = Config {
            connections_max: NonZeroUsize::new(5).unwrap(),
            accepts_per_second: NonZeroU32::new(10).unwrap(),
            accepts_burst: NonZeroU32::new(3).unwrap(),
            ..Config::default()
        };
        Admission::new(&config, start)
    }

    /// N6.
    #[tokio::test(start_paused = true)]
    async fn a_burst_passes_and_then_the_rate_holds() {
        let start = Instant::now();
        let mut admission = admission(start);
        let after = |millis| start + Duration::from_millis(millis);
        for (at, expected) in [
            (0, Verdict::Welcome),
            (0, Verdict::Welcome),
            (0, Verdict::Welcome),
            (0, Verdict::TooFast),
            (99, Verdict::TooFast),
            (101, Verdict::Welcome),
            (102, Verdict::TooFast),
            (10_000, Verdict::Welcome),
            (10_000, Verdict::Welcome),
            (10_000, Verdict::Welcome),
            (10_000, Verdict::TooFast),
        ] {
            assert_eq!(admission.admit(0, after(at)), expected, "at {at} ms");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_crowd_is_refused_without_using_up_the_rate() {
        let start = Instant::now();
        let mut admission = admission(start);
        for _ in 0..10 {
            assert_eq!(admission.admit(5, start), Verdict::Full);
        }
        assert_eq!(admission.admit(4, start), Verdict::Welcome);
    }
}
