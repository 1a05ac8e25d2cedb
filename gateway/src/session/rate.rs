//! How many frames a session may send: one number a session (GCRA, the generic cell rate algorithm).

use std::time::Duration;

use crate::Config;
use crate::uptime::Moment;

/// The frame limit, in the units of [`Rate`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct RateRule {
    /// One frame's time, in microseconds.
    interval: u64,
    /// How far a session may be ahead and still be served.
    burst: u64,
    /// How far it may be ahead and still be answered.
    grace: u64,
}

/// What a frame meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    /// Within the limit.
    Serve,
    /// Beyond it: answered with `rate_limited` and this wait, not served.
    Refuse(Duration),
    /// Beyond its grace: the session is closed.
    Flood,
}

/// The moment at which a session would be level again: the one field that a rate limit needs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rate(u64);

impl RateRule {
    pub(crate) fn new(config: &Config) -> Self {
        let interval = 1_000_000 / u64::from(config.frames_per_second.get()).min(1_000_000);
        let burst = interval * (u64::from(config.frames_burst.get()) - 1);
        Self { interval, burst, grace: burst + interval * u64::from(config.frames_grace) }
    }

    /// One in each interval, and none ahead of it.
    pub(crate) fn each(interval: Duration) -> Self {
        let interval = u64::try_from(interval.as_micros()).unwrap_or(u64::MAX);
        Self { interval, burst: 0, grace: 0 }
    }
}

impl Rate {
    /// Counts one frame. A refused one weighs a quarter: a client somewhat too fast is slowed, not closed.
    pub(crate) fn pass(&mut self, rule: &RateRule, now: Moment) -> Pass {
        let now = now.as_micros();
        let ahead = self.0.saturating_sub(now);
        let (pass, weight) = if ahead <= rule.burst {
            (Pass::Serve, rule.interval)
        } else if ahead <= rule.grace {
            let weight = rule.interval.div_ceil(4);
            (Pass::Refuse(Duration::from_micros(ahead + weight - rule.burst)), weight)
        } else {
            (Pass::Flood, 0)
        };
        self.0 = self.0.max(now) + weight;
        pass
    }

    /// Counts one call where it is within the limit; answers how long to wait where it is not, and forgets it.
    pub(crate) fn take(&mut self, rule: &RateRule, now: Moment) -> Result<(), Duration> {
        let now = now.as_micros();
        let ahead = self.0.saturating_sub(now);
        if ahead > rule.burst {
            return Err(Duration::from_micros(ahead - rule.burst));
        }
        self.0 = self.0.max(now).saturating_add(rule.interval);
        Ok(())
    }

    /// Whether it says no more than a fresh one.
    pub(crate) fn is_level(self, now: Moment) -> bool {
        self.0 <= now.as_micros()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule() -> RateRule {
        RateRule::new(&Config::default())
    }

    fn passes(rate: &mut Rate, frames: usize, now: Moment) -> [usize; 3] {
        let mut counts = [0; 3];
        for _ in 0..frames {
            match rate.pass(&rule(), now) {
                Pass::Serve => counts[0] += 1,
                Pass::Refuse(_) => counts[1] += 1,
                Pass::Flood => counts[2] += 1,
            }
        }
        counts
    }

    #[test]
    fn a_burst_is_served_then_answered_then_a_flood() {
        let now = Moment::from_secs(100);
        let [served, refused, flood] = passes(&mut Rate::default(), 5_000, now);
        assert_eq!(served, 200, "the configured burst");
        assert!((300..=500).contains(&refused), "{refused}");
        assert_eq!(served + refused + flood, 5_000);
    }

    #[test]
    fn the_sustained_rate_is_never_refused() {
        let mut rate = Rate::default();
        for frame in 0..10_000 {
            let now = Moment::from_micros(frame * 20_000);
            assert_eq!(rate.pass(&rule(), now), Pass::Serve, "frame {frame}");
        }
    }

    #[test]
    fn twice_the_rate_is_slowed_and_not_closed() {
        let mut rate = Rate::default();
        let mut served = 0;
        for frame in 0..60_000 {
            match rate.pass(&rule(), Moment::from_micros(frame * 10_000)) {
                Pass::Serve => served += 1,
                Pass::Refuse(_) => {}
                Pass::Flood => panic!("closed at frame {frame}"),
            }
        }
        assert!(served > 15_000, "{served}");
    }

    #[test]
    fn who_waits_as_told_is_served() {
        let mut rate = Rate::default();
        let now = Moment::from_secs(1);
        let wait = loop {
            if let Pass::Refuse(wait) = rate.pass(&rule(), now) {
                break wait;
            }
        };
        assert_eq!(rate.pass(&rule(), now.plus(wait)), Pass::Serve);
    }
}
