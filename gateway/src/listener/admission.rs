//! Who may come in now, and when the others: a token bucket for the rate, a count for the crowd, and a row of places in time
//! for who is refused. Pure: the time is an argument.

use std::time::Duration;

use tokio::time::Instant;

use super::Config;

/// A refused client comes back no sooner, so that a moment's crowd is over by then.
const LATER_MIN: Duration = Duration::from_secs(1);
/// A refused client comes back no later: somebody else may take the crowd meanwhile. It is as long as 1.5 million take at the
/// default rate.
const LATER_MAX: Duration = Duration::from_secs(300);

/// Decides about each accepted connection.
pub(super) struct Admission {
    connections_max: usize,
    per_second: f64,
    burst: f64,
    /// Connections that may come in at `filled_at`.
    left: f64,
    filled_at: Instant,
    /// When whoever is refused next may come back: as many do in a second as may come in. All at once they would be refused again, and
    /// a crowd that is large enough keeps the door busy with that alone.
    next_place: Instant,
}

/// What becomes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is served.
    Served,
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
            next_place: now,
        }
    }

    /// After what time one who is refused now may come back.
    pub(super) fn later(&mut self, now: Instant) -> Duration {
        let step = Duration::from_secs_f64(self.per_second.recip());
        self.next_place = (self.next_place.max(now + LATER_MIN) + step).min(now + LATER_MAX);
        self.next_place.saturating_duration_since(now)
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
        if self.left >= self.burst {
            // A crowd that comes at its places uses the whole rate: this one went elsewhere.
            self.next_place = now;
        }
        if self.left < 1.0 {
            return Verdict::TooFast;
        }
        self.left -= 1.0;
        Verdict::Served
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
            (0, Verdict::Served),
            (0, Verdict::Served),
            (0, Verdict::Served),
            (0, Verdict::TooFast),
            (99, Verdict::TooFast),
            (101, Verdict::Served),
            (102, Verdict::TooFast),
            (10_000, Verdict::Served),
            (10_000, Verdict::Served),
            (10_000, Verdict::Served),
            (10_000, Verdict::TooFast),
        ] {
            assert_eq!(admission.admit(0, after(at)), expected, "at {at} ms");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_refused_comes_back_at_the_rate_however_large_the_crowd() {
        let start = Instant::now();
        let mut admission = admission(start);
        let mut at: Vec<_> = (0..100).map(|_| admission.later(start).as_millis()).collect();
        assert_eq!((at[0], at[9], at[99]), (1_100, 2_000, 11_000));
        // Half of them came back; who is refused then stands behind the other half.
        at.extend((0..10).map(|_| admission.later(start + Duration::from_secs(6)).as_millis()));
        assert_eq!((at[100], at[109]), (5_100, 6_000));
        // A crowd that went elsewhere leaves no row of places behind.
        (0..100_000).for_each(|_| {
            admission.later(start);
        });
        assert_eq!(admission.later(start), LATER_MAX);
        assert_eq!(admission.later(start + LATER_MAX).as_millis(), 1_100);
    }

    #[tokio::test(start_paused = true)]
    async fn a_row_of_places_ends_with_its_crowd() {
        let start = Instant::now();
        let mut admission = admission(start);
        (0..3).for_each(|_| assert_eq!(admission.admit(0, start), Verdict::Served));
        for _ in 0..1_000 {
            admission.later(start);
        }
        // Somebody comes each tenth of a second, as their places say: the row stays.
        for tenth in 1..=50 {
            assert_eq!(admission.admit(0, start + Duration::from_millis(101 * tenth)), Verdict::Served);
        }
        assert!(admission.later(start + Duration::from_secs(6)) > Duration::from_secs(90));
        // Nobody has come for as long as the burst takes to fill.
        let later = start + Duration::from_secs(7);
        assert_eq!(admission.admit(0, later), Verdict::Served);
        assert_eq!(admission.later(later).as_millis(), 1_100);
    }

    #[tokio::test(start_paused = true)]
    async fn a_crowd_is_refused_without_using_up_the_rate() {
        let start = Instant::now();
        let mut admission = admission(start);
        for _ in 0..10 {
            assert_eq!(admission.admit(5, start), Verdict::Full);
        }
        assert_eq!(admission.admit(4, start), Verdict::Served);
    }
}
