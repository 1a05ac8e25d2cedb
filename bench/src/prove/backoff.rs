//! How long a client waits before it comes back.

use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;

/// Exponential backoff with full jitter, reset by a session that lasted.
#[derive(Debug, Default)]
pub struct Backoff {
    tries: u32,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(250);
    const MOST: Duration = Duration::from_secs(2);

    /// How long to wait this time.
    pub fn next(&mut self, rng: &mut StdRng) -> Duration {
        let most = Self::FIRST.saturating_mul(1 << self.tries.min(8)).min(Self::MOST);
        self.tries += 1;
        most.mul_f64(rng.random::<f64>())
    }

    /// A session was there.
    pub const fn reset(&mut self) {
        self.tries = 0;
    }
}
