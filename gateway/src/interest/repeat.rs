//! Pure: when everything is said again. A service that forgot is told at once, and after it not without a pause, longer
//! each time: where answers come now in time and now late, each of them looks like one more service that forgot, and
//! saying everything again and again would make more of them late.

use std::time::Duration;

use doorbell_rpc::Backoff;
use tokio::time::Instant;

/// Between the end of one repeat and the next; the upper half of it at random.
const PAUSE_FIRST: Duration = Duration::from_secs(2);
/// Long beside a repeat, short beside what a wrong number of followers may last.
const PAUSE_MAX: Duration = Duration::from_secs(8);

pub(super) struct Repeat {
    pauses: Backoff,
    /// When the next one is due, where one is wanted.
    due: Option<Instant>,
    /// None begins before it; nothing before the first one.
    rests_until: Option<Instant>,
}

impl Repeat {
    pub(super) const fn new() -> Self {
        Self { pauses: Backoff::new(PAUSE_FIRST, PAUSE_MAX), due: None, rests_until: None }
    }

    /// The service has forgotten what it heard until now.
    pub(super) fn want(&mut self, now: Instant) {
        if self.due.is_some() {
            return;
        }
        if self.rests_until.is_some_and(|until| now >= until + PAUSE_MAX) {
            self.pauses.succeeded();
        }
        self.due = Some(self.rests_until.map_or(now, |until| until.max(now)));
    }

    pub(super) const fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Everything is said from now on: what is forgotten meanwhile is for the next one.
    pub(super) const fn begin(&mut self) {
        self.due = None;
    }

    pub(super) fn ended(&mut self, now: Instant) {
        let until = now + self.pauses.failed();
        self.rests_until = Some(until);
        self.due = self.due.map(|due| due.max(until));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_comes_at_once_and_further_ones_further_and_further_apart() {
        let (mut repeat, start) = (Repeat::new(), Instant::now());
        repeat.want(start);
        assert_eq!(repeat.due(), Some(start));
        let mut now = start;
        for full in [2, 4, 8, 8] {
            repeat.begin();
            assert_eq!(repeat.due(), None);
            // Forgotten while it lasts, and again after it.
            repeat.want(now);
            now += Duration::from_secs(5);
            repeat.ended(now);
            let due = repeat.due().unwrap();
            let full = Duration::from_secs(full);
            assert!(due - now >= full / 2 && due - now <= full, "{full:?}");
            repeat.want(now);
            assert_eq!(repeat.due(), Some(due));
            now = due;
        }
        repeat.begin();
        repeat.ended(now);
        assert_eq!(repeat.due(), None, "nothing was forgotten");

        now += 3 * PAUSE_MAX;
        repeat.want(now);
        assert_eq!(repeat.due(), Some(now));
        repeat.begin();
        repeat.ended(now);
        repeat.want(now);
        assert!(repeat.due().unwrap() - now <= PAUSE_FIRST, "after a calm it is as at the start");
    }
}
