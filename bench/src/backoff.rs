//! How long a client waits before it comes back.

use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;

/// Exponential backoff with full jitter, reset by a session that lasted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    tries: u8,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(250);
    const MOST: Duration = Duration::from_secs(2);

    /// How long to wait this time.
    pub fn next(&mut self, rng: &mut StdRng) -> Duration {
        let most = Self::FIRST.saturating_mul(1 << self.tries.min(8)).min(Self::MOST);
        self.tries = self.tries.saturating_add(1);
        most.mul_f64(rng.random::<f64>())
    }

    /// How often it was waited since it was reset; 255 stands for more as well.
    pub const fn tries(self) -> u8 {
        self.tries
    }

    /// A session was there.
    pub const fn reset(&mut self) {
        self.tries = 0;
    }
}
