//! Whether the registry works: so that a burst of failures is said once, and its end once.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// How long calls must have worked before a failure is news again: where one partition of many fails, calls work and
/// fail in turn.
const CALM: Duration = Duration::from_secs(5);

/// Remembers when a call last failed.
#[derive(Default)]
pub(super) struct Outage {
    failed_at: Mutex<Option<Instant>>,
}

impl Outage {
    /// Notes a failed call; answers whether it is the first of its burst.
    pub(super) fn failed(&self, now: Instant) -> bool {
        self.failed_at.lock().replace(now).is_none()
    }

    /// Notes a call that worked; answers whether it ends a burst.
    pub(super) fn worked(&self, now: Instant) -> bool {
        let mut failed_at = self.failed_at.lock();
        let ends = failed_at.is_some_and(|failed_at| now.duration_since(failed_at) >= CALM);
        if ends {
            *failed_at = None;
        }
        ends
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_news_once_and_so_is_its_end() {
        let outage = Outage::default();
        let start = Instant::now();
        let at = |second| start + Duration::from_secs(second);
        assert!(!outage.worked(at(0)), "nothing had failed");
        assert!(outage.failed(at(1)));
        for second in 2..20 {
            // One partition works, another does not.
            assert!(!outage.worked(at(second)) && !outage.failed(at(second)), "{second}");
        }
        assert!(!outage.worked(at(23)) && outage.worked(at(24)) && !outage.worked(at(25)));
        assert!(outage.failed(at(26)));
    }
}
