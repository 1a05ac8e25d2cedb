//! Waiting after failures: longer each time, never all at once. How long is the caller's choice.

use std::time::Duration;

use rand::Rng;

/// A run of failures without a success between: how many, and how long to wait after the last.
#[derive(Clone, Debug)]
pub struct Backoff {
    delay_min: Duration,
    delay_max: Duration,
    failures: u32,
}

impl Backoff {
    /// No failure yet. The first wait is `delay_min`, none is longer than `delay_max`.
    #[must_use]
    pub const fn new(delay_min: Duration, delay_max: Duration) -> Self {
        Self { delay_min, delay_max, failures: 0 }
    }

    /// Counts one more and says how long to wait: doubling, capped, the upper half of it at random, so that those
    /// who failed together do not come back together.
    pub fn failed(&mut self) -> Duration {
        let doublings = self.failures.min(16);
        self.failures += 1;
        let full = self.delay_min.saturating_mul(1 << doublings).min(self.delay_max);
        full.mul_f64(rand::rng().random_range(0.5..=1.0))
    }

    /// The run of failures is over.
    pub const fn succeeded(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_start_again_after_a_success() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));

        for full in [100, 200, 400, 800, 1_600, 2_000, 2_000] {
            let wait = backoff.failed();
            let full = Duration::from_millis(full);
            assert!(wait >= full / 2 && wait <= full, "{wait:?} of {full:?}");
        }

        backoff.succeeded();
        assert!(backoff.failed() <= Duration::from_millis(100));
    }
}
